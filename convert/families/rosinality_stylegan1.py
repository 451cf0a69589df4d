"""Kim Seonghyeon's StyleGAN in PyTorch (`rosinality/style-based-gan-pytorch`), as it has been since July 2019.

It was trained by itself and is no port of NVIDIA's weights. Every layer, the styles, the noise and the colours too, is
scaled by √2/√fan_in; the mapping network has a multiplier of 1; the style's bias includes its 1. Biases come before the
blur, both layers of a block take one noise image, and nothing is added to the constant input. What is fused is said by
the names: a transposed convolution with a quarter of the usual sum of taps. PyTorch's instance normalisation has an
epsilon of 1e-5.

Files hold all blocks up to 1024x1024, whatever was trained. Those that training never reached are as they were
initialised: noise and biases are exactly zero there, which no optimiser leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from convert.accounting import Change, Clamp, Entry, Family, Ignored, Plan, State, resample_filter
from convert.inference import Inference
from pulse_jax.generators.architectures import MAX_MAPPING_LAYERS, StyleGAN1Config

__all__ = ["STYLEGAN1"]

_NAME = "StyleGAN (rosinality)"
_GAIN = 2.0**0.5
_BLOCK = "generator.progression.{}"
_COLOURS = "generator.to_rgb.{}.conv"
_START = "synthesis/b4_conv0_bias"


def _mapping(config: StyleGAN1Config) -> Iterator[Entry]:
    # Normalisation and activations are counted as well.
    for i in range(config.mapping_layers or 0):
        yield Entry(f"style.{2 * i + 1}.linear.weight_orig", f"mapping/dense{i}_weight", Change("oi->io"))
        yield Entry(f"style.{2 * i + 1}.linear.bias", f"mapping/dense{i}_bias")


def _block(config: StyleGAN1Config, n: int, fused: Collection[int]) -> Iterator[Entry]:
    """The entries of one block, counted from 4x4 = 0."""
    width = config.channels[n]
    theirs, ours = _BLOCK.format(n), f"synthesis/b{config.blocks[n]}"
    if n == 0:
        yield Entry(f"{theirs}.conv1.input", "synthesis/const", Change("1chw->hwc"))
    elif n in fused:
        yield Entry(f"{theirs}.conv1.0.weight", f"{ours}_conv0_kernel", Change("iohw->hwio", flip=True, scale=0.25))
        yield Entry(f"{theirs}.conv1.0.bias", f"{ours}_conv0_bias")
    else:
        yield Entry(f"{theirs}.conv1.1.conv.weight_orig", f"{ours}_conv0_kernel", Change("oihw->hwio"))
        yield Entry(f"{theirs}.conv1.1.conv.bias", f"{ours}_conv0_bias")
    yield Entry(f"{theirs}.conv2.conv.weight_orig", f"{ours}_conv1_kernel", Change("oihw->hwio"))
    yield Entry(f"{theirs}.conv2.conv.bias", f"{ours}_conv1_bias")
    for half in (0, 1):
        noise, style = f"{theirs}.noise{half + 1}", f"{theirs}.adain{half + 1}.style.linear"
        epilogue = f"{ours}_epilogue{half}"
        scale = (2 / width) ** 0.5  # the number of channels stands where a fan-in would
        yield Entry(f"{noise}.weight_orig", f"{epilogue}/noise_weight", Change("1c11->c", scale=scale))
        yield Entry(f"{style}.weight_orig", f"{epilogue}/style_weight", Change("oi->io", scale=_GAIN))
        offset = (-1.0,) * width + (0.0,) * width
        yield Entry(f"{style}.bias", f"{epilogue}/style_bias", Change(offset=offset))


def _colours(n: int) -> Iterator[Entry]:
    yield Entry(f"{_COLOURS.format(n)}.weight_orig", "synthesis/torgb_kernel", Change("oihw->hwio", scale=_GAIN))
    yield Entry(f"{_COLOURS.format(n)}.bias", "synthesis/torgb_bias")


def _blurs(config: StyleGAN1Config, n: int, fused: Collection[int]) -> Iterator[Ignored]:
    shape = (config.channels[n], 1, 3, 3)
    value = resample_filter((1, 2, 1), 1.0, shape)
    place = f"{_BLOCK.format(n)}.conv1.{1 if n in fused else 2}"
    # Required, because the same block without its blur makes other images; the other one is for gradients alone.
    yield Ignored(f"{place}.weight", "the filter 1, 2, 1", shape, value, required=True)
    yield Ignored(f"{place}.weight_flip", "the filter 1, 2, 1", shape, value)


def _ignored(config: StyleGAN1Config, whole: StyleGAN1Config, fused: Collection[int]) -> Iterator[Ignored]:
    """What is left of the `whole` network once `config` has what it needs."""
    count, shapes = len(config.blocks), whole.array_shapes()
    for n in range(1, count):
        yield from _blurs(config, n, fused)
    for n, (size, width) in enumerate(zip(whole.blocks, whole.channels, strict=True)):
        if n != count - 1:
            reason = f"colours of {size}x{size}, for progressive growing"
            yield Ignored(f"{_COLOURS.format(n)}.weight_orig", reason, (3, width, 1, 1))
            yield Ignored(f"{_COLOURS.format(n)}.bias", reason, (3,))
        if n >= count:
            reason = f"a block above {config.resolution}x{config.resolution}"
            for entry in _block(whole, n, fused):
                yield Ignored(entry.key, reason, entry.change.source_shape(shapes[entry.target]))
            yield from (dataclasses.replace(blur, required=False) for blur in _blurs(whole, n, fused))


def _trained(state: State, count: int) -> int:
    """The largest block of so many that training had reached, by what is zero before; the last one if none says."""

    def moved(n: int) -> bool:
        block = _BLOCK.format(n)
        keys = (f"{block}.noise1.weight_orig", f"{block}.noise2.weight_orig", f"{block}.conv2.conv.bias")
        return any(state.arrays[key].any() for key in (*keys, f"{_COLOURS.format(n)}.bias") if key in state.arrays)

    return max((n for n in range(count) if moved(n)), default=count - 1)


def _chosen(inference: Inference, count: int) -> tuple[int, str]:
    """The last block to take, and what people should know of that choice."""
    trained, asked = _trained(inference.state, count), inference.state.resolution
    largest = 4 * 2**trained
    if asked is not None:
        if asked not in [4 * 2**n for n in range(trained + 1)]:
            untrained = " (larger blocks were never trained)" if trained < count - 1 else ""
            raise inference.refuse(
                f"which makes pictures of 4x4 to {largest}x{largest}{untrained}; --resolution: expected one of these "
                f"sizes, got {asked}"
            )
        old = f"the colours of {asked}x{asked} are older than its blocks, which were trained on for {largest}x{largest}"
        return asked.bit_length() - 3, old if asked < largest else ""
    note = f"it is not said whether {largest}x{largest} was trained to its end: --resolution N takes a smaller one"
    if trained < count - 1:
        note = f"blocks above {largest}x{largest} were never trained and are left out; {note}"
    return trained, note if trained else ""


def _plan(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME)
    if clamp not in ("file", None):
        raise inference.refuse("which has no clamp; leave the option out")
    if not state.has(r"style\..*"):
        raise inference.without_mapping()
    if state.has(r"generator\.progression\.\d+\.conv1\.conv\..*"):
        raise inference.refuse(
            "but of the program before July 2019, which interpolates between pixels and has no blur; not supported"
        )
    size = inference.blocks(r"generator\.(?:progression|to_rgb)\.(\d+)\..*")
    count = size.bit_length() - 2
    whole = inference.architecture(
        StyleGAN1Config,
        resolution=size,
        latent_dim=inference.size(f"{_BLOCK.format(0)}.adain1.style.linear.weight_orig", 1, 2),
        mapping_layers=(inference.largest(r"style\.(\d+)\..*", "layer", 2 * MAX_MAPPING_LAYERS) + 1) // 2,
        mapping_lr_multiplier=1.0,
        channels=tuple(inference.size(f"{_BLOCK.format(n)}.conv2.conv.weight_orig", 0, 4) for n in range(count)),
        instance_norm_eps=1e-5,
        bias_before_blur=True,
        shared_noise=True,
    )
    fused = {n for n in range(count) if state.has(rf"generator\.progression\.{n}\.conv1\.0\..*")}
    last, note = _chosen(inference, count)
    config = dataclasses.replace(whole, resolution=4 * 2**last, channels=whole.channels[: last + 1])
    blocks = (entry for n in range(last + 1) for entry in _block(config, n, fused))
    entries = (*_mapping(config), *blocks, *_colours(last))
    return Plan(_NAME, config, entries, tuple(_ignored(config, whole, fused)), (0.7, None), (_START,), note)


STYLEGAN1 = Family(
    _NAME,
    "stylegan1",
    (
        r"style\.\d+\.linear\.(weight_orig|bias)",
        r"generator\.progression\.\d+\.conv1\.(input|0\.(weight|bias)|[12]\.(weight|weight_flip))",
        r"generator\.progression\.\d+\.(conv1|conv1\.1|conv2)\.conv\.(weight_orig|bias)",
        r"generator\.progression\.\d+\.noise[12]\.weight_orig",
        r"generator\.progression\.\d+\.adain[12]\.style\.linear\.(weight_orig|bias)",
        r"generator\.to_rgb\.\d+\.conv\.(weight_orig|bias)",
    ),
    _plan,
)
