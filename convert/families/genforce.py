"""GenForce's StyleGAN and StyleGAN2 (`generator_smooth`): TensorFlow's values in PyTorch's order of axes.

Kernels keep TensorFlow's orientation and the style's bias lacks its 1; the instance norm's epsilon is 1e-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from convert.accounting import (
    Change,
    Clamp,
    Entry,
    Family,
    Ignored,
    Plan,
    State,
    resample_filter,
)
from convert.families.kernels import equalised_kernel
from convert.families.tensorflow import FUSED_FROM
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config, StyleGANConfig

__all__ = ["STYLEGAN1", "STYLEGAN2"]

_NAME1 = "StyleGAN (GenForce)"
_NAME2 = "StyleGAN2 (GenForce)"
_LABELS = "mapping.label_weight"
_NOISE = "a stored noise image; noise is an input here"


def _mapping(config: StyleGANConfig) -> Iterator[Entry]:
    yield Entry("truncation.w_avg", "w_avg")
    if config.label_dim and config.label_norm == "joint":
        yield Entry(_LABELS, "mapping/label_weight")
    for i in range(config.mapping_layers or 0):
        yield Entry(f"mapping.dense{i}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
        yield Entry(f"mapping.dense{i}.bias", f"mapping/dense{i}_bias")


def _sizes(inference: Inference) -> dict[str, object]:
    return {
        "label_dim": inference.labels(_LABELS, 0, "mapping.dense0.weight"),
        "latent_dim": inference.size("truncation.w_avg", 0, 1),
        "mapping_layers": inference.depth(r"mapping\.dense(\d+)\..*"),
    }


def _stylegan1_entries(config: StyleGAN1Config) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        yield from _mapping(config)
        yield Entry("synthesis.layer0.const", "synthesis/const", Change("1chw->hwc"))
        for b, size in enumerate(config.blocks):
            for half in (0, 1):
                theirs, ours = f"synthesis.layer{2 * b + half}", f"synthesis/b{size}"
                if b or half:
                    change = Change("oihw->hwio", flip=half == 0 and size >= FUSED_FROM)
                    yield Entry(f"{theirs}.weight", f"{ours}_conv{half}_kernel", change)
                yield Entry(f"{theirs}.bias", f"{ours}_conv{half}_bias")
                yield Entry(f"{theirs}.apply_noise.weight", f"{ours}_epilogue{half}/noise_weight")
                yield Entry(f"{theirs}.style.weight", f"{ours}_epilogue{half}/style_weight", Change("oi->io"))
                yield Entry(f"{theirs}.style.bias", f"{ours}_epilogue{half}/style_bias")
        last = f"synthesis.output{len(config.blocks) - 1}"
        yield Entry(f"{last}.weight", "synthesis/torgb_kernel", Change("oihw->hwio"))
        yield Entry(f"{last}.bias", "synthesis/torgb_bias")

    return tuple(entries())


def _stylegan1_ignored(config: StyleGAN1Config) -> Iterator[Ignored]:
    yield Ignored("synthesis.lod", "the stage of progressive growing, which has ended", ())
    for b, (size, width) in enumerate(zip(config.blocks, config.channels, strict=True)):
        for layer in (2 * b, 2 * b + 1):
            yield Ignored(f"synthesis.layer{layer}.apply_noise.noise", _NOISE, (1, 1, size, size))
        if b:
            shape = (width, 1, 3, 3)
            value = resample_filter((1, 2, 1), 1.0, shape)
            yield Ignored(f"synthesis.layer{2 * b}.blur.kernel", "the filter 1, 2, 1", shape, value)
        if size < config.resolution:
            reason = "colours at a lower resolution, for progressive growing"
            yield Ignored(f"synthesis.output{b}.weight", reason, (3, width, 1, 1))
            yield Ignored(f"synthesis.output{b}.bias", reason, (3,))


def _stylegan1(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME1)
    if clamp not in ("file", None):
        raise inference.refuse("which has no clamp; leave the option out")
    inference.full_resolution(["synthesis.lod"])
    last = max(
        inference.largest(r"synthesis\.layer(\d+)\..*", "layer", 21) // 2,
        inference.largest(r"synthesis\.output(\d+)\..*", "block", 10),
        0,
    )
    config = inference.architecture(
        StyleGAN1Config,
        **_sizes(inference),
        resolution=2 ** (last + 2),
        channels=tuple(inference.size(f"synthesis.layer{2 * b + 1}.weight", 0, 4) for b in range(last + 1)),
        instance_norm_eps=1e-8,
    )
    return Plan(_NAME1, config, _stylegan1_entries(config), tuple(_stylegan1_ignored(config)), (0.7, 8))


def _convs(config: StyleGAN2Config) -> Iterator[tuple[str, str, int]]:
    """Their name of each 3x3 convolution, ours and its inputs."""
    yield "synthesis.layer0", "synthesis/b4_conv1", config.channels[0]
    for b, size in enumerate(config.blocks[1:], 1):
        yield f"synthesis.layer{2 * b - 1}", f"synthesis/b{size}_conv0", config.channels[b - 1]
        yield f"synthesis.layer{2 * b}", f"synthesis/b{size}_conv1", config.channels[b]


def _stylegan2_entries(config: StyleGAN2Config) -> tuple[Entry, ...]:
    def common(theirs: str, ours: str) -> Iterator[Entry]:
        yield Entry(f"{theirs}.bias", f"{ours}/bias")
        yield Entry(f"{theirs}.style.weight", f"{ours}/style/weight", Change("oi->io"))
        yield Entry(f"{theirs}.style.bias", f"{ours}/style/bias", Change(offset=1.0))

    def entries() -> Iterator[Entry]:
        yield from _mapping(config)
        yield Entry("synthesis.early_layer.const", "synthesis/const", Change("1chw->hwc"))
        for theirs, ours, inputs in _convs(config):
            yield Entry(f"{theirs}.weight", f"{ours}/kernel", equalised_kernel(inputs, "oihw->hwio"))
            yield Entry(f"{theirs}.noise_strength", f"{ours}/noise_strength")
            yield from common(theirs, ours)
        for b, size in enumerate(config.blocks):
            theirs, ours = f"synthesis.output{b}", f"synthesis/b{size}_torgb"
            yield Entry(f"{theirs}.weight", f"{ours}/kernel", Change("oihw->hwio"))
            yield from common(theirs, ours)

    return tuple(entries())


def _stylegan2_ignored(config: StyleGAN2Config) -> Iterator[Ignored]:
    shape = (1, 1, 4, 4)
    taps = resample_filter((1, 3, 3, 1), 4.0, shape)
    yield Ignored("synthesis.upsample.kernel", "the filter 1, 3, 3, 1 of gain 4", shape, taps)
    for k, (rows, columns, _) in enumerate(config.noise_shapes):
        yield Ignored(f"synthesis.layer{k}.noise", _NOISE, (1, 1, rows, columns))
        if k % 2:
            yield Ignored(f"synthesis.layer{k}.filter.kernel", "the filter 1, 3, 3, 1 of gain 4", shape, taps)


def _stylegan2(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME2)
    if state.has(r"synthesis\.skip_layer\d+\..*"):
        raise inference.refuse("but has residual connections (architecture 'resnet'); only 'skip' is supported")
    last = max(
        (inference.largest(r"synthesis\.layer(\d+)\..*", "layer", 20) + 1) // 2,
        inference.largest(r"synthesis\.output(\d+)\..*", "block", 10),
        0,
    )
    if last and not any(state.has(rf"synthesis\.output{b}\..*") for b in range(last)):
        raise inference.refuse("but only its last block makes colours ('origin'); only 'skip' is supported")
    sizes = _sizes(inference)
    if sizes["label_dim"]:
        sizes["label_norm"] = "joint"
    config = inference.architecture(
        StyleGAN2Config,
        **sizes,
        resolution=2 ** (last + 2),
        channels=tuple(inference.size(f"synthesis.layer{2 * b}.weight", 0, 4) for b in range(last + 1)),
        conv_clamp=None if clamp == "file" else clamp,
    )
    return Plan(_NAME2, config, _stylegan2_entries(config), tuple(_stylegan2_ignored(config)))


_SHARED = (
    r"mapping\.dense\d+\.(weight|bias)",
    r"truncation\.w_avg",
    re.escape(_LABELS),
    r"synthesis\.layer\d+\.(weight|bias|style\.weight|style\.bias)",
    r"synthesis\.output\d+\.(weight|bias)",
)

STYLEGAN1 = Family(
    _NAME1,
    "stylegan1",
    (*_SHARED, r"synthesis\.lod", r"synthesis\.layer\d+\.(const|apply_noise\.(weight|noise)|blur\.kernel)"),
    _stylegan1,
    _stylegan1_entries,
)
STYLEGAN2 = Family(
    _NAME2,
    "stylegan2",
    (
        *_SHARED,
        r"synthesis\.early_layer\.const",
        r"synthesis\.upsample\.kernel",
        r"synthesis\.layer\d+\.(noise_strength|noise|filter\.kernel)",
        r"synthesis\.output\d+\.style\.(weight|bias)",
        r"synthesis\.skip_layer\d+\..*",
    ),
    _stylegan2,
    _stylegan2_entries,
    short="genforce",
    place="generator_smooth",
    buffers=_stylegan2_ignored,
)
