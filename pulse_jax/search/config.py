"""Settings of a search as frozen dataclasses (standard library only, nothing is imported from JAX).

The command line's flags and a run's `summary.json` are made from these classes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin, get_type_hints, runtime_checkable

from pulse_jax.generators.architectures import Precision
from pulse_jax.objectives.language import parse_loss
from pulse_jax.system.checks import check_positive, shortened

__all__ = [
    "Coordinates",
    "Interpolation",
    "InterpolationConfig",
    "LatentSpace",
    "NoiseKind",
    "Numbers",
    "Phase",
    "SamplerName",
    "SearchConfig",
    "UpsamplingConfig",
]

LatentSpace = Literal["z", "w", "w+", "w++"]
"""Where a search takes place: z (through the mapping network), one row of w for all layers, one per layer, or one per
convolution filter."""
Coordinates = Literal["whitened", "plain"]
"""What a searched row of w is: whitened by PULSE's Gaussian fit, or w itself."""
NoiseKind = Literal["zero", "fixed", "trainable", "normalized", "normalized_first", "redrawn"]
"""What noise inputs are: all zero; drawn once; drawn and then searched, the coarsest layers' with their norms kept, all
with mean zero and variance one, or the coarsest layers' so and the others fixed so; or drawn anew for every look."""
StopRule = Literal["never", "feasible", "plateau"]
SamplerName = Literal["geodesic_hmc", "riemannian_langevin", "geodesic_slice", "elliptical_slice", "parallel_tempering"]
"""Names of samplers of posteriors, those of `pulse_jax.search.samplers.registry.SAMPLERS`."""
Numbers = dict[str, Any]
"""What of a `SearchConfig` compiled programs take as data, by name; `weights` are those of the loss's terms."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a search that moves some of its variables; the optimiser starts anew with it.

    Attributes:
        share: Part of the search's steps that it takes, relative to the other phases' shares.
        rate: Factor on the learning rate.
        tied: Which latent rows move as one: `all`, those of a `layer` (in "w++"), or `none`.
        block: Block (0 for 4×4) to whose output an offset is searched; of the latent only the rows of later blocks move
            then. None to search the latent.
        noise_layers: How many noise inputs it moves at most, from the first on; None for all that are searched. With a
            `block`, those that come before its output rest.
    """

    share: float
    rate: float = 1.0
    tied: Literal["all", "layer", "none"] = "none"
    block: int | None = None
    noise_layers: int | None = None

    def __post_init__(self) -> None:
        for name in ("share", "rate"):
            check_positive(f"phase {name}", getattr(self, name))
        if self.tied not in ("all", "layer", "none"):
            raise ValueError(f"phase tied: expected all, layer or none, got {self.tied!r:.80}")
        if self.block is not None and (type(self.block) is not int or self.block < 0):
            raise ValueError(f"phase block: expected an index of 0 or more, got {self.block!r:.80}")
        if self.noise_layers is not None and (type(self.noise_layers) is not int or self.noise_layers < 0):
            raise ValueError(f"phase noise_layers: expected 0 or more, got {self.noise_layers!r:.80}")


def _number(default: int | float) -> Any:
    """Declare a field that compiled programs take as data: another value of it costs no compilation."""
    return dataclasses.field(default=default, metadata={"number": True})


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything that decides how one problem is searched; presets are named values of it, the defaults are `pulse`'s.

    Attributes:
        eps: Largest mean squared error, of [0, 1] images, between D(image) and the input that counts as feasible.
        steps: Looks that a search takes at most, each at one point.
        loss: Terms `weight*NAME` joined by `+`, of `pulse_jax.objectives.terms.TERMS`.
        space: Where the search runs: `z`; `w`, one row of w tiled to all layers; `w+`, one row a layer; `w++`, one
            row a convolution filter.
        coordinates: What such a row is: `whitened` w, or `plain` w.
        geometry: `sphere`, which keeps every row on its own; `euclidean`, unconstrained; or `l1_ball`, which keeps
            every row near its start.
        latent_radius: With `l1_ball`: how far, in L1 norm, as a share of √d.
        start: Where searches start: `uniform` on the sphere √d·S^(d−1), each row by itself; `tiled`, one such point for
            all rows; `gaussian`: N(0, I), whose own norm is the radius; `mean`: the mean of w in an image's first
            search, in every other one drawn towards a random style (not on spheres); or `surrogate`: a random style,
            brought near the input by a network that `pulse-jax fit-start` fits, `tiled` where the generator has none;
            `riemannian_lbfgs` then takes that network's curvature too.
        start_ways: With `mean`: the least and the most share of the way to that style.
        mean_offset: With `mean`: added to every coordinate, as a share of the standard deviation of w.
        method: How it moves: a name in `pulse_jax.search.methods.registry.METHODS`; "gradient" follows an optimiser.
        optimizer, learning_rate, schedule: Of the method "gradient": names in `pulse_jax.optimizers.OPTIMIZERS` and
            `SCHEDULES`, and the rate in the optimiser's units. Of "riemannian_lbfgs" the rate is its largest step, in
            radians on spheres.
        phases: Parts of the search that move some of its variables each, one after another; none to move all at once.
        feature_radius: Largest mean absolute value of an offset that a phase with a `block` searches; None for any.
        noise: What the generator's noise images are, see `NoiseKind`.
        trainable_noise_layers: How many noise layers are searched with `trainable` or `normalized_first`, from the
            first on.
        zeroed_noise_layers: Noise layers that are zero whatever `noise` says.
        stop: When a search ends: `never` before all its steps; `feasible`, once its delivered image is within eps;
            `plateau`, then and when the loss has not fallen by a thousandth of itself for `patience` steps.
        patience: Steps without progress after which a search ends, with `plateau`.
        noise_scale: Scale of the likelihoods LAPLACE and GAUSSIAN, for images in [0, 1].
        repulsion: Weight of the term by which an image's searches repel each other (`pulse_jax.search.repulsion`), in
            units of the loss; 0 lets each search by itself. All searches of an image then step together, and each
            depends on how many there are.
        latent_noise: Noise on each look's latent, as a share of the standard deviation of w; it is ramped down to 0 at
            3/4 of the steps.
        clamp_loss: Floor the downscaling loss at eps, with no gradient below it, as the original program does.
        degradation: D, by its name in `pulse_jax.images.degradations.registry.DEGRADATIONS`, or a chain of linear ones
            in the language of `pulse_jax.images.degradations.language`, such as "blur(2)|bicubic".
        blur_at_factor_one: Apply the original program's slight blur when input and output have one size.
        output_size: Side of the delivered pictures, the generator's downscaled by D; None for the generator's own.
        precision: Arithmetic of the synthesis network; everything else is float32.
        rematerialize: Keep only blocks' outputs for the gradient, and compute what is inside again. Meant for
            accelerators: on CPUs it was measured to take more memory, not less.
        exact: Move each delivered picture, as little as needed, to where it downscales to the input to rounding
            (`images.back_projection`). It then is no longer quite what the generator draws.
    """

    eps: float = _number(1e-3)
    steps: int = _number(100)
    loss: str = "100*L2+0.05*GEOCROSS"
    space: LatentSpace = "w+"
    coordinates: Coordinates = "whitened"
    geometry: Literal["sphere", "euclidean", "l1_ball"] = "sphere"
    latent_radius: float = 1.0
    start: Literal["uniform", "tiled", "gaussian", "mean", "surrogate"] = "tiled"
    start_ways: tuple[float, float] = (0.2, 0.4)
    mean_offset: float = 0.0
    method: str = "gradient"
    optimizer: str = "riemannian_momentum"
    learning_rate: float = _number(0.05)
    schedule: str = "linear1cycledrop"
    phases: tuple[Phase, ...] = ()
    feature_radius: float | None = 0.1
    noise: NoiseKind = "fixed"
    trainable_noise_layers: int = 5
    zeroed_noise_layers: tuple[int, ...] = ()
    stop: StopRule = "feasible"
    patience: int = _number(20)
    noise_scale: float = _number(0.05)
    repulsion: float = _number(0.0)
    latent_noise: float = _number(0.0)
    clamp_loss: bool = False
    degradation: str = "bicubic"
    blur_at_factor_one: bool = False
    output_size: int | None = None
    precision: Precision = "float32"
    rematerialize: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        _check_shared(self.eps, self.steps, self.output_size)
        self._check_types()
        if self.trainable_noise_layers < 0:
            raise ValueError(f"trainable_noise_layers: expected 0 or more, got {self.trainable_noise_layers}")
        if any(layer < 0 for layer in self.zeroed_noise_layers):
            raise ValueError(f"zeroed_noise_layers: expected indices of 0 or more, got {self.zeroed_noise_layers}")
        if self.patience < 1:
            raise ValueError(f"patience: expected 1 or more, got {self.patience}")
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise ValueError(f"{name}: expected one of {known}, got {getattr(self, name)!r:.80}")
        parse_loss(self.loss)
        self._check_names()
        for name in ("learning_rate", "latent_radius", "noise_scale"):
            check_positive(name, getattr(self, name))
        if self.feature_radius is not None:
            check_positive("feature_radius", self.feature_radius)
        for name in ("repulsion", "latent_noise", "mean_offset"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e30:
                raise ValueError(f"{name}: expected 0 or more, got {shortened(value)}")
        if self.start == "mean" and (self.geometry == "sphere" or self.space == "z"):
            raise ValueError("start: expected geometry euclidean or l1_ball and a space of w where it is mean")
        if self.start == "surrogate" and (self.space, self.coordinates, self.geometry) != ("w+", "whitened", "sphere"):
            raise ValueError("start: expected space w+, whitened coordinates and geometry sphere where it is surrogate")
        if any(phase.block is not None for phase in self.phases) and self.space != "w+":
            raise ValueError(f"phases: expected space w+ where a block is searched, got {self.space!r}")

    def _check_types(self) -> None:
        """Settings may come from a file: raises `ValueError` for a list, say, where a truth value belongs."""
        hints = get_type_hints(type(self))
        expected = {bool: "True or False", str: "a text", int: "an integer"}
        for name, kind in hints.items():
            value = getattr(self, name)
            if kind in expected and (type(value) is not kind or (kind is int and abs(value) >= 2**31)):
                raise ValueError(f"{name}: expected {expected[kind]}, got {shortened(value)}")
        layers, phases = self.zeroed_noise_layers, self.phases
        if not isinstance(layers, list | tuple) or any(type(layer) is not int for layer in layers):
            raise ValueError(f"zeroed_noise_layers: expected indices of 0 or more, got {shortened(layers)}")
        if not isinstance(phases, tuple) or not all(isinstance(phase, Phase) for phase in phases):
            raise ValueError(f"phases: expected a tuple of Phase, got {shortened(phases)}")
        object.__setattr__(self, "zeroed_noise_layers", tuple(layers))
        ways = self.start_ways
        numbers = isinstance(ways, list | tuple) and all(type(way) in (int, float) for way in ways)
        if not numbers or len(ways) != 2 or not 0 <= ways[0] <= ways[1] < 1e30:
            raise ValueError(f"start_ways: expected two ascending numbers of 0 or more, got {shortened(ways)}")
        object.__setattr__(self, "start_ways", (float(ways[0]), float(ways[1])))

    def _check_names(self) -> None:
        # Imported here: these tables hold functions and load JAX, which settings alone must not.
        from pulse_jax.images.degradations.chain import check_known
        from pulse_jax.images.degradations.registry import DEGRADATIONS
        from pulse_jax.optimizers.registry import OPTIMIZERS
        from pulse_jax.optimizers.schedules import SCHEDULES

        tables = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        for name, known in tables.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r:.80}")
        if self.degradation not in DEGRADATIONS:
            try:
                check_known(self.degradation)
            except ValueError as error:
                raise ValueError(f"degradation: {error}") from None

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SearchConfig:
        """The inverse of `dataclasses.asdict`, of what JSON has kept of it; raises `TypeError` or `ValueError`."""
        phases = tuple(Phase(**phase) for phase in fields.get("phases", ()))
        rows: dict[str, Any] = {"phases": phases}
        for name in ("zeroed_noise_layers", "start_ways"):
            if name in fields:
                rows[name] = tuple(fields[name])
        return cls(**fields | rows)

    @property
    def numbers(self) -> Numbers:
        """What compiled programs take as data."""
        weights = tuple(term.weight for term in parse_loss(self.loss))
        return {field.name: getattr(self, field.name) for field in _numeric(self)} | {"weights": weights}

    @property
    def structure(self) -> SearchConfig:
        """This config with every one of its `numbers` made 1, or left 0: what programs are compiled for.

        What happens to a picture after its search has no part in them.
        """
        ones: dict[str, Any] = {
            field.name: type(field.default)(getattr(self, field.name) > 0) for field in _numeric(self)
        }
        return dataclasses.replace(
            self, **ones, loss="+".join(term.name for term in parse_loss(self.loss)), exact=False
        )

    @property
    def smallest_sides(self) -> dict[str, int]:
        """Smallest side of a low-resolution image that each term of the loss can judge, in pixels, by its name."""
        # Imported here, for the reason that `_check_names` gives.
        from pulse_jax.objectives.terms import TERMS

        return {term.name: TERMS[term.name].smallest_side for term in parse_loss(self.loss)}


def _numeric(config: SearchConfig) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(config) if field.metadata.get("number")]


Interpolation = Literal["bicubic", "lanczos", "nearest"]


@dataclass(frozen=True, kw_only=True)
class InterpolationConfig:
    """Settings of a plain enlargement, which searches nothing: something to compare searches with, judged as they are.

    Attributes:
        method: Kernel of the enlargement, see `pulse_jax.search.interpolation`.
        eps: As in `SearchConfig`.
        steps: Taken so that every preset may be called alike; it has no effect.
        output_size: Side of the delivered pictures, which must be one that the generator could deliver; None for the
            generator's own.
        exact: As in `SearchConfig`.
    """

    method: Interpolation
    eps: float = 1e-3
    steps: int = 1
    output_size: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.method not in get_args(Interpolation):
            raise ValueError(f"method: expected one of {', '.join(get_args(Interpolation))}, got {self.method!r:.80}")
        _check_shared(self.eps, self.steps, self.output_size)

    @property
    def degradation(self) -> str:
        """Name of the D by which its pictures are judged: bicubic downscaling."""
        return "bicubic"

    @property
    def blur_at_factor_one(self) -> bool:
        """False: at factor 1 an enlargement is the input itself, and so is what D makes of it."""
        return False

    @property
    def smallest_sides(self) -> dict[str, int]:
        """Empty: there is no loss."""
        return {}


@runtime_checkable
class UpsamplingConfig(Protocol):
    """What both kinds of settings tell, `SearchConfig` and `InterpolationConfig`: what is delivered, and how judged.

    Who only asks this need not know which kind it is; `engine.stream.solve_stream` tells them apart.
    """

    # So that `dataclasses.asdict` takes either.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def eps(self) -> float:
        """Largest mean squared error, of [0, 1] images, between D(image) and the input that counts as feasible."""
        ...

    @property
    def steps(self) -> int:
        """Optimiser steps, at most."""
        ...

    @property
    def output_size(self) -> int | None:
        """Side of the delivered pictures in pixels; None for the generator's own."""
        ...

    @property
    def exact(self) -> bool:
        """Whether delivered pictures are moved to where they downscale to the input exactly."""
        ...

    @property
    def degradation(self) -> str:
        """D, by its name in `pulse_jax.images.degradations.registry.DEGRADATIONS`, or as a chain in their language."""
        ...

    @property
    def blur_at_factor_one(self) -> bool:
        """Whether D blurs when input and output have one size."""
        ...

    @property
    def smallest_sides(self) -> dict[str, int]:
        """Smallest side in pixels that a low-resolution image may have for each term of the loss."""
        ...


def _check_shared(eps: float, steps: int, output_size: int | None) -> None:
    """See that what both kinds of settings have is in range; raises `ValueError`."""
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps <= 1:
        raise ValueError(f"eps: expected a mean squared error in (0, 1], got {shortened(eps)}")
    if type(steps) is not int:
        raise ValueError(f"steps: expected an integer, got {shortened(steps)}")
    if not 1 <= steps <= 1_000_000:
        raise ValueError(f"steps: expected 1 to 1000000, got {shortened(steps)}")
    if output_size is not None and (type(output_size) is not int or output_size < 1):
        raise ValueError(f"output_size: expected a positive integer, got {output_size!r:.80}")
