"""A generator folder: settings and arrays of a generator on disk, written whole or not at all and verified before use.

`params/` holds the arrays (orbax), `config.json` the architecture, the storage dtype, every array's shape and the
sha256 of every file. All of it is verified, because orbax itself notices neither a flipped bit nor a wrong shape. Sizes
are checked before anything is allocated or inflated, and what is hashed is what is then read (`array_store`); no code
from the folder is run and no link in it is followed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import pathlib
import stat
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import ArchitectureConfig, architecture_from_dict, architecture_to_dict
from pulse_jax.generators.array_store import ArrayStore, StoreError
from pulse_jax.generators.networks.initialization import init_params
from pulse_jax.generators.priors.flow import init_blocks
from pulse_jax.generators.priors.plausibility import QUANTILES
from pulse_jax.system.files import sha256_of
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.keys import random_key
from pulse_jax.system.removal import remove_tree

__all__ = [
    "GeneratorError",
    "describe_folder",
    "flatten",
    "read_description",
    "read_folder",
    "read_reports",
    "write_folder",
]

_FORMAT = 1
_DTYPES = ("float32", "float16")
_CAST = ("networks/", "flow/blocks/", "surrogate/")  # what is stored in another type than float32, if any is
_REPORTS = "reports"
_CONFIG_LIMIT = 16 * 2**20
# Arrays may take this much memory beyond the files' size: with the files themselves, and as float32 where they are
# stored in half of it, a folder costs no more than 512 MB and twice its size.
_FREE_BYTES = 192 * 2**20
_PARAMS = "params/"
_COPY = "copy the folder again"
_CONVERT = "make the folder again with Generator.save"


class GeneratorError(ValueError):
    """A generator folder that cannot be used or made; the text is one line: where, what was found, what to do."""


def write_folder(
    folder: str | os.PathLike[str],
    config: ArchitectureConfig,
    tree: dict[str, Any],
    *,
    dtype: str,
    source: str,
    overwrite: bool,
    reports: Mapping[str, bytes] | None = None,
) -> None:
    """Write a generator folder, whole or not at all.

    Args:
        folder: Folder to make.
        config: Architecture, of a family in `FAMILIES`.
        tree: Arrays: `networks`, and where there are any the fits `gaussian_fit` (`mean`, `std`), `principal`
            (`mean`, `basis`, `std`), `flow` (the fields of `flow.Flow`), `surrogate` (those of `surrogate.Surrogate`),
            `plausibility` (of `plausibility.PlausibilityFit`), `w_avg` and `w_std`, and the `label` that is fixed.
        dtype: Type that `networks`, the flow's `blocks` and the surrogate are stored in, `float32` or `float16`; the
            rest, small and sensitive, stays float32.
        source: Origin of the weights.
        overwrite: Whether to replace a generator folder that stands there; anything else is never replaced.
        reports: Files about the fits, by their names; they lie in a folder of their own.

    Raises:
        GeneratorError: The folder exists or cannot be written, or the arrays do not fit the architecture or `dtype`.
    """
    import orbax.checkpoint as ocp

    name = str(folder)
    target = pathlib.Path(os.path.realpath(folder))
    if dtype not in _DTYPES:
        raise GeneratorError(f"dtype: expected {' or '.join(_DTYPES)}, got {dtype!r:.20}")
    try:
        architecture = architecture_to_dict(config)
    except ValueError as error:
        raise GeneratorError(str(error)) from None
    arrays = flatten(tree)
    shapes = {key: np.shape(array) for key, array in arrays.items()}
    expected = _expected_shapes(architecture_from_dict(architecture), shapes)
    _check_shapes(name, shapes, expected, "save the arrays of this architecture, or another architecture")
    arrays = _cast(arrays, dtype)
    part = None
    try:
        _check_free(target, name, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name:.80}.", suffix=".part", dir=target.parent))
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(part / "params", _nest(arrays))
        # It would tell the path that the folder was made under; restoring does not need it.
        (part / "params" / "commit_success.txt").unlink(missing_ok=True)
        for file, content in (reports or {}).items():
            (part / _REPORTS).mkdir(exist_ok=True)
            (part / _REPORTS / file).write_bytes(content)
        description = {
            "format": _FORMAT,
            "architecture": architecture,
            "source": source,
            "dtype": dtype,
            "arrays": {key: list(shape) for key, shape in shapes.items()},
            "sha256": {key: sha256_of(path) for key, path in _files(part, name).items()},
        }
        description["description_sha256"] = _description_hash(description)
        (part / "config.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        part.chmod(0o755)
        _put_in_place(part, target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GeneratorError(f"{name}: cannot be written ({reason}); choose another folder") from error
    finally:
        if part is not None:
            _discard(part)


def read_folder(folder: str | os.PathLike[str]) -> tuple[ArchitectureConfig, dict[str, Any]]:
    """Read the architecture and the arrays of a generator folder, NumPy, in the dtypes that they are stored in.

    Raises:
        GeneratorError: The folder is missing, foreign or damaged, or holds NaN or infinite weights.
    """
    with _readable(folder):
        return _read(pathlib.Path(folder).absolute(), str(folder))


def describe_folder(folder: str | os.PathLike[str]) -> tuple[ArchitectureConfig, dict[str, tuple[int, ...]]]:
    """Return the architecture and every array's shape, as a folder's `config.json` says; no array is read.

    Raises:
        GeneratorError: The folder is missing or foreign, or its files are not those that `config.json` describes.
    """
    place, name = pathlib.Path(folder).absolute(), str(folder)
    with _readable(folder):
        description = read_description(place, name)
        config = _architecture(name, description)
        files = _own_files(place, name, description["sha256"])
        for key, path in sorted(files.items()):
            _check_hash(name, key, sha256_of(path), description["sha256"])
    # By its hash it is what was written: the shapes need not be held against the architecture, which takes long.
    _check_unchanged(name, description)
    return config, {key: tuple(shape) for key, shape in description["arrays"].items()}


def read_reports(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the files about a folder's fits, by their names.

    Raises:
        GeneratorError: The folder is missing or foreign, or its files are not those that `config.json` describes.
    """
    place, name = pathlib.Path(folder).absolute(), str(folder)
    with _readable(folder):
        hashes = read_description(place, name)["sha256"]
        reports = {}
        for key, path in _own_files(place, name, hashes).items():
            if key.startswith(f"{_REPORTS}/"):
                content = path.read_bytes()
                _check_hash(name, key, hashlib.sha256(content).hexdigest(), hashes)
                reports[key.removeprefix(f"{_REPORTS}/")] = content
    return reports


@contextlib.contextmanager
def _readable(folder: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GeneratorError(f"{folder}: cannot be read ({reason}); check its permissions or {_COPY}") from error


def _architecture(name: str, description: Mapping[str, Any]) -> ArchitectureConfig:
    try:
        return architecture_from_dict(description["architecture"])
    except ValueError as error:
        raise GeneratorError(f"{name}: {error}; it is damaged or made by another pulse_jax, {_CONVERT}") from None


def _read(folder: pathlib.Path, name: str) -> tuple[ArchitectureConfig, dict[str, Any]]:
    description = read_description(folder, name)
    config = _architecture(name, description)
    stated = {key: tuple(value) if isinstance(value, list) else None for key, value in description["arrays"].items()}
    shapes = _expected_shapes(config, stated)
    _check_shapes(name, stated, shapes)
    dtypes = {key: _dtype_of(key, description["dtype"]) for key in shapes}

    files = _own_files(folder, name, description["sha256"])
    needed = sum(math.prod(shape) * np.dtype(dtypes[key]).itemsize for key, shape in shapes.items())
    held = sum(path.lstat().st_size for path in files.values())
    if needed > _FREE_BYTES + held:
        raise GeneratorError(f"{name}: config.json claims arrays of {needed} bytes, the files hold {held}; {_CONVERT}")
    contents = _contents(files, name, description["sha256"])
    try:
        arrays = _arrays(name, ArrayStore(contents), shapes, dtypes)
    except StoreError as error:
        raise GeneratorError(f"{name}: params cannot be read ({error}); {_COPY} or {_CONVERT}") from error
    # Last, because the checks before it say what is wrong. It alone notices a changed epsilon or clamp.
    _check_unchanged(name, description)
    return config, _nest(arrays)


def _arrays(
    name: str, store: ArrayStore, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Every array by its path; all are described as expected before the first is read."""
    described = {key: found for key in shapes if (found := store.describe(key)) is not None}
    _check_shapes(name, {key: shape for key, (shape, _) in described.items()}, shapes)
    for key, (_, dtype) in described.items():
        if dtype != dtypes[key]:
            raise GeneratorError(
                f"{name}: array {key!r:.80}: expected {dtypes[key]}, as config.json says, got {dtype}; {_CONVERT}"
            )
    arrays: dict[str, np.ndarray] = {}
    for key in shapes:
        arrays[key] = store.read(key)
        if not np.isfinite(arrays[key]).all():
            raise GeneratorError(f"{name}: array {key!r:.80} holds NaN or infinite values; {_CONVERT}")
    return arrays


def _check_unchanged(name: str, description: Mapping[str, Any]) -> None:
    if description.get("description_sha256") != _description_hash(description):
        raise GeneratorError(f"{name}: config.json was changed (another sha256); {_COPY}")


def _description_hash(description: Mapping[str, Any]) -> str:
    """The sha256 of everything else that config.json says."""
    rest = {key: value for key, value in description.items() if key != "description_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def flatten(tree: Any) -> dict[str, Any]:
    """Return the leaves of a nested dict by their paths, `a/b/c`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten` for nested dicts, but that empty ones are gone."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, leaf = key.split("/")
        functools.reduce(lambda node, part: node.setdefault(part, {}), parents, tree)[leaf] = value
    return tree


def _dtype_of(key: str, dtype: str) -> str:
    return dtype if key.startswith(_CAST) else "float32"


def _cast(arrays: Mapping[str, Any], dtype: str) -> dict[str, np.ndarray]:
    """The arrays as they are stored; raises `GeneratorError` where a finite value would become infinite."""
    cast: dict[str, np.ndarray] = {}
    for key, value in arrays.items():
        array = np.asarray(value)
        with np.errstate(over="ignore"):
            cast[key] = array.astype(_dtype_of(key, dtype))
        if np.any(np.isfinite(array) & np.isinf(cast[key])):
            raise GeneratorError(f"array {key!r:.80} has values beyond the range of {dtype}; store it as float32")
    return cast


def _expected_shapes(config: ArchitectureConfig, names: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every array's shape, from the architecture alone, without allocating; of the rest, those that `names` has."""
    key = jax.eval_shape(lambda: random_key(0))
    tree: dict[str, Any] = {"networks": jax.eval_shape(functools.partial(init_params, config), key, key)}
    vector = jax.ShapeDtypeStruct((config.latent_dim,), jnp.float32)
    matrix = jax.ShapeDtypeStruct((config.latent_dim, config.latent_dim), jnp.float32)
    if any(name.startswith("gaussian_fit/") for name in names):
        tree["gaussian_fit"] = {"mean": vector, "std": vector}
    if any(name.startswith("principal/") for name in names):
        tree["principal"] = {"mean": vector, "basis": matrix, "std": vector}
    blocks = names.get("flow/blocks/bias_1")
    if _are_sizes(blocks, 2):
        count, hidden = blocks
        rows = jax.ShapeDtypeStruct((count, config.latent_dim), jnp.float32)
        made = jax.eval_shape(functools.partial(init_blocks, blocks=count, hidden=hidden, width=config.latent_dim), key)
        more = {"degrees": (count, hidden), "limit": (count,)}
        made |= {
            name: jax.ShapeDtypeStruct(shape, jnp.float32)
            for name, shape in more.items()
            if f"flow/blocks/{name}" in names
        }
        tree["flow"] = {"mean": vector, "std": vector, "blocks": made, "scale": rows, "shift": rows}
        optional = {"basis": matrix, "radial": jax.ShapeDtypeStruct((2,), jnp.float32)}
        tree["flow"] |= {name: shape for name, shape in optional.items() if f"flow/{name}" in names}
    inner, outer = names.get("surrogate/weight_1"), names.get("surrogate/bias_3")
    if _are_sizes(inner, 2) and _are_sizes(outer, 1):
        (k, hidden), (pixels,) = inner, outer
        shapes = {
            "basis": (config.num_layers, config.latent_dim, k),
            "metric": matrix.shape,
            "weight_1": (k, hidden),
            "bias_1": (hidden,),
            "weight_2": (hidden, hidden),
            "bias_2": (hidden,),
            "weight_3": (hidden, pixels),
            "linear": (k, pixels),
            "bias_3": (pixels,),
        }
        tree["surrogate"] = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    if any(name.startswith("plausibility/") for name in names):
        quantiles = jax.ShapeDtypeStruct((QUANTILES,), jnp.float32)
        tree["plausibility"] = {"oddness": quantiles}
        if "plausibility/norms" in names:
            tree["plausibility"]["norms"] = quantiles
    if "w_avg" in names:
        tree["w_avg"] = vector
    if "w_std" in names:
        tree["w_std"] = jax.ShapeDtypeStruct((), jnp.float32)
    if "label" in names and config.label_dim:
        tree["label"] = jax.ShapeDtypeStruct((config.label_dim,), jnp.float32)
    return {name: leaf.shape for name, leaf in flatten(tree).items()}


def _are_sizes(shape: Any, count: int) -> TypeGuard[tuple[int, ...]]:
    """Whether so many sizes of an array can be believed."""
    return isinstance(shape, tuple) and len(shape) == count and all(type(n) is int and 0 < n < 2**24 for n in shape)


def _check_shapes(
    name: str, found: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], advice: str = _CONVERT
) -> None:
    for key in sorted(set(found) | set(expected)):
        if key not in expected:
            raise GeneratorError(f"{name}: array {key!r:.80} does not belong to this architecture; {advice}")
        if key not in found:
            raise GeneratorError(f"{name}: array {key!r:.80} of shape {expected[key]} is missing; {advice}")
        if found[key] != expected[key]:
            raise GeneratorError(
                f"{name}: array {key!r:.80}: expected shape {expected[key]}, got {found[key]!s:.80}; {advice}"
            )


def _check_free(target: pathlib.Path, name: str, overwrite: bool) -> None:
    """Nothing but a generator folder is ever replaced, and that only when asked to."""
    if not os.path.lexists(target):
        return
    try:
        hashes = read_description(target, name)["sha256"]
        found = _files(target, name)
        del found["config.json"]
        # Each of its files as it was written, and no other.
        ours = all(key in hashes and sha256_of(path) == hashes[key] for key, path in found.items())
    except (GeneratorError, OSError):
        ours = False
    if not ours:
        raise GeneratorError(
            f"{name}: exists already and is not a generator folder as it was written; choose another folder"
        )
    if not overwrite:
        raise GeneratorError(f"{name}: exists already; choose another folder, or replace it with overwrite=True")


def _put_in_place(part: pathlib.Path, target: pathlib.Path) -> None:
    """Rename the finished folder to its name; what stood there is deleted only afterwards."""
    old = part.with_suffix(".old")
    replaced = target.exists()
    if replaced:
        target.rename(old)
    try:
        part.rename(target)
    except BaseException:
        if replaced:
            old.rename(target)
        raise
    _discard(old)


def _discard(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        remove_tree(folder.parent, folder.name)


def _files(folder: pathlib.Path, name: str) -> dict[str, pathlib.Path]:
    """Every file below the folder by its name in it; links and devices are refused."""

    def fail(error: OSError) -> None:
        raise error

    files: dict[str, pathlib.Path] = {}
    for parent, folders, names in os.walk(folder, onerror=fail):
        for path in (pathlib.Path(parent, entry) for entry in (*folders, *names)):
            mode, key = path.lstat().st_mode, path.relative_to(folder).as_posix()
            if stat.S_ISREG(mode):
                files[key] = path
            elif not stat.S_ISDIR(mode):
                raise GeneratorError(f"{name}: {key!r:.120} is foreign (a link or a device); {_COPY}, links resolved")
    return files


def _own_files(folder: pathlib.Path, name: str, hashes: Mapping[str, Any]) -> dict[str, pathlib.Path]:
    """Every file but `config.json`, which names these and no others."""
    files = _files(folder, name)
    del files["config.json"]
    for key in sorted(set(files) | set(hashes)):
        if key not in hashes:
            raise GeneratorError(f"{name}: {key!r:.120} is foreign; remove it, or {_COPY}")
        if key not in files:
            raise GeneratorError(f"{name}: {key!r:.120} is missing; {_COPY}")
    return files


def _contents(files: Mapping[str, pathlib.Path], name: str, hashes: Mapping[str, Any]) -> dict[str, bytes]:
    """What the files below `params/` hold, by their names there; every file is opened once and has its hash."""
    contents: dict[str, bytes] = {}
    for key, path in sorted(files.items()):
        if key.startswith(_PARAMS):
            # As much as there was when sizes were added up: a file that has grown since has another hash.
            with open(path, "rb") as file:
                content = file.read(path.lstat().st_size)
            _check_hash(name, key, hashlib.sha256(content).hexdigest(), hashes)
            contents[key.removeprefix(_PARAMS)] = content
        else:
            _check_hash(name, key, sha256_of(path), hashes)
    return contents


def _check_hash(name: str, key: str, found: str, hashes: Mapping[str, Any]) -> None:
    if found != hashes[key]:
        raise GeneratorError(f"{name}: {key!r:.120} is damaged (another sha256); {_COPY}")


def read_description(folder: pathlib.Path, name: str) -> dict[str, Any]:
    """Read a generator folder's `config.json`: of the right types but otherwise unverified; `name` is for errors.

    Raises:
        GeneratorError: There is no such folder, or none that this program reads.
    """
    path = folder / "config.json"
    wanted = "expected a generator folder, as pulse-jax convert or Generator.save makes them"
    if not folder.is_dir():
        raise GeneratorError(f"{name}: no such folder; {wanted}")
    if not path.is_file():
        raise GeneratorError(f"{name}: not a generator folder, it has no config.json; {wanted}")
    if path.stat().st_size > _CONFIG_LIMIT:
        raise GeneratorError(f"{name}: config.json is larger than {_CONFIG_LIMIT >> 20} MiB; {wanted}")
    try:
        description = parse_json(path.read_bytes())
    except ValueError:
        raise GeneratorError(f"{name}: config.json is not valid JSON; {_COPY}") from None
    kinds = {"format": int, "architecture": dict, "dtype": str, "arrays": dict, "sha256": dict}
    if not isinstance(description, dict) or any(type(description.get(key)) is not kind for key, kind in kinds.items()):
        raise GeneratorError(f"{name}: config.json is not a generator's ({', '.join(kinds)}); {wanted}")
    if description["format"] != _FORMAT:
        raise GeneratorError(
            f"{name}: folder format {description['format']!r:.20}, expected {_FORMAT}; update pulse_jax"
        )
    if description["dtype"] not in _DTYPES:
        raise GeneratorError(
            f"{name}: storage dtype {description['dtype']!r:.20}, expected {' or '.join(_DTYPES)}; {_CONVERT}"
        )
    return description
