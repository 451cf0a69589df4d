"""Architectures of generators: their settings as frozen dataclasses, the table of families, and the JSON form.

Standard library only: whoever needs no more than an architecture, as the readers of checkpoints do, needs no JAX.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_type_hints

from pulse_jax.system.checks import check_positive

__all__ = [
    "FAMILIES",
    "MAX_MAPPING_LAYERS",
    "MAX_RESOLUTION",
    "RARE_SETTINGS",
    "ArchitectureConfig",
    "Family",
    "FunctionConfig",
    "Precision",
    "StyleGAN1Config",
    "StyleGAN2Config",
    "StyleGANConfig",
    "architecture_from_dict",
    "architecture_to_dict",
]

Precision = Literal["float32", "tf32", "bfloat16"]
"""Arithmetics that a synthesis network can be run in (`arithmetic.ARITHMETICS`)."""
MAX_RESOLUTION = 4096
"""Largest side of a StyleGAN's pictures, in pixels."""
MAX_MAPPING_LAYERS = 64
"""Most layers of a StyleGAN's mapping network."""
_MAX_WIDTH = 16_384
_MAX_LABELS = 65_536


@dataclass(frozen=True, kw_only=True)
class ArchitectureConfig:
    """Settings of a generator, and what the rest of the program asks of them; every family has a subclass.

    Where a family has more than what stands here, a field or a property of the same name tells of it.

    Attributes:
        resolution: Height and width of the pictures.
        latent_dim: Width d of z and w.
        family: Name of the family in `FAMILIES`; empty for a user's own function, which no folder can hold.
        num_layers: Rows L of w that the synthesis network takes.
        noise_shapes: Shape (r, r, 1) of every noise input.
        label_dim: Length of the label that the mapping network takes beside z, one number per class; 0 for none.
        blocks: Side of every block's output, which offsets may be added to.
        channels: Width of every block's output.
        filters: Filters per row of w, for styles of their own; empty where the synthesis network takes none.
        has_mapping: Whether the mapping network is known; without it z stands for nothing.
    """

    resolution: int
    latent_dim: int
    family: ClassVar[str] = ""
    num_layers: ClassVar[int] = 1
    noise_shapes: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    label_dim: ClassVar[int] = 0
    blocks: ClassVar[tuple[int, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()
    filters: ClassVar[tuple[int, ...]] = ()
    has_mapping: ClassVar[bool] = True

    def block_shape(self, block: int) -> tuple[int, int, int]:
        """Return the shape (r, r, c) of a block's output, numbered from 0.

        Raises:
            ValueError: There is no such block.
        """
        if not 0 <= block < len(self.blocks):
            raise ValueError(f"block: this generator has no block {block}")
        return self.blocks[block], self.blocks[block], self.channels[block]

    def rows_until(self, block: int) -> int:
        """Return how many rows of w have been used when this block's output, numbered from 0, is there.

        Raises:
            ValueError: There is no such block.
        """
        raise ValueError(f"block: this generator has no block {block}")

    def noise_until(self, block: int) -> int:
        """Return how many noise inputs have been used by then: one for each row of w, as in both StyleGANs.

        Raises:
            ValueError: There is no such block.
        """
        return self.rows_until(block)

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of the networks by its path, as `synthesis/const`, without JAX.

        Only a family whose checkpoints are converted needs to tell. That they are the networks' own is for tests.

        Raises:
            NotImplementedError: This family does not tell.
        """
        raise NotImplementedError(f"array_shapes: {type(self).__name__} does not tell the shapes of its arrays")

    def details(self) -> dict[str, str]:
        """Return settings that only this family has, as people are told of them."""
        return {}


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig(ArchitectureConfig):
    """What both StyleGANs share.

    Attributes:
        mapping_layers: Dense layers of the mapping network; None where that network is not known, as of those who have
            PULSE's synthesis.pt and gaussian_fit.pt alone.
        mapping_lr_multiplier: Learning rate multiplier of the mapping network, by which its weights are scaled.
        channels: One width per block, from 4×4 up to `resolution`; empty for the published ones.
        label_norm: How labels enter the mapping network.
        channel_base: Half the numerator of the published widths.
    """

    resolution: int = 1024
    latent_dim: int = 512
    mapping_layers: int | None = 8
    mapping_lr_multiplier: float = 0.01
    channels: tuple[int, ...] = ()
    label_dim: int = 0
    label_norm: ClassVar[str]
    channel_base: ClassVar[int]

    def __post_init__(self) -> None:
        size = self.resolution
        if not (4 <= size <= MAX_RESOLUTION and size & (size - 1) == 0):
            raise ValueError(f"resolution: expected a power of two from 4 to {MAX_RESOLUTION}, got {size!s:.80}")
        if not 0 <= (self.mapping_layers or 0) <= MAX_MAPPING_LAYERS:
            raise ValueError(f"mapping_layers: expected 0 to {MAX_MAPPING_LAYERS}, got {self.mapping_layers!s:.80}")
        if not 1 <= self.latent_dim <= _MAX_WIDTH:
            raise ValueError(f"latent_dim: expected 1 to {_MAX_WIDTH}, got {self.latent_dim!s:.80}")
        check_positive("mapping_lr_multiplier", self.mapping_lr_multiplier)
        # A whole number from a file, within range, may be larger than JAX's own.
        object.__setattr__(self, "mapping_lr_multiplier", float(self.mapping_lr_multiplier))
        if not 0 <= self.label_dim <= _MAX_LABELS:
            raise ValueError(f"label_dim: expected 0 to {_MAX_LABELS}, got {self.label_dim!s:.80}")
        if self.label_dim and not self.mapping_layers:
            raise ValueError(
                f"label_dim: expected 0 where the mapping network has no layers to take labels, got {self.label_dim}"
            )
        blocks = size.bit_length() - 2
        if not self.channels:
            widths = tuple(min(2 * self.channel_base // block, 512) for block in self.blocks)
            object.__setattr__(self, "channels", widths)
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) != blocks or not all(1 <= width <= _MAX_WIDTH for width in self.channels):
            expected = f"{blocks} widths from 1 to {_MAX_WIDTH} for {size}x{size}"
            raise ValueError(f"channels: expected {expected}, got {self.channels!s:.80}")

    @property
    def has_mapping(self) -> bool:
        """See `ArchitectureConfig`."""
        return self.mapping_layers is not None

    @property
    def num_layers(self) -> int:
        """Rows of w, L = 2·log2(resolution) − 2."""
        return 2 * (self.resolution.bit_length() - 1) - 2

    @property
    def blocks(self) -> tuple[int, ...]:
        """The block resolutions 4, 8, …, resolution."""
        return tuple(2**level for level in range(2, self.resolution.bit_length()))

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `ArchitectureConfig`."""
        d = self.latent_dim
        shapes: dict[str, tuple[int, ...]] = {}
        if self.label_dim:
            shapes["mapping/label_weight"] = (self.label_dim, d)
            if self.label_norm == "separate":
                shapes["mapping/label_bias"] = (d,)
        for i in range(self.mapping_layers or 0):
            # The label's embedding stands beside z.
            shapes[f"mapping/dense{i}_weight"] = (2 * d if self.label_dim and i == 0 else d, d)
            shapes[f"mapping/dense{i}_bias"] = (d,)
        shapes["synthesis/const"] = (4, 4, self.channels[0])
        return shapes

    def details(self) -> dict[str, str]:
        """See `ArchitectureConfig`."""
        if self.mapping_layers is None:
            return {"mapping": "none: only w can be searched"}
        return {"mapping": f"{self.mapping_layers} layers, learning rate multiplier {self.mapping_lr_multiplier:g}"}


@dataclass(frozen=True, kw_only=True)
class StyleGAN1Config(StyleGANConfig):
    """StyleGAN (Karras, Laine, Aila 2019): style by instance normalisation and affine modulation.

    Labels are embedded by one matrix; z and the embedding, side by side, are normalised together.

    Attributes:
        instance_norm_eps: Epsilon of the instance norm: 1e-5 in the PyTorch ports (PULSE among them), 1e-8 in the
            TensorFlow original.
        bias_before_blur: Whether an up-convolution's bias comes before its blur, as rosinality's: other borders.
        shared_noise: Whether both layers of a block take the same noise image, as in rosinality's port.
    """

    family: ClassVar[str] = "stylegan1"
    instance_norm_eps: float = 1e-5
    bias_before_blur: bool = False
    shared_noise: bool = False
    label_norm: ClassVar[Literal["joint"]] = "joint"
    channel_base: ClassVar[int] = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("instance_norm_eps", self.instance_norm_eps)
        object.__setattr__(self, "instance_norm_eps", float(self.instance_norm_eps))
        for name in RARE_SETTINGS:
            if type(value := getattr(self, name)) is not bool:
                raise ValueError(f"{name}: expected true or false, got {value!r:.80}")

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """One noise image (r, r, 1) per layer, r = 2^(i // 2 + 2); one per block where its two layers share it."""
        return tuple((size, size, 1) for size in self.blocks for _ in range(1 if self.shared_noise else 2))

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters per row of w: the channels of its layer."""
        return tuple(width for width in self.channels for _ in (0, 1))

    def rows_until(self, block: int) -> int:
        """See `ArchitectureConfig`."""
        return 2 * (block + 1)

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `ArchitectureConfig`."""
        shapes = super().array_shapes()
        for size, before, width in zip(self.blocks, self.channels[:1] + self.channels, self.channels, strict=False):
            block = f"synthesis/b{size}"
            if size > 4:
                shapes[f"{block}_conv0_kernel"] = (3, 3, before, width)
            shapes |= {f"{block}_conv0_bias": (width,), f"{block}_conv1_bias": (width,)}
            shapes[f"{block}_conv1_kernel"] = (3, 3, width, width)
            for half in (0, 1):
                shapes[f"{block}_epilogue{half}/noise_weight"] = (width,)
                shapes[f"{block}_epilogue{half}/style_weight"] = (self.latent_dim, 2 * width)
                shapes[f"{block}_epilogue{half}/style_bias"] = (2 * width,)
        return shapes | {"synthesis/torgb_kernel": (1, 1, self.channels[-1], 3), "synthesis/torgb_bias": (3,)}

    def details(self) -> dict[str, str]:
        """See `ArchitectureConfig`."""
        rare = ((self.bias_before_blur, "bias", "before the blur"), (self.shared_noise, "noise", "one per block"))
        told = {name: how for has, name, how in rare if has}
        return {**super().details(), "epsilon": f"{self.instance_norm_eps:g}", **told}


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config(StyleGANConfig):
    """StyleGAN2 with skip connections (Karras et al. 2020), as its ADA PyTorch program runs it.

    Attributes:
        conv_clamp: Bound of every convolution's output (256 is usual in ADA files); None for none.
        label_norm: `separate`, as in ADA, embeds labels by a dense layer and normalises z and the embedding each by
            itself; `joint`, as in the original TensorFlow program, embeds them by a bare matrix and normalises both
            together.
    """

    family: ClassVar[str] = "stylegan2"
    conv_clamp: float | None = None
    label_norm: Literal["separate", "joint"] = "separate"
    channel_base: ClassVar[int] = 16384

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
            object.__setattr__(self, "conv_clamp", float(self.conv_clamp))
        if self.label_norm not in ("separate", "joint"):
            raise ValueError(f"label_norm: expected separate or joint, got {self.label_norm!r:.80}")

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """One noise image (r, r, 1) per 3×3 convolution, r = 2^((i + 5) // 2)."""
        return tuple((2 ** ((i + 5) // 2),) * 2 + (1,) for i in range(self.num_layers - 1))

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters per row of w: the channels of its 3×3 convolution, of which the first three serve the colours of the
        block before too (W++ of Poirier-Ginter and Lalonde 2023, their program); the last row serves colours only."""
        convolutions = [self.channels[(row + 1) // 2] for row in range(self.num_layers - 1)]
        return tuple(max(width, 3 * (row % 2)) for row, width in enumerate((*convolutions, 0)))

    def rows_until(self, block: int) -> int:
        """See `ArchitectureConfig`."""
        return 2 * block + 1

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        """See `ArchitectureConfig`."""
        shapes = super().array_shapes()
        for size, before, width in zip(self.blocks, self.channels[:1] + self.channels, self.channels, strict=False):
            layers = {"conv0": (before, width, 3), "conv1": (width, width, 3), "torgb": (width, 3, 1)}
            if size == 4:
                del layers["conv0"]
            for layer, (fan_in, fan_out, side) in layers.items():
                name = f"synthesis/b{size}_{layer}"
                shapes[f"{name}/kernel"] = (side, side, fan_in, fan_out)
                shapes[f"{name}/bias"] = (fan_out,)
                shapes[f"{name}/style/weight"] = (self.latent_dim, fan_in)
                shapes[f"{name}/style/bias"] = (fan_in,)
                if layer != "torgb":
                    shapes[f"{name}/noise_strength"] = ()
        return shapes

    def details(self) -> dict[str, str]:
        """See `ArchitectureConfig`."""
        return {**super().details(), "clamp": "none" if self.conv_clamp is None else f"{self.conv_clamp:g}"}


@dataclass(frozen=True, kw_only=True)
class FunctionConfig(ArchitectureConfig):
    """A user's own generator: any differentiable function from `num_layers` latent rows to an image."""

    num_layers: int = 1
    noise_shapes: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("resolution", "latent_dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Family:
    """A row of `FAMILIES`, which names what it stands for; nothing is imported before it is asked for.

    Attributes:
        config: Where the settings' class is, `module:Class`: a frozen dataclass, subclass of `ArchitectureConfig`, of
            numbers, texts and tuples of integers, whose `family` is this row's name.
        networks: Module of the networks: two Flax modules, images and noise with a leading axis n. `Mapping(config)` is
            called with z (…, d) and a label (…, label_dim) or None, and returns w (…, d). `Synthesis(config, dtype)`
            is called with w (n, L, d), the tuple of noise images (n, r, r, 1) and a dictionary of offsets to blocks'
            outputs, and returns images (n, H, W, 3), nominally in [−1, 1].
        accelerated: Module of the same synthesis as other devices than CPUs are fastest with it, or None where there is
            none: `prepare(config, params)` gives its arrays, and `synthesize(config, params, forms, w, noise, offsets,
            dtype=…, precision=…)` the images.
    """

    config: str
    networks: str
    accelerated: str | None = None

    def load_config(self) -> type[ArchitectureConfig]:
        """Import the class of the settings."""
        module, _, name = self.config.partition(":")
        return getattr(importlib.import_module(module), name)

    def load_networks(self) -> Any:
        """Import the module with `Mapping` and `Synthesis`."""
        return importlib.import_module(self.networks)

    def load_accelerated(self) -> Any:
        """Import the module with `prepare` and `synthesize`; None if this family has none."""
        return None if self.accelerated is None else importlib.import_module(self.accelerated)


_NETWORKS = "pulse_jax.generators.networks"
FAMILIES: dict[str, Family] = {
    "stylegan1": Family(f"{__name__}:StyleGAN1Config", f"{_NETWORKS}.stylegan1", f"{_NETWORKS}.accelerated_stylegan1"),
    "stylegan2": Family(f"{__name__}:StyleGAN2Config", f"{_NETWORKS}.stylegan2", f"{_NETWORKS}.accelerated_stylegan2"),
}
"""The families of generators that a folder can hold, by name."""
# What folders written before there were labels do not say; the defaults are what they mean.
_LABEL_SETTINGS = {"label_dim", "label_norm"}
RARE_SETTINGS = ("bias_before_blur", "shared_noise")
"""Settings of one program's networks alone; folders of others, for which they are false, do not speak of them."""


def architecture_to_dict(config: ArchitectureConfig) -> dict[str, Any]:
    """Return the JSON form of a generator's settings.

    Raises:
        ValueError: They are of a user's own function, which no file can hold.
    """
    if config.family not in FAMILIES:
        raise ValueError(
            f"architecture: only {', '.join(FAMILIES)} can be written to a folder, got {type(config).__name__}"
        )
    settings = dataclasses.asdict(config)
    unsaid = {name for name in RARE_SETTINGS if not settings.get(name)}
    return {"family": config.family, **{name: value for name, value in settings.items() if name not in unsaid}}


def architecture_from_dict(fields: Mapping[str, Any]) -> ArchitectureConfig:
    """Return the settings whose JSON form this is, the inverse of `architecture_to_dict`.

    Raises:
        ValueError: A setting is unknown, missing or out of range; the message names it.
    """
    settings = dict(fields)
    family = settings.pop("family", None)
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"architecture family: expected one of {', '.join(FAMILIES)}, got {family!r:.80}")
    kind = FAMILIES[family].load_config()
    known = {field.name for field in dataclasses.fields(kind)}
    strange = (set(settings) - known) | (known - set(settings) - _LABEL_SETTINGS - set(RARE_SETTINGS))
    if strange:
        odd = ", ".join(sorted(map(repr, strange)))
        raise ValueError(
            f"{family} settings: expected exactly {', '.join(sorted(known))}; missing or unknown: {odd:.200}"
        )
    hints = get_type_hints(kind)
    for name, value in settings.items():
        if (hints[name] is int and type(value) is not int) or (
            hints[name] == int | None and type(value) not in (int, types.NoneType)
        ):
            raise ValueError(f"{name}: expected an integer, got {value!r:.80}")
        if hints[name] == tuple[int, ...]:
            if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
                raise ValueError(f"{name}: expected a list of integers, got {value!r:.80}")
            settings[name] = tuple(value)
    return kind(**settings)
