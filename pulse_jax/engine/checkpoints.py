"""Searches under way, kept in a folder: a killed run goes on in the middle of them, bit for bit.

A folder holds `run.json`, the fingerprint of what determines a search's bits; `lanes_N.npz`, the searches of each
group of lanes; and `earlier.npz`, what an earlier process had under way. Each is written whole or not at all. Arrays
and JSON only: nothing in it is ever run.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import jax
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.devices import Device, kind_of_device
from pulse_jax.system.files import UNFINISHED, write_whole
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.removal import remove_file
from pulse_jax.system.text import differences
from pulse_jax.system.version import __version__

__all__ = ["Checkpoint", "CheckpointError", "Saved", "digest", "fingerprint", "lanes_begun_with"]

# Saving may take this share of the time.
_SHARE = 0.02
# What lies in a folder before its first searches do.
_OWN = re.compile(r"lock|\.[0-9a-f]{16}\.tmp")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_FLAGS = ("jax_enable_x64", "jax_default_matmul_precision")
Saved = dict[str, Sequence[np.ndarray]]
"""The arrays of searches, by their names."""


class CheckpointError(ValueError):
    """A folder of searches under way is in use, another run's or damaged; one line for the user."""


class Checkpoint:
    """The folder of one run's searches under way, locked until it is closed.

    Args:
        folder: Folder to keep them in, made if missing.
        fingerprint: What determines a search's bits, JSON values by name; a folder with another one is refused.
        other_device: Whether to go on with what another kind of device computed.

    Attributes:
        saved: The searches that an earlier process had under way, by their names.

    Raises:
        CheckpointError: Another process works in the folder, it holds searches of another run, or it is damaged.
        OSError: The folder cannot be made or read.
    """

    def __init__(
        self, folder: str | os.PathLike[str], fingerprint: Mapping[str, Any], *, other_device: bool = False
    ) -> None:
        self.saved: Saved = {}
        self._folder = Path(folder)
        self._due: dict[int, float] = {}
        self._folder.mkdir(parents=True, exist_ok=True)
        _check_own(self._folder)
        self._lock = filelock.FileLock(self._folder / "lock", blocking=False)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise CheckpointError(f"{self._folder}: another process is working here; wait until it has ended") from None
        try:
            self._compare(json.loads(json.dumps(fingerprint)), other_device)
            self._gather()
        except BaseException:
            self._lock.release()
            raise

    def _compare(self, fingerprint: dict[str, Any], other_device: bool) -> None:
        path = self._folder / "run.json"
        if not path.exists():
            write_whole(path, lambda file: file.write(json.dumps(fingerprint, indent=1).encode()))
            return
        try:
            earlier = parse_json(path.read_bytes())
        except ValueError as error:
            raise CheckpointError(f"{path}: damaged; remove {self._folder} to begin its searches again") from error
        if other_device and isinstance(earlier, dict):
            earlier = {**earlier, "device": fingerprint["device"]}
        told = differences(earlier, fingerprint)
        if told:
            raise CheckpointError(f"{self._folder}: holds searches of a run with other settings: {'; '.join(told)}")

    def _gather(self) -> None:
        """Reads all searches into one file, which stays until the stream has ended: devices may change their places."""
        for part in self._folder.glob(UNFINISHED):
            remove_file(self._folder, part.name)
        lanes = sorted(self._folder.glob("lanes_*.npz"))
        for path in (self._folder / "earlier.npz", *lanes):
            if path.exists():
                self._read(path)
        if lanes:
            self._write("earlier.npz", self.saved)
        for path in lanes:
            remove_file(self._folder, path.name)

    def _read(self, path: Path) -> None:
        try:
            with opened_arrays(path) as stored:
                names = [str(name) for name in stored["names"]]
                leaves = [stored[f"leaf_{k:03}"] for k in range(len(stored) - 1)]
            found = {name: [np.asarray(leaf[row]) for leaf in leaves] for row, name in enumerate(names)}
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            raise CheckpointError(f"{path}: damaged; remove it to begin its searches again") from error
        self.saved |= found

    def due(self, group: int) -> bool:
        """Return whether a group's searches should be saved now: so seldom that it costs little."""
        return time.monotonic() >= self._due.get(group, 0.0)

    def save(self, group: int, searches: Saved) -> None:
        """Replace what is saved of a group's searches.

        Args:
            group: Number of the group of lanes.
            searches: Its searches, by their names.

        Raises:
            OSError: The disk is full or the like; what was saved before stays.
        """
        began = time.monotonic()
        self._write(f"lanes_{group}.npz", searches)
        now = time.monotonic()
        # A share of the time for all of them together.
        self._due[group] = now + (now - began) * max(1, len(self._due)) / _SHARE

    def _write(self, name: str, searches: Saved) -> None:
        arrays = {f"leaf_{k:03}": np.stack(leaf) for k, leaf in enumerate(zip(*searches.values(), strict=True))}
        names = np.array(list(searches), np.str_)
        write_whole(self._folder / name, lambda file: np.savez(file, allow_pickle=False, names=names, **arrays))

    def close(self, *, finished: bool) -> None:
        """Release the folder; of a finished run nothing is kept."""
        if finished:
            for name in ("earlier.npz", "run.json", "lock"):
                remove_file(self._folder, name)
            for path in self._folder.glob("lanes_*.npz"):
                remove_file(self._folder, path.name)
        self._lock.release()
        if finished:
            with contextlib.suppress(OSError):  # it holds other files too, and stays
                self._folder.rmdir()


def _check_own(folder: Path) -> None:
    """Raises `CheckpointError` for a folder of other things, among which some might be called as searches are."""
    if (folder / "run.json").exists():
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if not _OWN.fullmatch(entry.name))
    if foreign:
        raise CheckpointError(f"{folder}: holds {foreign[0]!r:.80}, expected an empty folder for searches under way")


def lanes_begun_with(folder: str | os.PathLike[str]) -> int | None:
    """Return how many lanes the programs had that searches in a folder began with; None where nothing says so."""
    try:
        lanes = parse_json((Path(folder) / "run.json").read_bytes())["lanes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return lanes if type(lanes) is int and lanes > 0 else None


def digest(tree: Any) -> str:
    """Return the sha256 over the paths, types, shapes and bytes of a pytree's arrays."""
    result = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(jax.device_get(leaf))
        result.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}\n".encode())
        result.update(array.data if array.size else b"")
    return result.hexdigest()


def fingerprint(generator: Generator, config: UpsamplingConfig, lanes: int, device: Device) -> dict[str, Any]:
    """Return what determines a search's bits beside its problem, as JSON values by name.

    Args:
        generator: Generator, with all its arrays.
        config: Settings of the searches.
        lanes: Lanes of each compiled program.
        device: Device to run on; its kind counts, and the instructions of a CPU.
    """
    return {
        "config": dataclasses.asdict(config),
        "generator": digest(generator),
        "function": getattr(generator.function, "__qualname__", None),
        "lanes": lanes,
        "versions": {"pulse_jax": __version__} | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": kind_of_device(device),
        "compiler": os.environ.get("XLA_FLAGS", ""),
        "arithmetic": {name: str(getattr(jax.config, name, None)) for name in _FLAGS},
    }
