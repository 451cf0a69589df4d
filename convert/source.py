"""What a checkpoint file holds, whichever program wrote it: arrays and plain values by name, nothing of it run."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import mmap
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from convert.budget import Budget
from convert.nodes import Array, CheckpointError, Dict, Inert, List, Network, Persistent, Symbol, Tensor, shown
from convert.safetensors_file import is_safetensors, load_safetensors
from convert.torch_files import is_legacy, load_legacy, load_nested, load_zip
from convert.unpickle import load

__all__ = ["CheckpointError", "Container", "Plain", "Source", "read_source", "shown"]

Container = Literal["tensorflow", "pickle", "torch-zip", "torch-legacy", "safetensors"]
Plain = int | float | str | bool | tuple[int | float, ...] | None

_MAX_KEY = 512
_MAX_DEPTH = 32
_MAX_NUMBERS = 16
_MAX_ENTRIES = 100_000
_MAX_CHARACTERS = 2**22
_SLACK = 2**16
_PICKLE = re.compile(rb"\x80[\x02-\x05]|[(\]})][\s\S]|c[\w.]+\n")
# What people download instead of a checkpoint, by its first bytes.
_OTHERS = (
    (re.compile(rb"\s*<"), "a web page", "the download was refused or has a quota; download it again"),
    (re.compile(rb"version https://git-lfs"), "a pointer to a Git LFS file", "fetch the file itself with git lfs pull"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!"), "a compressed archive", "unpack it"),
    (re.compile(rb"\x89HDF"), "an HDF5 file", "convert it with the program that wrote it"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array", "name the checkpoint that it comes from"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive", "unpack it; torch files of 2016 must be saved again"),
)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a checkpoint file holds, read without running any of it."""

    path: pathlib.Path
    container: Container
    sha256: str
    networks: dict[str, dict[str, np.ndarray]]
    """Arrays by the file's own keys, per network: `Gs` (TensorFlow, slashed variable names), `G_ema`, `g_ema`,
    `generator_smooth`, `params_ema` … (modules and state dicts, dotted), the empty name for what lies at the top level.
    A TensorFlow network's components stand below it: `dlatent_avg`, `mapping/Dense0/weight`, `synthesis/noise0`.
    Arrays are read-only, native-endian, of any shape; bfloat16 comes as float32."""
    values: dict[str, dict[str, Plain]]
    """Plain values per network: `static_kwargs.resolution`, `synthesis/static_kwargs.architecture`, `version`, `name`
    (TensorFlow), `synthesis.b4.conv1.conv_clamp`, `z_dim`, `class_name` (modules) … Texts are the file's own: escape
    them (`shown`) before they are printed."""
    inert: dict[str, str] = dataclasses.field(default_factory=dict)
    """What was not understood → what it is, printable; by `network/key`, at the top level `key` alone, and for all of a
    network `network` alone. The keys are the file's own, to be escaped like the texts above."""


def read_source(path: str | os.PathLike[str], *, lists: bool = False) -> Source:
    """Read a checkpoint of any container that `Container` names; nothing that it holds is imported or run.

    Arrays are views of the memory-mapped file where its layout allows.

    Args:
        path: the file.
        lists: read arrays in lists too, under their numbers, and a file that is one array, under the empty name. No
            network is kept so, but latents are.

    Raises:
        CheckpointError: the file is missing, damaged, hostile or of another kind.
    """
    try:
        return _read(pathlib.Path(path), memoryview(_mapped(path)), lists)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _mapped(path: str | os.PathLike[str]) -> mmap.mmap:
    try:
        # Only a regular file is ever opened: a pipe would wait, a device might never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError("not a regular file; name a checkpoint file")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise CheckpointError("an empty file; download it again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"cannot be read ({reason}); check the path and its permissions") from error


def _read(path: pathlib.Path, data: memoryview, lists: bool) -> Source:
    budget = Budget(len(data))
    collected = _Collected(len(data), lists)
    start = bytes(data[:4096])
    container: Container
    if start.startswith(b"PK\x03\x04"):
        container = "torch-zip"
        collected.top(load_zip(data, budget))
    elif is_safetensors(data):
        container = "safetensors"
        tensors, metadata = load_safetensors(data)
        for key, (kind, array) in tensors.items():
            collected.array("", key, array, kind == "BF16")
        for key, value in metadata.items():
            collected.value("", key, value)
    elif is_legacy(data):
        container = "torch-legacy"
        collected.top(load_legacy(data, budget))
    elif _PICKLE.match(start):
        value, _ = load(data, 0, budget, nested=lambda raw: load_nested(raw, budget))
        container = "tensorflow" if any(type(node) is Network for node in _children(value)) else "pickle"
        collected.top(value)
    else:
        for pattern, what, advice in _OTHERS:
            if pattern.match(start):
                raise CheckpointError(f"{what}, not a checkpoint; {advice}")
        raise CheckpointError("not a checkpoint; expected a pickle, a torch file or safetensors")
    networks = collected.finished()
    return Source(path, container, _sha256(data), networks, collected.values, collected.inert)


def _sha256(data: memoryview) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(data), 2**24):
        digest.update(data[start : start + 2**24])
    return digest.hexdigest()


def _children(value: Any) -> Iterator[Any]:
    yield value
    if type(value) is tuple:
        yield from value
    elif isinstance(value, Dict):
        yield from value.items.values()


class _Collected:
    """Everything that has a name, gathered from the reader's nodes."""

    def __init__(self, file_bytes: int, lists: bool) -> None:
        self._lists = lists
        self.values: dict[str, dict[str, Plain]] = {}
        self.inert: dict[str, str] = {}
        self._arrays: dict[str, dict[str, tuple[np.ndarray, bool]]] = {}
        self._entries = self._characters = 0
        self._file_bytes = self._convertible = file_bytes + _SLACK
        self._converted: dict[tuple[Any, ...], np.ndarray] = {}

    def finished(self) -> dict[str, dict[str, np.ndarray]]:
        """All arrays per network, once no two of a network share their memory."""
        if not any(self._arrays.values()):
            raise CheckpointError(f"no arrays in it{self._example()}; expected a checkpoint with a generator's weights")
        for network, arrays in self._arrays.items():
            _check_apart(network, arrays, self._file_bytes)
        return {
            network: {key: self._native(array, bfloat16) for key, (array, bfloat16) in arrays.items()}
            for network, arrays in self._arrays.items()
        }

    def _native(self, array: np.ndarray, bfloat16: bool) -> np.ndarray:
        """An array in the machine's own dtypes, read-only; all names of the same memory share what is made of it."""
        if bfloat16 or not array.dtype.isnative:
            interface = array.__array_interface__
            window = (interface["data"][0], array.shape, array.strides, array.dtype.str, bfloat16)
            if window not in self._converted:
                # Networks may view the same memory, each in another way.
                self._convertible -= array.nbytes
                if self._convertible < 0:
                    raise CheckpointError("networks that overlap in memory; save the file again with copies of them")
                self._converted[window] = _float32(array) if bfloat16 else array.astype(array.dtype.newbyteorder("="))
            array = self._converted[window]
        array.flags.writeable = False
        return array

    def _example(self) -> str:
        key = next(iter(self.inert), None)
        return "" if key is None else f", '{shown(key or 'all of it')}' is {self.inert[key]}"

    # One entry each.

    def array(self, network: str, key: str, array: np.ndarray, bfloat16: bool) -> None:
        self._add(self._arrays, network, key, (array, bfloat16))

    def value(self, network: str, key: str, value: Plain) -> None:
        self._add(self.values, network, key, value)

    def not_understood(self, network: str, key: str, name: str) -> None:
        self._count(network, key)
        self.inert[_full(network, key)] = name

    def _add(self, table: dict[str, dict[str, Any]], network: str, key: str, entry: Any) -> None:
        self._count(network, key)
        entries = table.setdefault(network, {})
        if key in entries:
            raise CheckpointError(f"two entries are named '{shown(_full(network, key))}'; do not trust the file")
        entries[key] = entry

    def _count(self, network: str, key: str) -> None:
        # Every visit counts, of containers and of what is passed over too, so that what contains itself many times over
        # comes to an end.
        self._entries += 1
        if self._entries > _MAX_ENTRIES:
            raise CheckpointError(f"more than {_MAX_ENTRIES} entries, nested or again and again; do not trust the file")
        if len(network) + len(key) > _MAX_KEY:
            raise CheckpointError(f"a name of more than {_MAX_KEY} characters, '{shown(_full(network, key), 40)}'")
        self._characters += len(network) + len(key)
        if self._characters > _MAX_CHARACTERS:
            raise CheckpointError(f"names of more than {_MAX_CHARACTERS} characters in all; do not trust the file")

    # The tree.

    def top(self, value: Any) -> None:
        """Networks by the names that the file gives them."""
        if type(value) is Network:
            value = (value,)
        if type(value) is tuple and all(type(part) is Network for part in value) and len(value) in (1, 3):
            # (G, D, Gs), or Gs alone.
            for name, part in zip(("G", "D", "Gs")[-len(value) :], value, strict=True):
                self.tensorflow(name, "", part, 0)
        elif isinstance(value, Dict):
            for key, part in value.items.items():
                if isinstance(part, Dict | Network | Persistent) or (type(part) is Inert and part.state is not None):
                    self.node(key, "", part, 0)
                else:
                    self.node("", key, part, 0)
            self.dropped("", "", value)
        elif (
            type(value) is Persistent
            or (type(value) is Inert and value.state is not None)
            or (self._lists and type(value) in (Tensor, Array))
        ):
            self.node("", "", value, 0)
        else:
            what = value.name if type(value) is Inert else str(value) if type(value) is Symbol else "something else"
            raise CheckpointError(f"holds {what}; expected networks, a state dict or a dict of these")

    def node(self, network: str, key: str, node: Any, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"'{shown(_full(network, key))}' is nested deeper than {_MAX_DEPTH}; do not trust it")
        kind = type(node)
        if kind is Tensor or kind is Array:
            try:
                array = node.view()
            except CheckpointError as error:
                raise CheckpointError(f"'{shown(_full(network, key))}': {error}; do not trust the file") from None
            if isinstance(array, str):
                self.not_understood(network, key, array)
            else:
                self.array(network, key, array, kind is Tensor and node.storage.code == "bfloat16")
        elif isinstance(node, Dict):
            self._count(network, key)
            for name, part in node.items.items():
                self.node(network, _dotted(key, name), part, depth + 1)
            self.dropped(network, key, node)
        elif kind is List and self._lists and all(type(part) in (Tensor, Array) for part in node.items):
            self._count(network, key)
            for number, part in enumerate(node.items):
                self.node(network, _dotted(key, str(number)), part, depth + 1)
        elif kind is Network:
            self.tensorflow(network, _dotted(key, "") if key else "", node, depth + 1)
        elif kind is Persistent or (kind is Inert and node.state is not None):
            self.module(network, key, node, depth + 1)
        elif kind is Inert:
            self.not_understood(network, key, node.name)
        elif kind is Symbol:
            self.not_understood(network, key, str(node))
        else:
            self.plain(network, key, node)

    def plain(self, network: str, key: str, value: Any) -> None:
        """A number, a few of them or a short text; anything else has no name of its own and is passed over."""
        kind = type(value)
        if value is None or kind is str or kind is bool or _is_number(value):
            self.value(network, key, value)
        elif kind is List or kind is tuple:
            parts = value.items if kind is List else value
            if len(parts) <= _MAX_NUMBERS and all(map(_is_number, parts)):
                self.value(network, key, tuple(parts))
            else:
                self.not_understood(network, key, "list")
        else:
            self._count(network, key)

    def dropped(self, network: str, key: str, node: Dict) -> None:
        if node.dropped:
            self.not_understood(network, _dotted(key, "<keys that are no names>"), f"{node.dropped} entries")

    def module(self, network: str, key: str, node: Persistent | Inert, depth: int) -> None:
        """A torch module by its state: parameters, buffers and modules like a state dict's, attributes as values."""
        state = node.state
        if state is None:
            return
        if type(node) is Inert and not isinstance(state.items.get("_modules"), Dict):
            self.not_understood(network, key, node.name)
            return
        self._count(network, key)
        self.plain(network, _dotted(key, "class_name"), node.name)
        for name, part in state.items.items():
            if name in ("_parameters", "_buffers", "_modules"):
                if isinstance(part, Dict):
                    for inner, child in part.items.items():
                        # Parameters and buffers that a module does without.
                        if child is None:
                            self._count(network, key)
                        else:
                            self.node(network, _dotted(key, inner), child, depth)
                    self.dropped(network, key, part)
            elif name != "class_name":
                self.attribute(network, _dotted(key, name), part, depth)

    def attribute(self, network: str, key: str, node: Any, depth: int) -> None:
        """Plain values of a module's attribute, and of dicts in it."""
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"'{shown(_full(network, key))}' is nested deeper than {_MAX_DEPTH}; do not trust it")
        self._count(network, key)
        if isinstance(node, Dict):
            for name, part in node.items.items():
                self.attribute(network, _dotted(key, name), part, depth + 1)
        elif type(node) is not Inert:
            self.plain(network, key, node)
        elif not key.rpartition(".")[2].startswith("_"):
            # Hooks and the like are a module's own affair.
            self.not_understood(network, key, node.name)

    def tensorflow(self, network: str, prefix: str, node: Network, depth: int) -> None:
        """A TensorFlow network: its own variables, plain state, and below a slash its components."""
        if depth > _MAX_DEPTH:
            raise CheckpointError(
                f"'{shown(_full(network, prefix))}' is nested deeper than {_MAX_DEPTH}; do not trust it"
            )
        self._count(network, prefix)
        for name, part in node.state.items.items():
            if name == "components":
                components = part.items.items() if isinstance(part, Dict) else ()
                for component, inner in components:
                    self._count(network, prefix)
                    if type(inner) is Network:
                        self.tensorflow(network, f"{prefix}{component}/", inner, depth + 1)
            elif name == "variables":
                if type(part) is not List:
                    raise CheckpointError(f"'{shown(_full(network, prefix + name))}' is not a list of variables")
                for pair in part.items:
                    pair = pair.items if type(pair) is List else pair
                    if not isinstance(pair, tuple | list) or len(pair) != 2 or type(pair[0]) is not str:
                        raise CheckpointError(
                            f"'{shown(_full(network, prefix + name))}' holds something other than (name, array)"
                        )
                    self.node(network, prefix + pair[0], pair[1], depth)
            elif name == "static_kwargs":
                self.attribute(network, prefix + name, part, depth)
            elif name != "build_module_src":
                self.plain(network, prefix + name, part)


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)


def _full(network: str, key: str) -> str:
    return f"{network}/{key}" if network and key else network or key


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _check_apart(network: str, arrays: dict[str, tuple[np.ndarray, bool]], tied: int) -> None:
    """Hardly any memory under two names: else a small file could claim to be a huge network.

    Whole arrays may be tied, as some programs do with their filters, of `tied` bytes in all; parts never.
    """
    spans = sorted(
        (array.__array_interface__["data"][0], array.nbytes, key) for key, (array, _) in arrays.items() if array.nbytes
    )
    for (start, size, key), (next_start, next_size, next_key) in itertools.pairwise(spans):
        tied -= next_size if start == next_start and size == next_size else 0
        if next_start < start + size and (tied < 0 or (start, size) != (next_start, next_size)):
            names = f"'{shown(_full(network, key))}' and '{shown(_full(network, next_key))}'"
            raise CheckpointError(f"{names} overlap in memory; save the file again with copies of its tensors")


def _float32(bfloat16: np.ndarray) -> np.ndarray:
    wide = bfloat16.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
