"""Kim Seonghyeon's StyleGAN2 in PyTorch (`rosinality/stylegan2-pytorch`).

As StyleGAN2-ADA's PyTorch program but for leading unit axes, the convolutions' scale and counted layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.accounting import (
    Architecture,
    Change,
    Clamp,
    Entry,
    Family,
    Ignored,
    Inference,
    Plan,
    State,
    noise_buffers,
    resample_filter,
)
from pulse_jax.config import StyleGAN2Config

__all__ = ["STYLEGAN2"]

_NAME = "StyleGAN2 (rosinality)"


def _convs(config: Architecture) -> Iterator[tuple[str, str, int, bool]]:
    """Their name of each 3x3 convolution, ours, its inputs and whether it upsamples."""
    yield "conv1", "synthesis/b4_conv1", config.channels[0], False
    for j, size in enumerate(config.blocks[1:]):
        yield f"convs.{2 * j}", f"synthesis/b{size}_conv0", config.channels[j], True
        yield f"convs.{2 * j + 1}", f"synthesis/b{size}_conv1", config.channels[j + 1], False


def _colours(config: Architecture) -> Iterator[tuple[str, str]]:
    yield "to_rgb1", "synthesis/b4_torgb"
    for j, size in enumerate(config.blocks[1:]):
        yield f"to_rgbs.{j}", f"synthesis/b{size}_torgb"


def _entries(config: Architecture) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        for i in range(config.mapping_layers):
            yield Entry(f"style.{i + 1}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
            yield Entry(f"style.{i + 1}.bias", f"mapping/dense{i}_bias")
        yield Entry("input.input", "synthesis/const", Change("1chw->hwc"))
        for theirs, ours, inputs, upsamples in _convs(config):
            change = Change("1oihw->hwio", flip=upsamples, scale=(9 * inputs) ** -0.5)
            yield Entry(f"{theirs}.conv.weight", f"{ours}/kernel", change)
            yield Entry(f"{theirs}.conv.modulation.weight", f"{ours}/style/weight", Change("oi->io"))
            yield Entry(f"{theirs}.conv.modulation.bias", f"{ours}/style/bias")
            yield Entry(f"{theirs}.noise.weight", f"{ours}/noise_strength", Change("1->"))
            yield Entry(f"{theirs}.activate.bias", f"{ours}/bias")
        for theirs, ours in _colours(config):
            yield Entry(f"{theirs}.conv.weight", f"{ours}/kernel", Change("1oihw->hwio"))
            yield Entry(f"{theirs}.conv.modulation.weight", f"{ours}/style/weight", Change("oi->io"))
            yield Entry(f"{theirs}.conv.modulation.bias", f"{ours}/style/bias")
            yield Entry(f"{theirs}.bias", f"{ours}/bias", Change("1c11->c"))

    return tuple(entries())


def _ignored(config: StyleGAN2Config) -> Iterator[Ignored]:
    taps = resample_filter((1, 3, 3, 1), 4.0, (4, 4))
    for j in range(len(config.blocks) - 1):
        yield Ignored(f"convs.{2 * j}.conv.blur.kernel", "the filter 1, 3, 3, 1 of gain 4", (4, 4), taps)
        yield Ignored(f"to_rgbs.{j}.upsample.kernel", "the filter 1, 3, 3, 1 of gain 4", (4, 4), taps)
    yield from noise_buffers(config, "noises.noise_{}")
    yield Ignored("ada_aug_p", "how much the training augmented", ())


def _plan(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME)
    blocks = 2 + max(
        inference.largest(r"to_rgbs\.(\d+)\..*", "block", 9),
        inference.largest(r"convs\.(\d+)\..*", "convolution", 19) // 2,
    )
    widths = [inference.size("conv1.conv.weight", 1, 5)]
    widths += [inference.size(f"convs.{2 * j + 1}.conv.weight", 1, 5) for j in range(blocks - 1)]
    config = inference.stylegan2(
        resolution=2 ** (blocks + 1),
        latent_dim=inference.size("conv1.conv.modulation.weight", 1, 2),
        mapping_layers=inference.depth(r"style\.(\d+)\..*", first=1),
        channels=tuple(widths),
        conv_clamp=None if clamp == "file" else clamp,
    )
    entries = _entries(config)
    if "latent_avg" in state.arrays:
        entries = (*entries, Entry("latent_avg", "w_avg"))
    return Plan(_NAME, config, entries, tuple(_ignored(config)))


_LAYER = r"(conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)"

STYLEGAN2 = Family(
    _NAME,
    (
        "latent_avg",
        r"style\.\d+\.(weight|bias)",
        r"input\.input",
        rf"{_LAYER}\.(conv|conv\.modulation)\.(weight|bias)",
        rf"{_LAYER}\.(noise\.weight|activate\.bias|bias|conv\.blur\.kernel|upsample\.kernel)",
        r"noises\.noise_\d+",
    ),
    _plan,
    _entries,
)
