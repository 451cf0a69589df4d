"""Generators as values: parameters, static settings and fits in one pytree that can be passed to jitted functions."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import operator
import os
from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.generators.architectures import FAMILIES, ArchitectureConfig, FunctionConfig, Precision
from pulse_jax.generators.arithmetic import ARITHMETICS
from pulse_jax.generators.folder import read_folder, write_folder
from pulse_jax.generators.networks.kernel_forms import COLLECTION, prepare
from pulse_jax.generators.networks.lpips import Perceptual
from pulse_jax.generators.priors.bundle import MissingPrior, Priors, what_is_missing
from pulse_jax.generators.priors.flow import Flow
from pulse_jax.generators.priors.gaussian import GaussianFit, fit_gaussian
from pulse_jax.generators.priors.moments import Mapping, measure_moments
from pulse_jax.generators.priors.plausibility import PlausibilityFit
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.generators.priors.surrogate import Surrogate
from pulse_jax.system.devices import start_jax
from pulse_jax.system.keys import random_key
from pulse_jax.system.programs import compile_watched

__all__ = ["Generator", "load_generator"]

_AVERAGED = 100_000  # draws of w_avg and w_std
# What a folder may hold beside the networks. A flow that starts from plain dimensions has no basis to store.
_FITS = {
    "gaussian_fit": GaussianFit,
    "principal": PrincipalFit,
    "flow": functools.partial(Flow, basis=None),
    "surrogate": Surrogate,
    "plausibility": PlausibilityFit,
}
_ARRAYS = ("w_avg", "w_std", "label")


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "params",
        "gaussian_fit",
        "principal",
        "flow",
        "surrogate",
        "plausibility",
        "w_avg",
        "w_std",
        "label",
        "perceptual",
        "forms",
        "accelerated",
    ],
    meta_fields=["config", "function", "mapping_function"],
)
@dataclass(frozen=True, kw_only=True)
class Generator:
    """A trained generator; a pytree whose leaves are its arrays, so that no compiled program holds weights.

    Attributes:
        config: Architecture (static).
        params: Nested dict of float32 arrays; every family in `FAMILIES` has `mapping` and `synthesis`.
        gaussian_fit: PULSE's whitening of w (see `priors.gaussian`), of a fixed label's where there is one; or None.
        principal: Whitening of w with its full covariance (see `priors.principal`), likewise, or None.
        flow: Flow fitted to w (see `priors.flow`), likewise, or None.
        surrogate: Small network that stands for D∘G where a search starts (see `priors.surrogate`), likewise, or None.
        plausibility: What own samples are like (see `priors.plausibility`), likewise, or None.
        w_avg: Mean of w (d,), over all classes, which truncation needs, or None.
        w_std: σ = sqrt(mean ‖w − w_avg‖²), a number, or None.
        label: Label (label_dim,) that `with_label` fixed, or None.
        perceptual: Network of the loss LPIPS, attached with `dataclasses.replace`, or None; no folder holds it.
        forms: Kernels as `prepared` makes them for CPUs, or None.
        accelerated: What it makes for other devices, or None.
        function, mapping_function: Functions of a user's own generator (see `from_function`).
    """

    config: ArchitectureConfig
    params: Any
    gaussian_fit: GaussianFit | None = None
    principal: PrincipalFit | None = None
    flow: Flow | None = None
    surrogate: Surrogate | None = None
    plausibility: PlausibilityFit | None = None
    # As of any pytree, JAX puts other things in the arrays' places when it describes a program.
    w_avg: Any = None
    w_std: Any = None
    label: Any = None
    perceptual: Perceptual | None = None
    forms: Any = field(default=None, repr=False)
    accelerated: Any = field(default=None, repr=False)
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
    def label_dim(self) -> int:
        """How many classes are left to choose from: the length of the label that `map` needs, 0 where it needs none."""
        return 0 if self.label is not None else self.config.label_dim

    @property
    def _networks(self) -> Any:
        """The module of the networks of this architecture, which is no user's own function."""
        return FAMILIES[self.config.family].load_networks()

    @property
    def _accelerated(self) -> Any:
        """The module of their synthesis in the form that accelerators prefer, or None."""
        return FAMILIES[self.config.family].load_accelerated()

    @property
    def priors(self) -> Priors:
        """What is known of w, and the perceptual network, as losses take them."""
        return Priors(self.flow, self.principal, self.w_avg, self.w_std, self.perceptual)

    @property
    def num_filters(self) -> int:
        """The rows of w that `synthesize` takes with a style for every filter; 0 for a user's own function."""
        return sum(self.config.filters)

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
            function: `function(params, w, noise)`, for one image: w (L, d) and a tuple of noise images → (H, W, 3),
                nominally [0, 1]. It is mapped over batches with `jax.vmap`.
            params: Whatever pytree of arrays `function` needs.
            resolution: Height and width of the images.
            latent_dim: Width d of z and w.
            num_layers: Rows L of w.
            noise_shapes: Shape (r, r, 1) of every noise input; none by default.
            mapping: `mapping(params, z)` (…, d) → (…, d); the identity by default.
            gaussian_fit: Whitening, needed to search `w` or `w+`; without one, search `z`.
        """
        shapes = tuple((rows, columns, channels) for rows, columns, channels in noise_shapes)
        config = FunctionConfig(
            resolution=resolution, latent_dim=latent_dim, num_layers=num_layers, noise_shapes=shapes
        )
        return cls(config=config, params=params, gaussian_fit=gaussian_fit, function=function, mapping_function=mapping)

    def with_label(self, label: int | Array) -> Generator:
        """Return this generator for one label, to be searched, sampled and saved like one without classes.

        The label is data, kept beside the weights, so that no arithmetic differs from `map(z, label)`. The Gaussian
        fit, the principal components, the flow, the surrogate and what samples are like are dropped, because they were
        not this label's: `fitted` and the functions that fit the others make those. `w_avg` and `w_std` stay those over
        all classes.

        Args:
            label: Class, 0 to label_dim − 1, or a vector (label_dim,) of weights of the classes.

        Raises:
            ValueError: The generator takes no labels, the class is out of range or the vector has another shape.
        """
        count = self.label_dim
        if not count:
            raise ValueError(f"label: {self._no_label()}")
        if jnp.ndim(label) == 0:
            number = operator.index(label)
            if not 0 <= number < count:
                raise ValueError(f"label: expected a class from 0 to {count - 1}, got {number}")
            label = jax.nn.one_hot(number, count)
        elif jnp.shape(label) != (count,):
            expected = f"a class from 0 to {count - 1} or shape ({count},)"
            raise ValueError(f"label: expected {expected}, got shape {jnp.shape(label)}")
        label = jnp.asarray(label, jnp.float32)
        return dataclasses.replace(self, label=label, **dict.fromkeys(_FITS))

    def with_flow(self, flow: Flow) -> Generator:
        """Return this generator with a flow; the norms of samples under another one are dropped."""
        known = self.plausibility
        return dataclasses.replace(self, flow=flow, plausibility=None if known is None else known._replace(norms=None))

    def _no_label(self) -> str:
        return "this generator's is fixed" if self.label is not None else "this generator takes none"

    def map(self, z: Float[Array, "... d"], label: Float[Array, "... n"] | None = None) -> Float[Array, "... d"]:
        """Map z to w by the mapping network.

        Args:
            z: Latents (…, d).
            label: Labels (…, label_dim) of a generator with classes, one-hot or any weights of the classes; their
                leading axes are broadcast against z's.

        Raises:
            MissingPrior: The generator came without its mapping network.
            ValueError: z has another width than the generator's, or a label is missing, not wanted or of another width.
        """
        if not self.config.has_mapping:
            raise MissingPrior(f"z: expected {what_is_missing('mapping')}")
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"z: expected shape (…, {self.latent_dim}), got {z.shape}")
        count = self.label_dim
        if label is None and count:
            raise ValueError(f"label: expected shape (…, {count}), or a generator made by with_label, got None")
        if label is not None and not count:
            raise ValueError(f"label: expected None because {self._no_label()}, got shape {label.shape}")
        if label is not None and label.shape[-1:] != (count,):
            raise ValueError(f"label: expected shape (…, {count}), got {label.shape}")
        if self.function is not None:
            return z if self.mapping_function is None else self.mapping_function(self.params, z)
        label = self.label if label is None else label
        return self._networks.Mapping(self.config).apply({"params": self.params["mapping"]}, z, label)

    def synthesize(
        self,
        w: Float[Array, "*batch layers d"],
        noise: tuple[Float[Array, "*batch _ _ 1"], ...],
        *,
        precision: Precision = "float32",
        offsets: Dictionary[int, Float[Array, "*batch _ _ c"]] | None = None,
    ) -> Float[Array, "*batch h w 3"]:
        """Synthesise images of w and noise, nominally in [0, 1], unclipped.

        Args:
            w: One row per layer (…, L, d), or one per filter (…, `num_filters`, d): W++ of Poirier-Ginter and Lalonde
                (2023), layer by layer, and of StyleGAN2 a layer's convolution before the colours.
            noise: Every noise input.
            precision: Arithmetic of the convolutions (`ARITHMETICS`); `tf32` is to be had in an accelerator's form (see
                `prepared`), elsewhere it is `float32`.
            offsets: Arrays added to the output of a block, by its number (0 is 4×4): Daras et al. (2021), ILO.

        Raises:
            ValueError: w, a noise input or an offset has another shape than the generator's, or `precision` is unknown.
        """
        if not self.num_filters or w.shape[-2:] != (self.num_filters, self.latent_dim):
            self._check_w(w)
        if precision not in ARITHMETICS:
            raise ValueError(f"precision: expected one of {', '.join(ARITHMETICS)}, got {precision!r}")
        batch = w.shape[:-2]
        expected = tuple((*batch, *shape) for shape in self.noise_shapes)
        if tuple(n.shape for n in noise) != expected:
            raise ValueError(f"noise: expected shapes {expected}, got {tuple(n.shape for n in noise)}")
        flat = w.reshape(-1, *w.shape[-2:])
        flat_noise = tuple(n.reshape(-1, *n.shape[-3:]) for n in noise)
        flat_offsets = {}
        for block, offset in (offsets or {}).items():
            if offset.shape != (*batch, *self.block_shape(block)):
                raise ValueError(f"offsets: expected {self.block_shape(block)} of block {block}, got {offset.shape}")
            flat_offsets[block] = offset.reshape(-1, *offset.shape[-3:])
        if self.function is not None:
            images = jax.vmap(self.function, in_axes=(None, 0, 0))(self.params, flat, flat_noise)
            size = (self.resolution, self.resolution, 3)
            if images.shape[1:] != size:
                raise ValueError(f"function: expected an image of shape {size}, got {images.shape[1:]}")
        elif self.accelerated is not None and w.shape[-2] == self.num_layers:
            given = self.params["synthesis"], self.accelerated, flat, flat_noise, flat_offsets
            images = self._accelerated.synthesize(self.config, *given, **ARITHMETICS[precision]._asdict()) * 0.5 + 0.5
        else:
            dtype = ARITHMETICS[precision].dtype
            module = self._networks.Synthesis(self.config, dtype=dtype)
            variables = {"params": self.params["synthesis"]}
            if self.forms is not None and dtype == jnp.float32:
                variables[COLLECTION] = self.forms
            images = module.apply(variables, flat, flat_noise, flat_offsets) * 0.5 + 0.5
        return images.reshape(*batch, self.resolution, self.resolution, 3)

    def prepared(self, platform: str) -> Generator:
        """Return this generator in the form that a platform synthesises fastest with, beside its weights.

        Pictures and gradients differ from this generator's in rounding only, but for gradients in the weights: an
        accelerator's form gives none. A user's own function has no other form; nor have pictures in bfloat16 on CPUs,
        and those from a row of w for every filter.

        Args:
            platform: As `jax.Device.platform` calls it.
        """
        if self.function is not None:
            return self
        params = self.params["synthesis"]
        if platform == "cpu":
            return dataclasses.replace(self, forms=prepare(self._networks.Synthesis(self.config), params))
        if self._accelerated is None:
            return self
        prepare_accelerated = jax.jit(self._accelerated.prepare, static_argnums=0)
        return dataclasses.replace(self, accelerated=prepare_accelerated(self.config, params))

    def block_shape(self, block: int) -> tuple[int, int, int]:
        """Return the shape (r, r, c) of a block's output, numbered from 0; raise `ValueError` if there is none."""
        return self.config.block_shape(block)

    def truncate(
        self, w: Float[Array, "... layers d"], psi: float, cutoff: int | None = None
    ) -> Float[Array, "... layers d"]:
        """Pull the first `cutoff` rows (default all) towards the mean of w: w_avg + psi · (w − w_avg).

        Raises:
            ValueError: The generator knows no mean of w, or w has another shape than the generator's.
        """
        self._check_w(w)
        if self.w_avg is None:
            raise ValueError("truncation: expected a generator with w_avg, this one has none")
        rows = jnp.arange(w.shape[-2])[:, None] < (w.shape[-2] if cutoff is None else cutoff)
        return jnp.where(rows, self.w_avg + psi * (w - self.w_avg), w)

    def _check_w(self, w: Array) -> None:
        if w.shape[-2:] != (self.num_layers, self.latent_dim):
            raise ValueError(f"w: expected shape (…, {self.num_layers}, {self.latent_dim}), got {w.shape}")

    def sample(
        self,
        key: PRNGKeyArray,
        n: int,
        *,
        truncation: float = 1.0,
        on_compiling: Callable[[float], object] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Float[Array, "n h w 3"]:
        """Draw n random images (n, H, W, 3), nominally [0, 1], unclipped; image i depends on `fold_in(key, i)` alone.

        Args:
            key: Random key.
            n: How many images.
            truncation: ψ of `truncate`; 1 for none.
            on_compiling: Function to call some times a second while a program compiles, with the seconds it has taken.
            on_progress: Function to call with how many images are drawn, and `n`, after every eight.

        Raises:
            MissingPrior: The generator came without its mapping network.
            ValueError: n is negative, the generator knows no mean of w to truncate to, or its label is not fixed yet.
        """
        if n < 0:
            raise ValueError(f"n: expected 0 or more, got {n}")
        # Always eight at a time: another batch would compile differently and change last bits.
        images = []
        for i in range(0, n, 8):
            given = self, key, jnp.arange(i, i + 8), truncation
            if not i and on_compiling is not None:
                compile_watched(_draw.lower(*given), on_compiling)
            images.append(_draw(*given))
            if on_progress is not None:
                jax.block_until_ready(images[-1])
                on_progress(min(i + 8, n), n)
        return jnp.concatenate(images)[:n] if images else jnp.zeros((0, self.resolution, self.resolution, 3))

    def fitted(
        self, *, samples: int = 1_000_000, seed: int = 0, on_progress: Callable[[int, int], object] | None = None
    ) -> Generator:
        """Return this generator with PULSE's Gaussian fit of its mapping network's outputs, over `samples` draws.

        Where they are missing it gets `w_avg` and `w_std` too, over 100,000 draws at most; a surrogate, whose
        coordinates were others, is dropped. Of a generator with classes,
        every draw has a class of its own, all equally likely; after `with_label` the fit is that label's. `on_progress`
        is called between batches with how many draws are done, and `samples`.
        """
        mapping, width = self.latent_sampler()
        key = random_key(seed)
        fit = fit_gaussian(mapping, key, width, samples=samples, on_progress=on_progress)
        average, deviation = self.w_avg, self.w_std
        if average is None or deviation is None:
            moments = measure_moments(mapping, key, width, samples=min(samples, _AVERAGED))
            average = jnp.asarray(moments.mean, jnp.float32) if average is None else average
            # w_avg may be another mean: a checkpoint's, or that over all classes.
            if deviation is None:
                deviation = jnp.asarray(moments.spread(np.asarray(average)), jnp.float32)
        # A surrogate's coordinates are those of the fit that it was made with.
        return dataclasses.replace(self, gaussian_fit=fit, surrogate=None, w_avg=average, w_std=deviation)

    def latent_sampler(self) -> tuple[Mapping, int]:
        """Return a compiled function from Gaussian vectors to random w, (n, width) -> (n, d), and that width.

        For the functions that fit something to w. Of a generator with classes, a vector's last number is its class, all
        equally likely.
        """
        width, count = self.latent_dim, self.label_dim
        if not count:
            return jax.jit(self.map), width

        @jax.jit
        def mapping(draws: Array) -> Array:
            # The distribution function makes a Gaussian uniform.
            index = jnp.floor(jax.scipy.stats.norm.cdf(draws[:, width]) * count)
            return self.map(draws[:, :width], jax.nn.one_hot(jnp.minimum(index, count - 1).astype(int), count))

        return mapping, width + 1

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        dtype: Literal["float32", "float16"] = "float32",
        source: str = "pulse_jax",
        overwrite: bool = False,
        reports: dict[str, bytes] | None = None,
    ) -> None:
        """Write a generator folder, whole or not at all.

        Args:
            folder: Folder to make.
            dtype: Type that the networks' arrays, the flow's blocks and the surrogate are stored in; loading gives
                float32.
            source: Origin of the weights, kept in `config.json`.
            overwrite: Whether to replace an existing generator folder; anything else is never replaced.
            reports: Files about the fits, by their names.

        Raises:
            GeneratorError: The folder exists or cannot be written, the generator is a user's own function, or its
                arrays do not fit its architecture or `dtype`.
        """
        known = {name: getattr(self, name) for name in (*_FITS, *_ARRAYS) if getattr(self, name) is not None}
        tree = {name: value._asdict() if name in _FITS else value for name, value in known.items()}
        tree["networks"] = self.params
        write_folder(folder, self.config, tree, dtype=dtype, source=source, overwrite=overwrite, reports=reports)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Generator:
        """Read a generator folder, every file's hash and every array's shape and values verified.

        Raises:
            DeviceError: JAX cannot start on the device that it is told to use.
            GeneratorError: The folder is missing, foreign or damaged, or holds NaN or infinite weights.
        """
        start_jax()
        config, tree = read_folder(folder)
        # One by one, so that what is stored in half precision is not there twice.
        leaves, structure = jax.tree.flatten(tree)
        del tree
        leaves.reverse()
        tree = structure.unflatten([jnp.asarray(leaves.pop(), jnp.float32) for _ in range(len(leaves))])
        return cls(
            config=config,
            params={"mapping": {}, **tree["networks"]},  # a mapping network of no layers has no arrays
            **{name: fit(**tree[name]) for name, fit in _FITS.items() if name in tree},
            **{name: tree[name] for name in _ARRAYS if name in tree},
        )


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


def load_generator(folder: str | os.PathLike[str] | None = None) -> Generator:
    """Load the embedded generator of synthetic heads, or a folder written by `Generator.save`.

    Raises:
        DeviceError: JAX cannot start on the device that it is told to use.
        GeneratorError: The folder is missing, foreign or damaged, or holds NaN or infinite weights.
    """
    if folder is not None:
        return Generator.load(folder)
    with importlib.resources.as_file(importlib.resources.files("pulse_jax") / "data" / "heads64") as path:
        return Generator.load(path)
