"""Generators as values: parameters, static settings and fits in one pytree that can be passed to jitted functions.

A generator folder holds `params/` (orbax) and `config.json`: architecture, storage dtype, every array's shape, and the
sha256 of every file. All of it is verified before use, because orbax itself notices neither a flipped bit nor a wrong
shape. Loading needs no network and runs no code from the folder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax import stylegan1, stylegan2
from pulse_jax.config import (
    ArchitectureConfig,
    FunctionConfig,
    StyleGAN1Config,
    StyleGAN2Config,
    architecture_from_dict,
    architecture_to_dict,
)
from pulse_jax.latents import GaussianFit, fit_gaussian

__all__ = ["Generator", "GeneratorError", "load_generator"]

_FORMAT = 1
_CONFIG_LIMIT = 16 * 2**20


class GeneratorError(ValueError):
    """A generator folder that cannot be used; the text is one line: where, what was found, what was expected."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "gaussian_fit", "w_avg"],
    meta_fields=["config", "function", "mapping_function"],
)
@dataclass(frozen=True, kw_only=True)
class Generator:
    """A trained generator; a pytree whose leaves are its arrays, so that no compiled program holds weights.

    Attributes:
        config: the architecture (static).
        params: nested dict of float32 arrays; StyleGANs have `mapping` and `synthesis`.
        gaussian_fit: PULSE's whitening of w (see `pulse_jax.latents`), or None.
        w_avg: the mean of w (d,), which truncation needs, or None.
        function, mapping_function: a user's own generator (see `from_function`).
    """

    config: ArchitectureConfig
    params: Any
    gaussian_fit: GaussianFit | None = None
    w_avg: Array | None = None
    function: Callable[..., Array] | None = field(default=None, repr=False)
    mapping_function: Callable[..., Array] | None = field(default=None, repr=False)

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return self.config.resolution

    @property
    def num_layers(self) -> int:
        """L, the rows of w that `synthesize` takes."""
        return self.config.num_layers

    @property
    def latent_dim(self) -> int:
        """d, the width of z and w."""
        return self.config.latent_dim

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """The shape (r, r, 1) of every noise input."""
        return self.config.noise_shapes

    @classmethod
    def from_function(
        cls,
        function: Callable[[Any, Array, tuple[Array, ...]], Array],
        params: Any,
        *,
        resolution: int,
        latent_dim: int,
        num_layers: int = 1,
        noise_shapes: tuple[tuple[int, int, int], ...] = (),
        mapping: Callable[[Any, Array], Array] | None = None,
        gaussian_fit: GaussianFit | None = None,
    ) -> Generator:
        """Let any differentiable latent → image function take part in the search.

        Args:
            function: `function(params, w, noise)`, for one image: w (L, d), a tuple of noise images → (H, W, 3), nominally
                [0, 1]. Mapped over batches with `jax.vmap`.
            params: whatever pytree of arrays `function` needs.
            resolution: H = W.
            latent_dim: d.
            num_layers: L.
            noise_shapes: (r, r, 1) per noise input; none by default.
            mapping: `mapping(params, z)` (…, d) → (…, d); the identity by default.
            gaussian_fit: needed to search `w` or `w+`; without one, search `z`.
        """
        config = FunctionConfig(
            resolution=resolution, latent_dim=latent_dim, num_layers=num_layers, noise_shapes=noise_shapes
        )
        return cls(config=config, params=params, gaussian_fit=gaussian_fit, function=function, mapping_function=mapping)

    def map(self, z: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """The mapping network z → w."""
        if z.shape[-1] != self.latent_dim:
            raise ValueError(f"z: expected shape (…, {self.latent_dim}), got {z.shape}")
        if isinstance(self.config, FunctionConfig):
            return z if self.mapping_function is None else self.mapping_function(self.params, z)
        family = stylegan1 if isinstance(self.config, StyleGAN1Config) else stylegan2
        return family.Mapping(self.config).apply({"params": self.params["mapping"]}, z)  # pyright: ignore

    def synthesize(
        self,
        w: Float[Array, "*batch layers d"],
        noise: tuple[Float[Array, "*batch _ _ 1"], ...],
        *,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> Float[Array, "*batch h w 3"]:
        """w and noise → images, nominally [0, 1], unclipped; `precision` is the arithmetic of the convolutions.

        Raises:
            ValueError: w or a noise input has another shape than the generator's.
        """
        if w.shape[-2:] != (self.num_layers, self.latent_dim):
            raise ValueError(f"w: expected shape (…, {self.num_layers}, {self.latent_dim}), got {w.shape}")
        batch = w.shape[:-2]
        expected = tuple((*batch, *shape) for shape in self.noise_shapes)
        if tuple(n.shape for n in noise) != expected:
            raise ValueError(f"noise: expected shapes {expected}, got {tuple(n.shape for n in noise)}")
        flat = w.reshape(-1, *w.shape[-2:])
        flat_noise = tuple(n.reshape(-1, *n.shape[-3:]) for n in noise)
        if isinstance(self.config, FunctionConfig):
            assert self.function is not None
            images = jax.vmap(self.function, in_axes=(None, 0, 0))(self.params, flat, flat_noise)
        else:
            family = stylegan1 if isinstance(self.config, StyleGAN1Config) else stylegan2
            module = family.Synthesis(self.config, dtype=jnp.dtype(precision))  # pyright: ignore
            images = module.apply({"params": self.params["synthesis"]}, flat, flat_noise) * 0.5 + 0.5  # pyright: ignore
        return images.reshape(*batch, self.resolution, self.resolution, 3)

    def truncate(
        self, w: Float[Array, "... layers d"], psi: float, cutoff: int | None = None
    ) -> Float[Array, "... layers d"]:
        """Pull the first `cutoff` rows (default all) towards the mean of w: w_avg + psi · (w − w_avg).

        Raises:
            ValueError: the generator knows no mean of w.
        """
        if self.w_avg is None:
            raise ValueError("truncation: expected a generator with w_avg, this one has none")
        rows = jnp.arange(w.shape[-2])[:, None] < (w.shape[-2] if cutoff is None else cutoff)
        return jnp.where(rows, self.w_avg + psi * (w - self.w_avg), w)

    def sample(self, key: PRNGKeyArray, n: int, *, truncation: float = 1.0) -> Float[Array, "n h w 3"]:
        """n random images (n, H, W, 3), nominally [0, 1], unclipped; image i depends on `fold_in(key, i)` alone."""
        images = [_draw(self, key, jnp.arange(i, i + 8), truncation) for i in range(0, n, 8)]
        return jnp.concatenate(images)[:n] if images else jnp.zeros((0, self.resolution, self.resolution, 3))

    def fitted(self, *, samples: int = 1_000_000, seed: int = 0) -> Generator:
        """This generator with PULSE's Gaussian fit of its mapping network's outputs, over `samples` draws."""
        fit = fit_gaussian(jax.jit(self.map), jax.random.key(seed), self.latent_dim, samples=samples)
        return Generator(**{**self.__dict__, "gaussian_fit": fit})

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        dtype: Literal["float32", "float16"] = "float32",
        source: str = "pulse_jax",
        overwrite: bool = False,
    ) -> None:
        """Write a generator folder, whole or not at all.

        Args:
            folder: the folder to make.
            dtype: how the networks' arrays are stored; loading gives float32.
            source: what the weights come from, kept in `config.json`.
            overwrite: replace an existing generator folder.

        Raises:
            GeneratorError: the folder exists, or the generator is a user's own function.
        """
        import orbax.checkpoint as ocp

        target = pathlib.Path(folder).absolute()
        if target.exists() and not (overwrite and (target / "config.json").is_file()):
            raise GeneratorError(f"{folder}: exists already; choose another folder")
        try:
            architecture = architecture_to_dict(self.config)
        except ValueError as error:
            raise GeneratorError(str(error)) from None
        tree = _storage_tree(self, np.dtype(dtype))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            with ocp.StandardCheckpointer() as checkpointer:
                checkpointer.save(part / "params", tree)
            config = {
                "format": _FORMAT,
                "architecture": architecture,
                "source": source,
                "dtype": dtype,
                "arrays": {name: list(array.shape) for name, array in _flatten(tree).items()},
                "sha256": _hashes(part),
            }
            (part / "config.json").write_text(json.dumps(config, indent=1) + "\n")
            part.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            part.replace(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Generator:
        """Read a generator folder, every file's hash and every array's shape and values verified.

        Raises:
            GeneratorError: the folder is missing, foreign or damaged, or holds NaN or infinite weights.
        """
        return _load(cls, pathlib.Path(folder).absolute(), str(folder))


@functools.partial(jax.jit, static_argnames="truncation")
def _draw(generator: Generator, key: PRNGKeyArray, index: Array, truncation: float) -> Array:
    def inputs(i: Array) -> tuple[Array, tuple[Array, ...]]:
        z_key, noise_key = jax.random.split(jax.random.fold_in(key, i))
        noise = tuple(
            jax.random.normal(jax.random.fold_in(noise_key, layer), shape)
            for layer, shape in enumerate(generator.noise_shapes)
        )
        return jax.random.normal(z_key, (generator.latent_dim,)), noise

    z, noise = jax.vmap(inputs)(index)
    w = jnp.broadcast_to(generator.map(z)[:, None], (len(index), generator.num_layers, generator.latent_dim))
    return generator.synthesize(w if truncation == 1.0 else generator.truncate(w, truncation), noise)


def _flatten(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _storage_tree(generator: Generator, dtype: np.dtype) -> dict[str, Any]:
    """What is stored: the networks in `dtype`, the fits (small, and sensitive) in float32."""
    tree: dict[str, Any] = {"networks": jax.tree.map(lambda a: np.asarray(a).astype(dtype), generator.params)}
    if generator.gaussian_fit is not None:
        tree["gaussian_fit"] = {k: np.asarray(v, np.float32) for k, v in generator.gaussian_fit._asdict().items()}
    if generator.w_avg is not None:
        tree["w_avg"] = np.asarray(generator.w_avg, np.float32)
    return tree


def _hashes(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "config.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _expected_shapes(config: StyleGAN1Config | StyleGAN2Config) -> dict[str, tuple[int, ...]]:
    """The networks' array shapes, from the architecture alone, without allocating them."""
    family = stylegan1 if isinstance(config, StyleGAN1Config) else stylegan2
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    w = jax.ShapeDtypeStruct((1, config.num_layers, config.latent_dim), jnp.float32)
    z = jax.ShapeDtypeStruct((1, config.latent_dim), jnp.float32)
    noise = tuple(jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in config.noise_shapes)
    mapping = jax.eval_shape(family.Mapping(config).init, key, z)  # pyright: ignore
    synthesis = jax.eval_shape(family.Synthesis(config).init, key, w, noise)  # pyright: ignore
    networks = {"mapping": mapping.get("params", {}), "synthesis": synthesis["params"]}
    return {name: leaf.shape for name, leaf in _flatten(networks).items()}


def _read_config(folder: pathlib.Path, name: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise GeneratorError(f"{name}: no such folder; expected one written by `pulse-jax convert` or Generator.save")
    if not path.is_file():
        raise GeneratorError(f"{name}: not a generator folder (no config.json); expected one written by Generator.save")
    if path.stat().st_size > _CONFIG_LIMIT:
        raise GeneratorError(f"{name}: config.json is larger than {_CONFIG_LIMIT >> 20} MiB; not a generator folder")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise GeneratorError(f"{name}: config.json is not valid JSON; the folder is damaged, copy it again") from None
    kinds = {"format": int, "architecture": dict, "dtype": str, "arrays": dict, "sha256": dict}
    if not isinstance(config, dict) or any(not isinstance(config.get(key), kind) for key, kind in kinds.items()):
        raise GeneratorError(f"{name}: config.json is not a generator's; expected the keys {', '.join(kinds)}")
    if config["format"] != _FORMAT:
        raise GeneratorError(f"{name}: folder format {config['format']!r:.20}, expected {_FORMAT}; update pulse_jax")
    if config["dtype"] not in ("float32", "float16"):
        raise GeneratorError(f"{name}: storage dtype {config['dtype']!r:.20}, expected float32 or float16")
    return config


def _load(cls: type[Generator], folder: pathlib.Path, name: str) -> Generator:
    import orbax.checkpoint as ocp

    config = _read_config(folder, name)
    found = _hashes(folder)
    for file in sorted(set(found) | set(config["sha256"])):
        if found.get(file) != config["sha256"].get(file):
            state = "is missing" if file not in found else "was changed" if file in config["sha256"] else "is foreign"
            raise GeneratorError(f"{name}: {file!r:.120} {state}; the folder is damaged, copy or convert it again")
    try:
        architecture = architecture_from_dict(config["architecture"])
    except (ValueError, TypeError) as error:
        raise GeneratorError(f"{name}: {error}") from None
    width = architecture.latent_dim
    shapes = {f"networks/{key}": shape for key, shape in _expected_shapes(architecture).items()}
    if "w_avg" in config["arrays"]:
        shapes["w_avg"] = (width,)
    if any(key.startswith("gaussian_fit/") for key in config["arrays"]):
        shapes |= {"gaussian_fit/mean": (width,), "gaussian_fit/std": (width,)}
    stated = {key: tuple(value) if isinstance(value, list) else None for key, value in config["arrays"].items()}
    for key in sorted(set(shapes) | set(stated)):
        if shapes.get(key) != stated.get(key):
            raise GeneratorError(f"{name}: array {key!r:.80}: expected shape {shapes.get(key)}, got {stated.get(key)}")
    dtype = np.dtype(config["dtype"])
    template: dict[str, Any] = {}
    for key, shape in shapes.items():
        *parents, leaf = key.split("/")
        node = functools.reduce(lambda tree, part: tree.setdefault(part, {}), parents, template)
        node[leaf] = np.zeros(shape, dtype if parents and parents[0] == "networks" else np.float32)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            tree = checkpointer.restore(folder / "params", template)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GeneratorError(
            f"{name}: params cannot be read ({first:.120}); copy or convert the folder again"
        ) from None
    for key, array in _flatten(tree).items():
        if np.shape(array) != shapes[key]:
            raise GeneratorError(f"{name}: array {key!r:.80}: expected shape {shapes[key]}, got {np.shape(array)}")
        if not np.isfinite(array).all():
            raise GeneratorError(
                f"{name}: array {key!r:.80} holds NaN or infinite values; convert the checkpoint again"
            )
    tree = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)
    fit = GaussianFit(**tree["gaussian_fit"]) if "gaussian_fit" in tree else None
    params = {"mapping": {}, **tree["networks"]}
    return cls(config=architecture, params=params, gaussian_fit=fit, w_avg=tree.get("w_avg"))


def load_generator(folder: str | os.PathLike[str] | None = None) -> Generator:
    """The embedded generator of synthetic heads, or a folder written by `pulse-jax convert` or `Generator.save`.

    Raises:
        GeneratorError: the folder is missing, foreign or damaged, or holds NaN or infinite weights.
    """
    if folder is not None:
        return Generator.load(folder)
    with importlib.resources.as_file(importlib.resources.files("pulse_jax") / "data" / "heads64") as path:
        return Generator.load(path)
