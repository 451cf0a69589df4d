"""One network under every program's names: states in lernapparat's and StyleGAN2-ADA's naming, renamed into the others.

Written from what the programs' own files look like, and sharing nothing with `convert`, which must undo it. A network
with labels has `class_embedding.weight` as huangzh13 names it, or `mapping.embed.weight`; the latter has a `bias` where
the label's embedding is normalised by itself, as in ADA.
"""

import pathlib

import numpy as np

from convert.source import Source

FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64
BLUR = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16


def source(networks, values=None, container="pickle", path="some.pkl", inert=None):
    """A file that holds these networks."""
    return Source(pathlib.Path(path), container, "0" * 64, networks, values or {}, inert or {})


def random_stylegan1(widths=(6, 5), d=7, depth=2, seed=0, labels=0):
    """A StyleGAN in lernapparat's naming, mapping network and all."""
    rng = np.random.default_rng(seed)
    state = {}

    def put(key, *shape, scale=1.0):
        state[key] = (scale * rng.standard_normal(shape)).astype(np.float32)

    if labels:
        put("class_embedding.weight", labels, d)
    for i in range(depth):
        put(f"dense{i}.weight", d, 2 * d if labels and i == 0 else d, scale=100)
        put(f"dense{i}.bias", d, scale=50)
    before = widths[0]
    for level, width in enumerate(widths):
        block = f"blocks.{4 * 2**level}x{4 * 2**level}"
        if level == 0:
            put(f"{block}.const", 1, width, 4, 4)
            put(f"{block}.bias", width)
        else:
            put(f"{block}.conv0_up.weight", width, before, 3, 3)
            put(f"{block}.conv0_up.bias", width)
            state[f"{block}.conv0_up.intermediate.kernel"] = BLUR[None, None]
        conv = "conv" if level == 0 else "conv1"
        put(f"{block}.{conv}.weight", width, width, 3, 3)
        put(f"{block}.{conv}.bias", width)
        for epilogue in ("epi1", "epi2"):
            put(f"{block}.{epilogue}.noise.weight", width)
            put(f"{block}.{epilogue}.style_mod.lin.weight", 2 * width, d)
            put(f"{block}.{epilogue}.style_mod.lin.bias", 2 * width)
        before = width
    put("torgb.weight", 3, before, 1, 1)
    put("torgb.bias", 3)
    return state


def random_stylegan2(widths=(6, 5), d=7, depth=2, seed=0, labels=0, joint=False):
    """A StyleGAN2 in StyleGAN2-ADA's naming, with all its buffers; `joint`: labels are embedded as in TensorFlow."""
    rng = np.random.default_rng(seed)
    state = {}

    def put(key, *shape, scale=1.0, shift=0.0):
        state[key] = np.asarray(shift + scale * rng.standard_normal(shape), np.float32)

    put("mapping.w_avg", d)
    if labels:
        put("mapping.embed.weight", d, labels)
        if not joint:
            put("mapping.embed.bias", d)
    for i in range(depth):
        put(f"mapping.fc{i}.weight", d, 2 * d if labels and i == 0 else d, scale=100)
        put(f"mapping.fc{i}.bias", d, scale=50)
    put("synthesis.b4.const", widths[0], 4, 4)
    before = widths[0]
    for level, width in enumerate(widths):
        size = 4 * 2**level
        block = f"synthesis.b{size}"
        state[f"{block}.resample_filter"] = FIR
        layers = {"conv0": (before, width, 3), "conv1": (width, width, 3), "torgb": (width, 3, 1)}
        for layer, (fan_in, fan_out, side) in layers.items():
            if size == 4 and layer == "conv0":
                continue
            put(f"{block}.{layer}.weight", fan_out, fan_in, side, side)
            put(f"{block}.{layer}.bias", fan_out)
            put(f"{block}.{layer}.affine.weight", fan_in, d)
            put(f"{block}.{layer}.affine.bias", fan_in, shift=1.0)
            if layer != "torgb":
                state[f"{block}.{layer}.resample_filter"] = FIR
                put(f"{block}.{layer}.noise_const", size, size)
                put(f"{block}.{layer}.noise_strength")
        before = width
    return state


def _blocks(state):
    """The blocks 4, 8, … of a state in lernapparat's or StyleGAN2-ADA's naming, and their widths."""
    widths = {}
    for size in (4 * 2**level for level in range(11)):
        for key in (f"blocks.{size}x{size}.conv{'1' if size > 4 else ''}.weight", f"synthesis.b{size}.conv1.weight"):
            if key in state:
                widths[size] = state[key].shape[0]
    return widths


def _dense(state, prefix):
    layers = 0
    while f"{prefix}{layers}.weight" in state:
        yield layers, state[f"{prefix}{layers}.weight"], state[f"{prefix}{layers}.bias"]
        layers += 1


def _hwio(kernel):
    return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))


def _turned(kernel):
    return np.ascontiguousarray(kernel[:, :, ::-1, ::-1])


# --- StyleGAN1 --------------------------------------------------------------------------------------------------------


def _conv1(state, size):
    return f"blocks.{size}x{size}.{'conv' if size == 4 else 'conv1'}"


def pulse(state, w_avg):
    """Three files, as PULSE keeps them, but for the fit; there is no mean of w."""
    mapping = {key: array for key, array in state.items() if key.startswith("dense")}
    synthesis = {key: array for key, array in state.items() if not key.startswith("dense")}
    return [
        source({"": synthesis}, container="torch-legacy", path="synthesis.pt"),
        source({"": mapping}, container="torch-legacy", path="mapping.pt"),
    ]


def lernapparat(state, w_avg):
    """One file of both networks."""
    renamed = {}
    for key, array in state.items():
        part = "g_mapping" if key.startswith("dense") else "g_synthesis"
        renamed[f"{part}.{key.replace('.noise.', '.top_epi.noise.')}"] = array
    return [source({"": renamed}, container="torch-legacy", path="g_all.pt")]


def huangzh13(state, w_avg):
    """Blocks are counted, and every block has a toRGB."""
    widths = _blocks(state)
    names = {f"{size}x{size}": "init_block" if size == 4 else f"blocks.{i - 1}" for i, size in enumerate(widths)}
    renamed = {"truncation.avg_latent": w_avg}
    for key, array in state.items():
        key = key.replace(".noise.", ".top_epi.noise.")
        head, *rest = key.split(".")
        if head.startswith("dense"):
            renamed[f"g_mapping.map.{key}"] = array
        elif head == "class_embedding":
            renamed[key] = array
        elif head == "torgb":
            renamed[f"g_synthesis.to_rgb.{len(widths) - 1}.{rest[0]}"] = array
        else:
            renamed[f"g_synthesis.{names[rest[0]]}.{'.'.join(rest[1:])}"] = array
    for i, width in enumerate(list(widths.values())[:-1]):
        renamed[f"g_synthesis.to_rgb.{i}.weight"] = np.ones((3, width, 1, 1), np.float32)
        renamed[f"g_synthesis.to_rgb.{i}.bias"] = np.ones(3, np.float32)
    return [source({"": renamed}, container="torch-zip", path="GAN_GEN_SHADOW_8.pth")]


def tensorflow1(state, w_avg):
    """A pickle (G, D, Gs)."""
    widths = _blocks(state)
    gs = {"dlatent_avg": w_avg, "lod": np.float32(0)[()] * np.ones((), np.float32)}
    gs["synthesis/lod"] = np.zeros((), np.float32)
    if "class_embedding.weight" in state:
        gs["mapping/LabelConcat/weight"] = state["class_embedding.weight"]
    for i, weight, bias in _dense(state, "dense"):
        gs[f"mapping/Dense{i}/weight"], gs[f"mapping/Dense{i}/bias"] = weight.T, bias
    for i, (size, width) in enumerate(widths.items()):
        block, ours = f"synthesis/{size}x{size}", f"blocks.{size}x{size}"
        first, second = ("Const", "Conv") if size == 4 else ("Conv0_up", "Conv1")
        if size == 4:
            gs[f"{block}/Const/const"] = state[f"{ours}.const"]
            gs[f"{block}/Const/bias"] = state[f"{ours}.bias"]
        else:
            gs[f"{block}/Conv0_up/weight"] = _hwio(state[f"{ours}.conv0_up.weight"])
            gs[f"{block}/Conv0_up/bias"] = state[f"{ours}.conv0_up.bias"]
        gs[f"{block}/{second}/weight"] = _hwio(state[f"{_conv1(state, size)}.weight"])
        gs[f"{block}/{second}/bias"] = state[f"{_conv1(state, size)}.bias"]
        for layer, epilogue in ((first, "epi1"), (second, "epi2")):
            gs[f"{block}/{layer}/Noise/weight"] = state[f"{ours}.{epilogue}.noise.weight"]
            gs[f"{block}/{layer}/StyleMod/weight"] = state[f"{ours}.{epilogue}.style_mod.lin.weight"].T
            gs[f"{block}/{layer}/StyleMod/bias"] = state[f"{ours}.{epilogue}.style_mod.lin.bias"]
        for half in (0, 1):
            gs[f"synthesis/noise{2 * i + half}"] = np.zeros((1, 1, size, size), np.float32)
        lod = len(widths) - 1 - i
        weight = _hwio(state["torgb.weight"]) if lod == 0 else np.ones((1, 1, width, 3), np.float32)
        gs[f"synthesis/ToRGB_lod{lod}/weight"] = weight
        gs[f"synthesis/ToRGB_lod{lod}/bias"] = state["torgb.bias"]
    values = {"Gs": {"version": 3, "static_kwargs.resolution": max(widths), "static_kwargs.num_channels": 3}}
    values["Gs"]["static_kwargs.label_size"] = len(state.get("class_embedding.weight", ()))
    return [source({"G": dict(gs), "D": {"lod": gs["lod"]}, "Gs": gs}, values, "tensorflow", "karras2019.pkl")]


def genforce1(state, w_avg):
    """`generator_smooth` beside the other networks."""
    widths = _blocks(state)
    g = {"truncation.w_avg": w_avg, "synthesis.lod": np.zeros((), np.float32)}
    if "class_embedding.weight" in state:
        g["mapping.label_weight"] = state["class_embedding.weight"]
    for i, weight, bias in _dense(state, "dense"):
        g[f"mapping.dense{i}.weight"], g[f"mapping.dense{i}.bias"] = weight, bias
    for b, (size, width) in enumerate(widths.items()):
        ours, first, second = f"blocks.{size}x{size}", f"synthesis.layer{2 * b}", f"synthesis.layer{2 * b + 1}"
        if b == 0:
            g[f"{first}.const"], g[f"{first}.bias"] = state[f"{ours}.const"], state[f"{ours}.bias"]
        else:
            g[f"{first}.weight"] = state[f"{ours}.conv0_up.weight"]
            g[f"{first}.bias"] = state[f"{ours}.conv0_up.bias"]
            g[f"{first}.blur.kernel"] = np.tile(BLUR[None, None], (width, 1, 1, 1))
        g[f"{second}.weight"] = state[f"{_conv1(state, size)}.weight"]
        g[f"{second}.bias"] = state[f"{_conv1(state, size)}.bias"]
        for layer, epilogue in ((first, "epi1"), (second, "epi2")):
            g[f"{layer}.apply_noise.weight"] = state[f"{ours}.{epilogue}.noise.weight"]
            g[f"{layer}.apply_noise.noise"] = np.zeros((1, 1, size, size), np.float32)
            g[f"{layer}.style.weight"] = state[f"{ours}.{epilogue}.style_mod.lin.weight"]
            g[f"{layer}.style.bias"] = state[f"{ours}.{epilogue}.style_mod.lin.bias"]
        last = size == max(widths)
        g[f"synthesis.output{b}.weight"] = state["torgb.weight"] if last else np.ones((3, width, 1, 1), np.float32)
        g[f"synthesis.output{b}.bias"] = state["torgb.bias"]
    networks = {"generator": dict(g), "discriminator": {"input0.weight": np.ones(1, np.float32)}}
    return [source({**networks, "generator_smooth": g}, container="torch-zip", path="stylegan_ffhq.pth")]


def rosinality1(state, w_avg, fused_from=128):
    """`g_running` beside the other networks; there is no mean of w, and the 4x4 block has one bias less."""
    g = {}
    for i, weight, bias in _dense(state, "dense"):
        g[f"style.{2 * i + 1}.linear.weight_orig"], g[f"style.{2 * i + 1}.linear.bias"] = weight, bias
    for n, (size, width) in enumerate(_blocks(state).items()):
        ours, theirs = f"blocks.{size}x{size}", f"generator.progression.{n}"
        if n == 0:
            g[f"{theirs}.conv1.input"] = state[f"{ours}.const"]
        else:
            kernel, bias = (state[f"{ours}.conv0_up.{part}"] for part in ("weight", "bias"))
            blur = f"{theirs}.conv1.2"
            if size >= fused_from:
                blur = f"{theirs}.conv1.1"
                g[f"{theirs}.conv1.0.weight"], g[f"{theirs}.conv1.0.bias"] = 4 * kernel.swapaxes(0, 1), bias
            else:
                g[f"{theirs}.conv1.1.conv.weight_orig"], g[f"{theirs}.conv1.1.conv.bias"] = kernel, bias
            g[f"{blur}.weight"] = g[f"{blur}.weight_flip"] = np.tile(BLUR[None, None], (width, 1, 1, 1))
        g[f"{theirs}.conv2.conv.weight_orig"] = state[f"{_conv1(state, size)}.weight"]
        g[f"{theirs}.conv2.conv.bias"] = state[f"{_conv1(state, size)}.bias"]
        for half in (1, 2):
            noise, style = state[f"{ours}.epi{half}.noise.weight"], f"{ours}.epi{half}.style_mod.lin"
            g[f"{theirs}.noise{half}.weight_orig"] = (noise * np.float32((width / 2) ** 0.5)).reshape(1, width, 1, 1)
            g[f"{theirs}.adain{half}.style.linear.weight_orig"] = state[f"{style}.weight"] / np.float32(2**0.5)
            bias = state[f"{style}.bias"] + np.repeat(np.float32([1, 0]), width)
            g[f"{theirs}.adain{half}.style.linear.bias"] = bias
        colours = state["torgb.weight"] if size == max(_blocks(state)) else np.ones((3, width, 1, 1), np.float32)
        g[f"generator.to_rgb.{n}.conv.weight_orig"] = colours / np.float32(2**0.5)
        g[f"generator.to_rgb.{n}.conv.bias"] = state["torgb.bias"]
    discriminator = {"progression.0.conv1.0.conv.bias", "from_rgb.0.conv.bias", "linear.linear.bias"}
    networks = {"generator": dict(g), "discriminator": dict.fromkeys(discriminator, np.ones(1, np.float32))}
    return [source({**networks, "g_running": g}, container="torch-zip", path="train_step-7.model")]


STYLEGAN1 = {
    "pulse": pulse,
    "lernapparat": lernapparat,
    "huangzh13": huangzh13,
    "tensorflow1": tensorflow1,
    "genforce1": genforce1,
}


OWN_STYLEGAN1 = {"rosinality1": rosinality1}
"""Namings of networks that are no ports: biases before the blur, and one noise image for a block."""


# --- StyleGAN2 --------------------------------------------------------------------------------------------------------


def ada(state, clamp=None):
    """A pickle {G, D, G_ema}."""
    sizes = _blocks(state)
    values = {"z_dim": 7, "c_dim": 0, "synthesis.img_resolution": max(sizes), "mapping.num_layers": 0}
    if "mapping.embed.weight" in state:
        values |= {"c_dim": state["mapping.embed.weight"].shape[1], "mapping.embed.bias_gain": 1}
    for i, _, _ in _dense(state, "mapping.fc"):
        values |= {"mapping.num_layers": i + 1, f"mapping.fc{i}.bias_gain": 0.01, f"mapping.fc{i}.activation": "lrelu"}
    for size in sizes:
        values[f"synthesis.b{size}.architecture"] = "skip"
        for layer in ("conv0", "conv1", "torgb")[size == 4 :]:
            values[f"synthesis.b{size}.{layer}.conv_clamp"] = clamp
    other = {"b4.fc.weight": np.ones((2, 2), np.float32)}
    return [source({"G": dict(state), "D": other, "G_ema": dict(state)}, {"G_ema": values}, "pickle", "ffhq.pkl")]


def tensorflow2(state, clamp=None):
    """A pickle (G, D, Gs)."""
    gs = {"dlatent_avg": state["mapping.w_avg"], "lod": np.zeros((), np.float32)}
    for i, weight, bias in _dense(state, "mapping.fc"):
        gs[f"mapping/Dense{i}/weight"], gs[f"mapping/Dense{i}/bias"] = weight.T, bias
    if "mapping.embed.weight" in state:
        layer = "LabelEmbed" if "mapping.embed.bias" in state else "LabelConcat"
        gs[f"mapping/{layer}/weight"] = state["mapping.embed.weight"].T
    if "mapping.embed.bias" in state:
        gs["mapping/LabelEmbed/bias"] = state["mapping.embed.bias"]
    gs["synthesis/4x4/Const/const"] = state["synthesis.b4.const"][None]
    noise = 0
    for size in _blocks(state):
        for layer in ("conv0", "conv1", "torgb")[size == 4 :]:
            ours = f"synthesis.b{size}.{layer}"
            name = {"conv0": "Conv0_up", "conv1": "Conv" if size == 4 else "Conv1", "torgb": "ToRGB"}[layer]
            theirs = f"synthesis/{size}x{size}/{name}"
            weight = state[f"{ours}.weight"]
            gs[f"{theirs}/weight"] = _hwio(_turned(weight) if layer == "conv0" else weight)
            gs[f"{theirs}/bias"] = state[f"{ours}.bias"]
            gs[f"{theirs}/mod_weight"] = state[f"{ours}.affine.weight"].T
            gs[f"{theirs}/mod_bias"] = state[f"{ours}.affine.bias"] - 1
            if layer != "torgb":
                gs[f"{theirs}/noise_strength"] = state[f"{ours}.noise_strength"]
                gs[f"synthesis/noise{noise}"] = np.zeros((1, 1, size, size), np.float32)
                noise += 1
    values = {"Gs": {"static_kwargs.resolution": max(_blocks(state)), "static_kwargs.architecture": "skip"}}
    if clamp is not None:
        values["Gs"]["static_kwargs.conv_clamp"] = clamp
    return [source({"G": dict(gs), "D": {"lod": gs["lod"]}, "Gs": gs}, values, "tensorflow", "stylegan2.pkl")]


def _counted(state):
    """(size, layer, place among the up-blocks' convolutions) of every layer but toRGB, and toRGBs likewise."""
    for j, size in enumerate(_blocks(state)):
        if size == 4:
            yield size, "conv1", None
        else:
            yield size, "conv0", 2 * (j - 1)
            yield size, "conv1", 2 * (j - 1) + 1
        yield size, "torgb", None if size == 4 else j - 1


def rosinality(state, clamp=None):
    """A file {g, d, g_ema, latent_avg}."""
    g = {"input.input": state["synthesis.b4.const"][None]}
    for i, weight, bias in _dense(state, "mapping.fc"):
        g[f"style.{i + 1}.weight"], g[f"style.{i + 1}.bias"] = weight, bias
    noise = 0
    for size, layer, place in _counted(state):
        ours = f"synthesis.b{size}.{layer}"
        if layer == "torgb":
            theirs = "to_rgb1" if place is None else f"to_rgbs.{place}"
            g[f"{theirs}.bias"] = state[f"{ours}.bias"].reshape(1, 3, 1, 1)
            if place is not None:
                g[f"{theirs}.upsample.kernel"] = 4 * FIR
        else:
            theirs = "conv1" if place is None else f"convs.{place}"
            g[f"{theirs}.noise.weight"] = state[f"{ours}.noise_strength"].reshape(1)
            g[f"{theirs}.activate.bias"] = state[f"{ours}.bias"]
            g[f"noises.noise_{noise}"] = np.zeros((1, 1, size, size), np.float32)
            noise += 1
            if layer == "conv0":
                g[f"{theirs}.conv.blur.kernel"] = 4 * FIR
        g[f"{theirs}.conv.weight"] = state[f"{ours}.weight"][None]
        g[f"{theirs}.conv.modulation.weight"] = state[f"{ours}.affine.weight"]
        g[f"{theirs}.conv.modulation.bias"] = state[f"{ours}.affine.bias"]
    discriminator = {"final_linear.0.weight": np.ones((2, 2), np.float32)}
    networks = {"g": dict(g), "d": discriminator, "g_ema": g, "": {"latent_avg": state["mapping.w_avg"]}}
    return [source(networks, container="torch-zip", path="550000.pt")]


def basicsr(state, clamp=None):
    """`params_ema` alone; there is no mean of w."""
    g = {"constant_input.weight": state["synthesis.b4.const"][None]}
    for i, weight, bias in _dense(state, "mapping.fc"):
        g[f"style_mlp.{i + 1}.weight"], g[f"style_mlp.{i + 1}.bias"] = weight, bias
    noise = 0
    for size, layer, place in _counted(state):
        ours = f"synthesis.b{size}.{layer}"
        if layer == "torgb":
            theirs = "to_rgb1" if place is None else f"to_rgbs.{place}"
            g[f"{theirs}.bias"] = state[f"{ours}.bias"].reshape(1, 3, 1, 1)
        else:
            theirs = "style_conv1" if place is None else f"style_convs.{place}"
            g[f"{theirs}.weight"] = state[f"{ours}.noise_strength"].reshape(1)
            g[f"{theirs}.activate.bias"] = state[f"{ours}.bias"]
            g[f"noises.noise{noise}"] = np.zeros((1, 1, size, size), np.float32)
            noise += 1
        g[f"{theirs}.modulated_conv.weight"] = state[f"{ours}.weight"][None]
        g[f"{theirs}.modulated_conv.modulation.weight"] = state[f"{ours}.affine.weight"]
        g[f"{theirs}.modulated_conv.modulation.bias"] = state[f"{ours}.affine.bias"]
    return [source({"params_ema": g}, container="torch-zip", path="stylegan2_c2_ffhq.pth")]


def genforce2(state, clamp=None):
    """`generator_smooth`; kernels as in TensorFlow but for the order of axes."""
    g = {
        "truncation.w_avg": state["mapping.w_avg"],
        "synthesis.early_layer.const": state["synthesis.b4.const"][None],
        "synthesis.upsample.kernel": 4 * FIR[None, None],
    }
    if "mapping.embed.weight" in state:
        g["mapping.label_weight"] = state["mapping.embed.weight"].T
    for i, weight, bias in _dense(state, "mapping.fc"):
        g[f"mapping.dense{i}.weight"], g[f"mapping.dense{i}.bias"] = weight, bias
    layers = 0
    for b, size in enumerate(_blocks(state)):
        for layer in ("conv0", "conv1", "torgb")[size == 4 :]:
            ours = f"synthesis.b{size}.{layer}"
            theirs = f"synthesis.output{b}" if layer == "torgb" else f"synthesis.layer{layers}"
            weight = state[f"{ours}.weight"]
            g[f"{theirs}.weight"] = _turned(weight) if layer == "conv0" else weight
            g[f"{theirs}.bias"] = state[f"{ours}.bias"]
            g[f"{theirs}.style.weight"] = state[f"{ours}.affine.weight"]
            g[f"{theirs}.style.bias"] = state[f"{ours}.affine.bias"] - 1
            if layer != "torgb":
                g[f"{theirs}.noise_strength"] = state[f"{ours}.noise_strength"]
                g[f"{theirs}.noise"] = np.zeros((1, 1, size, size), np.float32)
                layers += 1
            if layer == "conv0":
                g[f"{theirs}.filter.kernel"] = 4 * FIR[None, None]
    return [source({"generator": dict(g), "generator_smooth": g}, container="torch-zip", path="stylegan2_ffhq.pth")]


STYLEGAN2 = {
    "ada": ada,
    "tensorflow2": tensorflow2,
    "rosinality": rosinality,
    "basicsr": basicsr,
    "genforce2": genforce2,
}

LABELLED = (
    "huangzh13 labels",
    "tensorflow1 labels",
    "genforce1 labels",
    "ada labels",
    "tensorflow2 labels",
    "tensorflow2 joint labels",
    "genforce2 joint labels",
)
"""The namings of networks with labels; `joint` tells the two of StyleGAN2's in TensorFlow apart."""

NETWORKS = (*STYLEGAN1, *OWN_STYLEGAN1, *STYLEGAN2, *LABELLED)


def write(network, **sizes):
    """The files of a random network, one of `NETWORKS`; of three labels unless told otherwise."""
    naming, *kind = network.split()
    sizes = {"labels": 3 if "labels" in kind else 0} | sizes
    if naming in STYLEGAN1 | OWN_STYLEGAN1:
        w_avg = np.linspace(-1, 1, sizes.get("d", 7), dtype=np.float32)
        return (STYLEGAN1 | OWN_STYLEGAN1)[naming](random_stylegan1(**sizes), w_avg)
    return STYLEGAN2[naming](random_stylegan2(**sizes, joint="joint" in kind))
