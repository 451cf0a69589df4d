"""Architectures of generators as frozen dataclasses, and their JSON form (standard library only)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pulse_jax.system.checks import check_positive

__all__ = [
    "MAX_MAPPING_LAYERS",
    "MAX_RESOLUTION",
    "ArchitectureConfig",
    "FunctionConfig",
    "StyleGAN1Config",
    "StyleGAN2Config",
    "architecture_from_dict",
    "architecture_to_dict",
]

MAX_RESOLUTION = 4096
MAX_MAPPING_LAYERS = 64
MAX_WIDTH = 16_384
MAX_LABELS = 65_536


@dataclass(frozen=True, kw_only=True)
class _StyleGANConfig:
    """What both StyleGANs share.

    `channels` holds one width per block, from 4×4 up to `resolution`. `label_dim` is the length of the label that the
    mapping network takes beside z, one number per class; 0 for a network without classes.
    """

    resolution: int = 1024
    latent_dim: int = 512
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    channels: tuple[int, ...] = ()
    label_dim: int = 0
    channel_base: ClassVar[int]

    def __post_init__(self) -> None:
        size = self.resolution
        if not (4 <= size <= MAX_RESOLUTION and size & (size - 1) == 0):
            raise ValueError(f"resolution: expected a power of two from 4 to {MAX_RESOLUTION}, got {size!s:.80}")
        if not 0 <= self.mapping_layers <= MAX_MAPPING_LAYERS:
            raise ValueError(f"mapping_layers: expected 0 to {MAX_MAPPING_LAYERS}, got {self.mapping_layers!s:.80}")
        if not 1 <= self.latent_dim <= MAX_WIDTH:
            raise ValueError(f"latent_dim: expected 1 to {MAX_WIDTH}, got {self.latent_dim!s:.80}")
        check_positive("mapping_lr_multiplier", self.mapping_lr_multiplier)
        if not 0 <= self.label_dim <= MAX_LABELS:
            raise ValueError(f"label_dim: expected 0 to {MAX_LABELS}, got {self.label_dim!s:.80}")
        if self.label_dim and not self.mapping_layers:
            raise ValueError(
                f"label_dim: expected 0 where the mapping network has no layers to take labels, got {self.label_dim}"
            )
        blocks = size.bit_length() - 2
        if not self.channels:
            widths = tuple(min(2 * self.channel_base // block, 512) for block in self.blocks)
            object.__setattr__(self, "channels", widths)
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) != blocks or not all(1 <= width <= MAX_WIDTH for width in self.channels):
            raise ValueError(
                f"channels: expected {blocks} widths from 1 to {MAX_WIDTH} for {size}x{size}, got {self.channels!s:.80}"
            )

    @property
    def num_layers(self) -> int:
        """Rows of w, L = 2·log2(resolution) − 2."""
        return 2 * (self.resolution.bit_length() - 1) - 2

    @property
    def blocks(self) -> tuple[int, ...]:
        """The block resolutions 4, 8, …, resolution."""
        return tuple(2**level for level in range(2, self.resolution.bit_length()))


@dataclass(frozen=True, kw_only=True)
class StyleGAN1Config(_StyleGANConfig):
    """StyleGAN (Karras, Laine, Aila 2019): style by instance normalisation and affine modulation.

    Labels are embedded by one matrix; z and the embedding, side by side, are normalised together.
    `instance_norm_eps` is 1e-5 in the PyTorch ports (PULSE among them) and 1e-8 in the TensorFlow original.
    """

    instance_norm_eps: float = 1e-5
    label_norm: ClassVar[Literal["joint"]] = "joint"
    channel_base: ClassVar[int] = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("instance_norm_eps", self.instance_norm_eps)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """One noise image (r, r, 1) per layer, r = 2^(i // 2 + 2)."""
        return tuple((2 ** (i // 2 + 2),) * 2 + (1,) for i in range(self.num_layers))

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters per row of w: the channels of its layer."""
        return tuple(width for width in self.channels for _ in (0, 1))

    def rows_until(self, block: int) -> int:
        """How many rows of w have been used when this block's output, numbered from 0, is there."""
        return 2 * (block + 1)


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config(_StyleGANConfig):
    """StyleGAN2 with skip connections (Karras et al. 2020), as its ADA PyTorch program runs it.

    `conv_clamp` bounds every convolution's output (256 is usual in ADA files; None switches it off). `label_norm` says
    how labels enter: `separate`, as in ADA, embeds them by a dense layer and normalises z and the embedding each by
    itself; `joint`, as in the original TensorFlow program, embeds them by a bare matrix and normalises both together.
    """

    conv_clamp: float | None = None
    label_norm: Literal["separate", "joint"] = "separate"
    channel_base: ClassVar[int] = 16384

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conv_clamp is not None:
            check_positive("conv_clamp", self.conv_clamp)
        if self.label_norm not in ("separate", "joint"):
            raise ValueError(f"label_norm: expected separate or joint, got {self.label_norm!r:.80}")

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """One noise image (r, r, 1) per 3×3 convolution, r = 2^((i + 5) // 2)."""
        return tuple((2 ** ((i + 5) // 2),) * 2 + (1,) for i in range(self.num_layers - 1))

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters per row of w: the channels of its 3×3 convolution, and the colours that it makes an image of."""
        convolutions = [self.channels[(row + 1) // 2] for row in range(self.num_layers - 1)]
        return tuple(width + 3 * (row % 2) for row, width in enumerate((*convolutions, 0)))

    def rows_until(self, block: int) -> int:
        """How many rows of w have been used when this block's output, numbered from 0, is there."""
        return 2 * block + 1


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """A user's own generator: any differentiable function from `num_layers` latent rows to an image."""

    resolution: int
    latent_dim: int
    num_layers: int = 1
    noise_shapes: tuple[tuple[int, int, int], ...] = ()
    filters: ClassVar[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        for name in ("resolution", "latent_dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")


ArchitectureConfig = StyleGAN1Config | StyleGAN2Config | FunctionConfig
_FAMILIES: dict[str, type[StyleGAN1Config] | type[StyleGAN2Config]] = {
    "stylegan1": StyleGAN1Config,
    "stylegan2": StyleGAN2Config,
}
# What folders written before there were labels do not say; the defaults are what they mean.
_LABEL_SETTINGS = {"label_dim", "label_norm"}


def architecture_to_dict(config: ArchitectureConfig) -> dict[str, Any]:
    """The JSON form of a StyleGAN's settings; raises `ValueError` for a user's own function, which no file can hold."""
    for family, kind in _FAMILIES.items():
        if isinstance(config, kind):
            return {"family": family, **dataclasses.asdict(config)}
    raise ValueError(
        f"architecture: only {', '.join(_FAMILIES)} can be written to a folder, got {type(config).__name__}"
    )


def architecture_from_dict(fields: dict[str, Any]) -> StyleGAN1Config | StyleGAN2Config:
    """The inverse of `architecture_to_dict`; raises `ValueError` naming what is unknown, missing or out of range."""
    fields = dict(fields)
    family = fields.pop("family", None)
    if not isinstance(family, str) or family not in _FAMILIES:
        raise ValueError(f"architecture family: expected one of {', '.join(_FAMILIES)}, got {family!r:.80}")
    kind = _FAMILIES[family]
    known = {field.name for field in dataclasses.fields(kind)}
    strange = (set(fields) - known) | (known - set(fields) - _LABEL_SETTINGS)
    if strange:
        odd = ", ".join(sorted(map(repr, strange)))
        raise ValueError(
            f"{family} settings: expected exactly {', '.join(sorted(known))}; missing or unknown: {odd:.200}"
        )
    for name in ("resolution", "latent_dim", "mapping_layers", "label_dim"):
        if type(fields.get(name, 0)) is not int:
            raise ValueError(f"{name}: expected an integer, got {fields.get(name)!r:.80}")
    if not isinstance(fields["channels"], list | tuple) or not all(type(c) is int for c in fields["channels"]):
        raise ValueError(f"channels: expected a list of integers, got {fields['channels']!r:.80}")
    fields["channels"] = tuple(fields["channels"])
    return kind(**fields)
