"""StyleGAN2 as BasicSR names it (`params_ema` of `stylegan2_arch`): rosinality's network, its filters not stored."""

from __future__ import annotations

from collections.abc import Iterator

from convert.accounting import Change, Clamp, Entry, Family, Ignored, Plan, State, noise_buffers
from convert.families.kernels import equalised_kernel
from convert.families.rosinality import counted_colours, counted_config, counted_convs
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN2Config

__all__ = ["STYLEGAN2"]

_NAME = "StyleGAN2 (BasicSR)"


def _entries(config: StyleGAN2Config) -> tuple[Entry, ...]:
    def style(theirs: str, ours: str) -> Iterator[Entry]:
        yield Entry(f"{theirs}.modulated_conv.modulation.weight", f"{ours}/style/weight", Change("oi->io"))
        yield Entry(f"{theirs}.modulated_conv.modulation.bias", f"{ours}/style/bias")

    def entries() -> Iterator[Entry]:
        for i in range(config.mapping_layers or 0):
            yield Entry(f"style_mlp.{i + 1}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
            yield Entry(f"style_mlp.{i + 1}.bias", f"mapping/dense{i}_bias")
        yield Entry("constant_input.weight", "synthesis/const", Change("1chw->hwc"))
        for theirs, ours, inputs, upsamples in counted_convs(config, "style_"):
            change = equalised_kernel(inputs, "1oihw->hwio", flip=upsamples)
            yield Entry(f"{theirs}.modulated_conv.weight", f"{ours}/kernel", change)
            yield Entry(f"{theirs}.weight", f"{ours}/noise_strength", Change("1->"))
            yield Entry(f"{theirs}.activate.bias", f"{ours}/bias")
            yield from style(theirs, ours)
        for theirs, ours in counted_colours(config):
            yield Entry(f"{theirs}.modulated_conv.weight", f"{ours}/kernel", Change("1oihw->hwio"))
            yield Entry(f"{theirs}.bias", f"{ours}/bias", Change("1c11->c"))
            yield from style(theirs, ours)

    return tuple(entries())


def _buffers(config: StyleGAN2Config) -> Iterator[Ignored]:
    return noise_buffers(config, "noises.noise{}")


def _plan(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME)
    config = counted_config(inference, clamp, prefix="style_", conv="modulated_conv", mapping="style_mlp")
    return Plan(_NAME, config, _entries(config), tuple(_buffers(config)))


_LAYER = r"(style_conv1|style_convs\.\d+|to_rgb1|to_rgbs\.\d+)"

STYLEGAN2 = Family(
    _NAME,
    "stylegan2",
    (
        r"style_mlp\.\d+\.(weight|bias)",
        r"constant_input\.weight",
        rf"{_LAYER}\.modulated_conv\.(weight|modulation\.weight|modulation\.bias)",
        rf"{_LAYER}\.(weight|activate\.bias)",
        r"(to_rgb1|to_rgbs\.\d+)\.bias",
        r"noises\.noise\d+",
    ),
    _plan,
    _entries,
    short="basicsr",
    place="params_ema",
    buffers=_buffers,
)
