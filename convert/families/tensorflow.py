"""NVIDIA's TensorFlow pickles: StyleGAN, StyleGAN2 and StyleGAN2-ADA (Karras et al. 2019, 2020, 2020).

Kernels are HWIO and dense weights (in, out) as here. In StyleGAN2 the style's bias lacks the 1 that is added when it
runs. StyleGAN runs its up-convolutions from 128x128 on as transposed convolutions, which are the others' with the
kernel turned by 180 degrees.
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
)
from convert.families.kernels import equalised_kernel
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config, StyleGANConfig

__all__ = ["FUSED_FROM", "STYLEGAN1", "STYLEGAN2"]

FUSED_FROM = 128
"""The block from which StyleGAN fuses upsampling with convolution, unless told otherwise."""

_CONST = Change("1chw->hwc")
_NAME1 = "StyleGAN (TensorFlow)"
_NAME2 = "StyleGAN2 or StyleGAN2-ADA (TensorFlow)"
_LABELS = r"mapping/Label(Concat|Embed)/.*"
_LOD = ("lod", "synthesis/lod")
_LOD_REASON = "the stage of progressive growing, which has ended"


def _mapping(config: StyleGANConfig) -> Iterator[Entry]:
    yield Entry("dlatent_avg", "w_avg")
    if config.label_dim:
        layer = "LabelEmbed" if config.label_norm == "separate" else "LabelConcat"
        yield Entry(f"mapping/{layer}/weight", "mapping/label_weight")
        if config.label_norm == "separate":
            yield Entry(f"mapping/{layer}/bias", "mapping/label_bias")
    for i in range(config.mapping_layers or 0):
        yield Entry(f"mapping/Dense{i}/weight", f"mapping/dense{i}_weight")
        yield Entry(f"mapping/Dense{i}/bias", f"mapping/dense{i}_bias")


def _common(inference: Inference, embedding: str) -> dict[str, object]:
    """The mapping network's sizes and the resolution, and the settings that both architectures may not change."""
    if not inference.state.has(r"mapping/.*|dlatent_avg"):
        raise inference.without_mapping()
    labels = inference.labels(f"mapping/{embedding}/weight", 0, "mapping/Dense0/weight")
    inference.expect("static_kwargs.label_size", (labels,), f"its arrays are those of {labels} labels")
    for name, allowed in {
        "nonlinearity": ("lrelu",),
        "mapping_nonlinearity": ("lrelu",),
        "normalize_latents": (True,),
        "num_channels": (3,),
        "use_noise": (True,),
        "use_wscale": (True,),
    }.items():
        inference.expect(f"static_kwargs.{name}", allowed, "this variant is not supported")
    resolution = inference.resolution(r"synthesis/(\d+)x\d+/.*")
    inference.expect("static_kwargs.resolution", (resolution,), f"its arrays are those of {resolution}")
    return {
        "resolution": resolution,
        "latent_dim": inference.size("dlatent_avg", 0, 1),
        "mapping_layers": inference.depth(r"mapping/Dense(\d+)/.*"),
        "mapping_lr_multiplier": inference.multiplier(r"(.*/)?static_kwargs\.mapping_lrmul"),
        "label_dim": labels,
    }


def _blocks(resolution: object) -> tuple[int, ...]:
    assert isinstance(resolution, int)
    return tuple(2**level for level in range(2, resolution.bit_length()))


def _truncation(inference: Inference, psi: float, cutoff: int | None) -> tuple[float, int | None]:
    said = inference.value("static_kwargs.truncation_psi", psi)
    until = inference.value("static_kwargs.truncation_cutoff", cutoff)
    return float(said) if type(said) in (int, float) else 1.0, until if type(until) is int else None  # pyright: ignore


def _stylegan1_entries(config: StyleGAN1Config, fused_from: int = FUSED_FROM) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        yield from _mapping(config)
        yield Entry("synthesis/4x4/Const/const", "synthesis/const", _CONST)
        for size in config.blocks:
            layers = ("Const", "Conv") if size == 4 else ("Conv0_up", "Conv1")
            for half, layer in enumerate(layers):
                theirs, ours = f"synthesis/{size}x{size}/{layer}", f"synthesis/b{size}"
                if layer != "Const":
                    fused = layer == "Conv0_up" and size >= fused_from
                    yield Entry(f"{theirs}/weight", f"{ours}_conv{half}_kernel", Change(flip=fused))
                yield Entry(f"{theirs}/bias", f"{ours}_conv{half}_bias")
                yield Entry(f"{theirs}/Noise/weight", f"{ours}_epilogue{half}/noise_weight")
                yield Entry(f"{theirs}/StyleMod/weight", f"{ours}_epilogue{half}/style_weight")
                yield Entry(f"{theirs}/StyleMod/bias", f"{ours}_epilogue{half}/style_bias")
        yield Entry("synthesis/ToRGB_lod0/weight", "synthesis/torgb_kernel")
        yield Entry("synthesis/ToRGB_lod0/bias", "synthesis/torgb_bias")

    return tuple(entries())


def _stylegan1(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME1)
    if clamp not in ("file", None):
        raise inference.refuse("which has no clamp; leave the option out")
    for name, allowed in {"use_styles": (True,), "use_instance_norm": (True,), "use_pixel_norm": (False,)}.items():
        inference.expect(f"static_kwargs.{name}", allowed, "this variant is not supported")
    inference.filter("static_kwargs.blur_filter", (1, 2, 1))
    inference.expect("static_kwargs.const_input_layer", (True,), "this variant is not supported")
    inference.full_resolution(_LOD)
    sizes = _common(inference, "LabelConcat")
    widths = [
        inference.size(f"synthesis/{size}x{size}/{'Conv' if size == 4 else 'Conv1'}/weight", 3, 4)
        for size in _blocks(sizes["resolution"])
    ]
    config = inference.architecture(StyleGAN1Config, **sizes, channels=tuple(widths), instance_norm_eps=1e-8)
    inference.expect("static_kwargs.fused_scale", ("auto", True, False), "expected auto, True or False")
    fused = inference.value("static_kwargs.fused_scale", "auto")
    fused_from = FUSED_FROM if fused == "auto" else 4 if fused else 2 * config.resolution
    return Plan(
        _NAME1,
        config,
        _stylegan1_entries(config, fused_from),
        tuple(_stylegan1_ignored(config)),
        _truncation(inference, 0.7, 8),
    )


def _stylegan1_ignored(config: StyleGAN1Config) -> Iterator[Ignored]:
    for key in _LOD:
        yield Ignored(key, _LOD_REASON, ())
    yield from noise_buffers(config, "synthesis/noise{}")
    for lod, width in enumerate(reversed(config.channels)):
        if lod:
            reason = "colours at a lower resolution, for progressive growing"
            yield Ignored(f"synthesis/ToRGB_lod{lod}/weight", reason, (1, 1, width, 3))
            yield Ignored(f"synthesis/ToRGB_lod{lod}/bias", reason, (3,))


def _stylegan2_entries(config: StyleGAN2Config) -> tuple[Entry, ...]:
    def entries() -> Iterator[Entry]:
        yield from _mapping(config)
        yield Entry("synthesis/4x4/Const/const", "synthesis/const", _CONST)
        before = config.channels[0]
        for size, width in zip(config.blocks, config.channels, strict=True):
            layers = {"Conv": "conv1"} if size == 4 else {"Conv0_up": "conv0", "Conv1": "conv1"}
            for layer, name in {**layers, "ToRGB": "torgb"}.items():
                theirs, ours = f"synthesis/{size}x{size}/{layer}", f"synthesis/b{size}_{name}"
                inputs = before if layer == "Conv0_up" else width
                # toRGB's scale is in the module.
                change = Change() if layer == "ToRGB" else equalised_kernel(inputs)
                yield Entry(f"{theirs}/weight", f"{ours}/kernel", change)
                yield Entry(f"{theirs}/bias", f"{ours}/bias")
                yield Entry(f"{theirs}/mod_weight", f"{ours}/style/weight")
                yield Entry(f"{theirs}/mod_bias", f"{ours}/style/bias", Change(offset=1.0))
                if layer != "ToRGB":
                    yield Entry(f"{theirs}/noise_strength", f"{ours}/noise_strength")
            before = width

    return tuple(entries())


def _stylegan2(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME2)
    if state.has(r"synthesis/\d+x\d+/Skip/weight"):
        raise inference.refuse("but has residual connections (architecture 'resnet'); only 'skip' is supported")
    if state.has(r"synthesis/ToRGB_lod\d+/.*"):
        raise inference.refuse("but colours per level of detail (configurations B to D); only 'skip' is supported")
    inference.expect("static_kwargs.architecture", ("skip",), "only 'skip' is supported")
    inference.filter("static_kwargs.resample_kernel", (1, 3, 3, 1))
    inference.full_resolution(_LOD)
    # ADA's program embeds labels by a layer of their own; the one before it, as StyleGAN's, does not.
    separate = state.has(r"mapping/LabelEmbed/.*")
    sizes = _common(inference, "LabelEmbed" if separate else "LabelConcat")
    if sizes["label_dim"]:
        sizes["label_norm"] = "separate" if separate else "joint"
    blocks = _blocks(sizes["resolution"])
    if len(blocks) > 1 and not any(state.has(rf"synthesis/{size}x{size}/ToRGB/.*") for size in blocks[:-1]):
        raise inference.refuse("but only its last block makes colours (architecture 'orig'); only 'skip' is supported")
    widths = [
        inference.size(f"synthesis/{size}x{size}/{'Conv' if size == 4 else 'Conv1'}/weight", 3, 4) for size in blocks
    ]
    bound = inference.clamp(clamp, r"(.*/)?static_kwargs\.conv_clamp")
    config = inference.architecture(StyleGAN2Config, **sizes, channels=tuple(widths), conv_clamp=bound)
    ignored = (*(Ignored(key, _LOD_REASON, ()) for key in _LOD), *noise_buffers(config, "synthesis/noise{}"))
    return Plan(_NAME2, config, _stylegan2_entries(config), ignored, _truncation(inference, 0.5, None))


_SHARED = ("dlatent_avg", "(synthesis/)?lod", r"mapping/Dense\d+/(weight|bias)", _LABELS, r"synthesis/noise\d+")
_LAYER = r"synthesis/\d+x\d+/(Const|Conv|Conv0_up|Conv1)"

STYLEGAN1 = Family(
    _NAME1,
    "stylegan1",
    (*_SHARED, rf"{_LAYER}/(const|weight|bias)", rf"{_LAYER}/(Noise|StyleMod)/.*", r"synthesis/ToRGB_lod\d+/.*"),
    _stylegan1,
    _stylegan1_entries,
)
STYLEGAN2 = Family(
    _NAME2,
    "stylegan2",
    (
        *_SHARED,
        rf"{_LAYER}/(const|weight|bias|noise_strength|mod_weight|mod_bias)",
        r"synthesis/\d+x\d+/(ToRGB|Skip)/.*",
        r"synthesis/ToRGB_lod\d+/mod_.*",
    ),
    _stylegan2,
    _stylegan2_entries,
)
