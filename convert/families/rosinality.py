"""Kim Seonghyeon's StyleGAN2 in PyTorch (`rosinality/stylegan2-pytorch`).

As StyleGAN2-ADA's PyTorch program but for leading unit axes, the convolutions' scale and counted layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.accounting import (
    Change,
    Clamp,
    Entry,
    Family,
    Ignored,
    Plan,
    State,
    noise_buffers,
    resample_filter,
)
from convert.families.kernels import equalised_kernel
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN2Config

__all__ = ["STYLEGAN2", "counted_colours", "counted_config", "counted_convs"]

_NAME = "StyleGAN2 (rosinality)"
_AVERAGE = "latent_avg"


def counted_convs(config: StyleGAN2Config, prefix: str = "") -> Iterator[tuple[str, str, int, bool]]:
    """Their name of each 3x3 convolution, ours, its inputs and whether it upsamples; `prefix` stands before names."""
    yield f"{prefix}conv1", "synthesis/b4_conv1", config.channels[0], False
    for j, size in enumerate(config.blocks[1:]):
        yield f"{prefix}convs.{2 * j}", f"synthesis/b{size}_conv0", config.channels[j], True
        yield f"{prefix}convs.{2 * j + 1}", f"synthesis/b{size}_conv1", config.channels[j + 1], False


def counted_colours(config: StyleGAN2Config) -> Iterator[tuple[str, str]]:
    """Their name of each toRGB layer, and ours."""
    yield "to_rgb1", "synthesis/b4_torgb"
    for j, size in enumerate(config.blocks[1:]):
        yield f"to_rgbs.{j}", f"synthesis/b{size}_torgb"


def _entries(config: StyleGAN2Config) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        for i in range(config.mapping_layers or 0):
            yield Entry(f"style.{i + 1}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
            yield Entry(f"style.{i + 1}.bias", f"mapping/dense{i}_bias")
        yield Entry("input.input", "synthesis/const", Change("1chw->hwc"))
        for theirs, ours, inputs, upsamples in counted_convs(config):
            change = equalised_kernel(inputs, "1oihw->hwio", flip=upsamples)
            yield Entry(f"{theirs}.conv.weight", f"{ours}/kernel", change)
            yield Entry(f"{theirs}.conv.modulation.weight", f"{ours}/style/weight", Change("oi->io"))
            yield Entry(f"{theirs}.conv.modulation.bias", f"{ours}/style/bias")
            yield Entry(f"{theirs}.noise.weight", f"{ours}/noise_strength", Change("1->"))
            yield Entry(f"{theirs}.activate.bias", f"{ours}/bias")
        for theirs, ours in counted_colours(config):
            yield Entry(f"{theirs}.conv.weight", f"{ours}/kernel", Change("1oihw->hwio"))
            yield Entry(f"{theirs}.conv.modulation.weight", f"{ours}/style/weight", Change("oi->io"))
            yield Entry(f"{theirs}.conv.modulation.bias", f"{ours}/style/bias")
            yield Entry(f"{theirs}.bias", f"{ours}/bias", Change("1c11->c"))

    return tuple(entries())


def _buffers(config: StyleGAN2Config) -> Iterator[Ignored]:
    taps = resample_filter((1, 3, 3, 1), 4.0, (4, 4))
    for j in range(len(config.blocks) - 1):
        yield Ignored(f"convs.{2 * j}.conv.blur.kernel", "the filter 1, 3, 3, 1 of gain 4", (4, 4), taps)
        yield Ignored(f"to_rgbs.{j}.upsample.kernel", "the filter 1, 3, 3, 1 of gain 4", (4, 4), taps)
    yield from noise_buffers(config, "noises.noise_{}")


def counted_config(
    inference: Inference, clamp: Clamp, *, prefix: str = "", conv: str = "conv", mapping: str = "style"
) -> StyleGAN2Config:
    """The architecture, where layers are counted as here.

    Args:
        prefix: stands before the names of convolutions.
        conv: what a layer calls its modulated convolution.
        mapping: what the mapping network is called.

    Raises:
        CheckpointError: an array that tells a size is missing, or a size is out of range.
    """
    blocks = 2 + max(
        inference.largest(r"to_rgbs\.(\d+)\..*", "block", 9),
        inference.largest(rf"{prefix}convs\.(\d+)\..*", "convolution", 19) // 2,
    )
    widths = [inference.size(f"{prefix}conv1.{conv}.weight", 1, 5)]
    widths += [inference.size(f"{prefix}convs.{2 * j + 1}.{conv}.weight", 1, 5) for j in range(blocks - 1)]
    return inference.architecture(
        StyleGAN2Config,
        resolution=2 ** (blocks + 1),
        latent_dim=inference.size(f"{prefix}conv1.{conv}.modulation.weight", 1, 2),
        mapping_layers=inference.depth(rf"{mapping}\.(\d+)\..*", first=1),
        channels=tuple(widths),
        conv_clamp=None if clamp == "file" else clamp,
    )


def _plan(state: State, clamp: Clamp) -> Plan:
    config = counted_config(Inference(state, _NAME), clamp)
    entries = _entries(config)
    if _AVERAGE in state.arrays:
        entries = (*entries, Entry(_AVERAGE, "w_avg"))
    return Plan(_NAME, config, entries, tuple(_buffers(config)))


_LAYER = r"(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)"

STYLEGAN2 = Family(
    _NAME,
    "stylegan2",
    (
        _AVERAGE,
        r"style\.\d+\.(weight|bias)",
        r"input\.input",
        rf"{_LAYER}\.(conv|conv\.modulation)\.(weight|bias)",
        rf"{_LAYER}\.(noise\.weight|activate\.bias|bias|conv\.blur\.kernel|upsample\.kernel)",
        r"noises\.noise_\d+",
    ),
    _plan,
    _entries,
    average=_AVERAGE,
    short="rosinality",
    place="g_ema",
    buffers=_buffers,
)
