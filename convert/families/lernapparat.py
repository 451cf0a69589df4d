"""StyleGAN in PyTorch: PULSE's files, lernapparat's, from which they come, and huangzh13's.

Weights are transposed from TensorFlow's and run the same way: the up-convolutions from 128x128 on as transposed
convolutions. PyTorch's instance normalisation has an epsilon of 1e-5.
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
from convert.families.tensorflow import FUSED_FROM
from convert.inference import Inference
from pulse_jax.generators.architectures import StyleGAN1Config

__all__ = ["STYLEGAN1", "STYLEGAN1_HUANGZH13"]

_NAME = "StyleGAN (PULSE, lernapparat)"
_NAME_HUANGZH13 = "StyleGAN (huangzh13)"
_EPS = 1e-5
_LABELS = "class_embedding.weight"
_AVERAGE = "truncation.avg_latent"
_BLUR = (1, 2, 1)


def _body(config: StyleGAN1Config, mapping: str, blocks: list[str], rgb: str, epilogue: str) -> Iterator[Entry]:
    """The entries, from the names of the parts: the dense layers' prefix, one per block, the last toRGB, the noise."""
    for i in range(config.mapping_layers or 0):
        yield Entry(f"{mapping}{i}.weight", f"mapping/dense{i}_weight", Change("oi->io"))
        yield Entry(f"{mapping}{i}.bias", f"mapping/dense{i}_bias")
    for size, block in zip(config.blocks, blocks, strict=True):
        ours = f"synthesis/b{size}"
        if size == 4:
            yield Entry(f"{block}.const", "synthesis/const", Change("1chw->hwc"))
            yield Entry(f"{block}.bias", f"{ours}_conv0_bias")
        else:
            change = Change("oihw->hwio", flip=size >= FUSED_FROM)
            yield Entry(f"{block}.conv0_up.weight", f"{ours}_conv0_kernel", change)
            yield Entry(f"{block}.conv0_up.bias", f"{ours}_conv0_bias")
        conv = "conv" if size == 4 else "conv1"
        yield Entry(f"{block}.{conv}.weight", f"{ours}_conv1_kernel", Change("oihw->hwio"))
        yield Entry(f"{block}.{conv}.bias", f"{ours}_conv1_bias")
        for half in (0, 1):
            theirs = f"{block}.epi{half + 1}"
            yield Entry(f"{theirs}.{epilogue}noise.weight", f"{ours}_epilogue{half}/noise_weight")
            yield Entry(f"{theirs}.style_mod.lin.weight", f"{ours}_epilogue{half}/style_weight", Change("oi->io"))
            yield Entry(f"{theirs}.style_mod.lin.bias", f"{ours}_epilogue{half}/style_bias")
    yield Entry(f"{rgb}.weight", "synthesis/torgb_kernel", Change("oihw->hwio"))
    yield Entry(f"{rgb}.bias", "synthesis/torgb_bias")


def _blurs(blocks: list[str]) -> Iterator[Ignored]:
    # Required, because the same program without the blur leaves it out and makes other images.
    for block in blocks[1:]:
        value = resample_filter(_BLUR, 1.0, (1, 1, 3, 3))
        yield Ignored(f"{block}.conv0_up.intermediate.kernel", "the filter 1, 2, 1", (1, 1, 3, 3), value, required=True)


def _config(
    inference: Inference, resolution: int, mapping: str | None, blocks: list[str], labels: int = 0
) -> StyleGAN1Config:
    weights = [f"{block}.{'conv1' if i else 'conv'}.weight" for i, block in enumerate(blocks)]
    return inference.architecture(
        StyleGAN1Config,
        resolution=resolution,
        latent_dim=inference.size(f"{blocks[0]}.epi1.style_mod.lin.weight", 1, 2),
        mapping_layers=None if mapping is None else inference.depth(rf"{mapping.replace('.', '[.]')}(\d+)[.].*"),
        channels=tuple(inference.size(weight, 0, 4) for weight in weights),
        label_dim=labels,
        instance_norm_eps=_EPS,
    )


def _without_clamp(inference: Inference, clamp: Clamp) -> None:
    if clamp not in ("file", None):
        raise inference.refuse("which has no clamp; leave the option out")


def _names(resolution: int, prefix: str) -> list[str]:
    return [f"{prefix}blocks.{2**level}x{2**level}" for level in range(2, resolution.bit_length())]


def _entries(config: StyleGAN1Config) -> tuple[Entry, ...]:
    return tuple(_body(config, "dense", _names(config.resolution, ""), "torgb", ""))


def _plan(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME)
    _without_clamp(inference, clamp)
    joined = state.has(r"g_(mapping|synthesis)\..*")
    prefix, mapping = ("g_synthesis.", "g_mapping.dense") if joined else ("", "dense")
    resolution = inference.resolution(r"(?:g_synthesis\.)?blocks\.(\d+)x\d+\..*")
    blocks = _names(resolution, prefix)
    has_mapping = state.has(rf"{mapping.replace('.', '[.]')}\d+[.].*")
    if not state.has(r"(g_synthesis\.)?blocks\..*"):
        raise inference.refuse("but has no synthesis network (blocks.…); give its file as well (synthesis.pt)")
    config = _config(inference, resolution, mapping if has_mapping else None, blocks)
    epilogue = "top_epi." if state.has(r".*\.top_epi\..*") else ""
    entries = tuple(_body(config, mapping, blocks, f"{prefix}torgb", epilogue))
    return Plan(_NAME, config, entries, tuple(_blurs(blocks)), (0.7, 8))


def _huangzh13_names(resolution: int) -> list[str]:
    count = resolution.bit_length() - 3
    return ["g_synthesis.init_block", *(f"g_synthesis.blocks.{i}" for i in range(count))]


def _huangzh13_entries(config: StyleGAN1Config) -> tuple[Entry, ...]:
    blocks = _huangzh13_names(config.resolution)
    rgb = f"g_synthesis.to_rgb.{len(blocks) - 1}"
    labels = (Entry(_LABELS, "mapping/label_weight"),) if config.label_dim else ()
    return (*labels, *_body(config, "g_mapping.map.dense", blocks, rgb, "top_epi."))


def _huangzh13(state: State, clamp: Clamp) -> Plan:
    inference = Inference(state, _NAME_HUANGZH13)
    _without_clamp(inference, clamp)
    last = max(
        inference.largest(r"g_synthesis\.blocks\.(\d+)\..*", "block", 9) + 1,
        inference.largest(r"g_synthesis\.to_rgb\.(\d+)\..*", "block", 10),
    )
    resolution = 2 ** (max(last, 0) + 2)
    blocks = _huangzh13_names(resolution)
    labels = inference.labels(_LABELS, 0, "g_mapping.map.dense0.weight")
    config = _config(inference, resolution, "g_mapping.map.dense", blocks, labels)
    ignored = list(_blurs(blocks))
    for i, width in enumerate(config.channels[:-1]):
        reason = "colours at a lower resolution, for progressive growing"
        ignored.append(Ignored(f"g_synthesis.to_rgb.{i}.weight", reason, (3, width, 1, 1)))
        ignored.append(Ignored(f"g_synthesis.to_rgb.{i}.bias", reason, (3,)))
    entries = _huangzh13_entries(config)
    if _AVERAGE in state.arrays:
        entries = (*entries, Entry(_AVERAGE, "w_avg"))
    return Plan(_NAME_HUANGZH13, config, entries, tuple(ignored), (0.7, 8))


_BLOCK = (
    r"(const|bias|(conv|conv0_up|conv1)\.(weight|bias)|conv0_up\.intermediate\.kernel"
    r"|epi[12]\.((top_epi\.)?noise\.weight|style_mod\.lin\.(weight|bias)))"
)

STYLEGAN1 = Family(
    _NAME,
    "stylegan1",
    (
        r"(g_mapping\.)?dense\d+\.(weight|bias)",
        r"(g_synthesis\.)?torgb\.(weight|bias)",
        rf"(g_synthesis\.)?blocks\.\d+x\d+\.{_BLOCK}",
    ),
    _plan,
    _entries,
    lambda config: _blurs(_names(config.resolution, "")),
    default=True,
)
STYLEGAN1_HUANGZH13 = Family(
    _NAME_HUANGZH13,
    "stylegan1",
    (
        re.escape(_LABELS),
        r"g_mapping\.map\.dense\d+\.(weight|bias)",
        r"g_synthesis\.to_rgb\.\d+\.(weight|bias)",
        rf"g_synthesis\.(init_block|blocks\.\d+)\.{_BLOCK}",
        re.escape(_AVERAGE),
    ),
    _huangzh13,
    _huangzh13_entries,
    lambda config: _blurs(_huangzh13_names(config.resolution)),
    average=_AVERAGE,
)
