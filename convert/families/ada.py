"""StyleGAN2-ADA's PyTorch program, and StyleGAN2 networks of the StyleGAN3 program (Karras et al. 2020, 2021).

Kernels are OIHW and, of the up-convolutions, turned by 180 degrees; the style's bias includes its 1.
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
    resample_filter,
)
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN2Config

__all__ = ["STYLEGAN2"]

_NAME = "StyleGAN2-ADA (PyTorch)"


def _layers(size: int) -> tuple[str, ...]:
    return ("conv1", "torgb") if size == 4 else ("conv0", "conv1", "torgb")


def _entries(config: StyleGAN2Config) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        yield Entry("mapping.w_avg", "w_avg")
        if config.label_dim and config.label_norm == "separate":
            yield Entry("mapping.embed.weight", "mapping/label_weight", Change("oi->io"))
            yield Entry("mapping.embed.bias", "mapping/label_bias")
        for i in range(config.mapping_layers or 0):
            yield Entry(f"mapping.fc{i}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
            yield Entry(f"mapping.fc{i}.bias", f"mapping/dense{i}_bias")
        yield Entry("synthesis.b4.const", "synthesis/const", Change("chw->hwc"))
        for size in config.blocks:
            for layer in _layers(size):
                theirs, ours = f"synthesis.b{size}.{layer}", f"synthesis/b{size}_{layer}"
                yield Entry(f"{theirs}.weight", f"{ours}/kernel", Change("oihw->hwio", flip=layer == "conv0"))
                yield Entry(f"{theirs}.bias", f"{ours}/bias")
                yield Entry(f"{theirs}.affine.weight", f"{ours}/style/weight", Change("oi->io"))
                yield Entry(f"{theirs}.affine.bias", f"{ours}/style/bias")
                if layer != "torgb":
                    yield Entry(f"{theirs}.noise_strength", f"{ours}/noise_strength")

    return tuple(entries())


def _ignored(config: StyleGAN2Config) -> Iterator[Ignored]:
    taps = resample_filter((1, 3, 3, 1), 1.0, (4, 4))
    for size in config.blocks:
        prefix = f"synthesis.b{size}"
        yield Ignored(f"{prefix}.resample_filter", "the filter 1, 3, 3, 1", (4, 4), taps)
        for layer in _layers(size)[:-1]:
            yield Ignored(f"{prefix}.{layer}.resample_filter", "the filter 1, 3, 3, 1", (4, 4), taps)
            noise = "a stored noise image; noise is an input here"
            yield Ignored(f"{prefix}.{layer}.noise_const", noise, (size, size))


def _plan(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME)
    if not state.has(r"mapping\..*"):
        raise inference.without_mapping()
    labels = inference.labels("mapping.embed.weight", 1, "mapping.fc0.weight")
    if state.has(r"synthesis\.b\d+\.skip\..*"):
        raise inference.refuse("but has residual connections (architecture 'resnet'); only 'skip' is supported")
    inference.expect("architecture", ("skip",), "only 'skip' is supported")
    inference.expect("activation", ("lrelu", "linear"), "only 'lrelu' is supported")
    inference.expect("use_noise", (True,), "networks without noise are not supported")
    inference.expect("img_channels", (3,), "only RGB is supported")
    inference.expect("c_dim", (labels,), f"its arrays are those of {labels} labels")
    inference.expect("mapping.embed.bias_gain", (1,), "another learning rate of the labels' layer is not supported")
    resolution = inference.resolution(r"synthesis\.b(\d+)\..*")
    inference.expect("synthesis.img_resolution", (resolution,), f"its arrays are those of {resolution}")
    blocks = tuple(2**level for level in range(2, resolution.bit_length()))
    if len(blocks) > 1 and not any(state.has(rf"synthesis\.b{size}\.torgb\..*") for size in blocks[:-1]):
        raise inference.refuse("but only its last block makes colours (architecture 'orig'); only 'skip' is supported")
    depth = inference.depth(r"mapping\.fc(\d+)\..*")
    inference.expect("mapping.num_layers", (depth,), f"its arrays are those of {depth} layers")
    config = inference.architecture(
        StyleGAN2Config,
        resolution=resolution,
        latent_dim=inference.size("mapping.w_avg", 0, 1),
        mapping_layers=depth,
        mapping_lr_multiplier=inference.multiplier(r"mapping\.fc\d+\.bias_gain"),
        channels=tuple(inference.size(f"synthesis.b{size}.conv1.weight", 0, 4) for size in blocks),
        label_dim=labels,
        conv_clamp=inference.clamp(clamp, r"synthesis\.b\d+\.(conv0|conv1|torgb)\.conv_clamp"),
    )
    return Plan(_NAME, config, _entries(config), tuple(_ignored(config)))


STYLEGAN2 = Family(
    _NAME,
    "stylegan2",
    (
        r"mapping\.(fc\d+|embed)\.(weight|bias)",
        r"mapping\.w_avg",
        r"synthesis\.b\d+\.(const|resample_filter)",
        r"synthesis\.b\d+\.(conv0|conv1|torgb)\.(weight|bias|noise_strength|noise_const|resample_filter)",
        r"synthesis\.b\d+\.(conv0|conv1|torgb)\.affine\.(weight|bias)",
        r"synthesis\.b\d+\.skip\..*",
    ),
    _plan,
    _entries,
    default=True,
    short="ada",
    buffers=_ignored,
)
