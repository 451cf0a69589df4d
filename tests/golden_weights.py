"""The goldens' state dicts, under the original programs' names, as this project's parameter trees."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

GOLDENS = pathlib.Path(__file__).parent / "goldens"


def load(name: str) -> dict[str, np.ndarray]:
    """Every array of one golden file."""
    with np.load(GOLDENS / f"{name}.npz") as arrays:
        return dict(arrays)


def state_dict(golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The entries below `sd/`."""
    return {name.removeprefix("sd/"): array for name, array in golden.items() if name.startswith("sd/")}


def nhwc(image: np.ndarray) -> jax.Array:
    """(…, C, H, W) → (…, H, W, C)."""
    return jnp.asarray(np.moveaxis(image, -3, -1))


def hwio(kernel: np.ndarray) -> np.ndarray:
    """OIHW → HWIO."""
    return kernel.transpose(2, 3, 1, 0)


def stylegan1_mapping(state: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """`dense{i}.weight/bias` → parameters of `stylegan1.Mapping`."""
    params = {}
    for name, array in state.items():
        layer, kind = name.split(".")
        params[f"{layer}_{kind}"] = jnp.asarray(array.T)
    return params


def stylegan1_synthesis(state: dict[str, np.ndarray]) -> dict:
    """`blocks.RxR.*`, `torgb.*` → parameters of `stylegan1.Synthesis`."""
    params: dict = {"torgb_kernel": hwio(state["torgb.weight"]), "torgb_bias": state["torgb.bias"]}
    for name, array in state.items():
        if not name.startswith("blocks.") or name.endswith("intermediate.kernel"):
            continue
        _, block, *rest = name.split(".")
        size = block.split("x")[0]
        match rest:
            case ["const"]:
                params["const"] = array[0].transpose(1, 2, 0)
            case ["bias"]:
                params["b4_conv0_bias"] = array
            case ["conv0_up", kind]:
                params[f"b{size}_conv0_{'kernel' if kind == 'weight' else kind}"] = (
                    hwio(array) if kind == "weight" else array
                )
            case ["conv" | "conv1", kind]:
                params[f"b{size}_conv1_{'kernel' if kind == 'weight' else kind}"] = (
                    hwio(array) if kind == "weight" else array
                )
            case [epilogue, "noise", "weight"]:
                params.setdefault(f"b{size}_epilogue{int(epilogue[-1]) - 1}", {})["noise_weight"] = array
            case [epilogue, "style_mod", "lin", kind]:
                params.setdefault(f"b{size}_epilogue{int(epilogue[-1]) - 1}", {})[f"style_{kind}"] = array.T
    return jax.tree.map(jnp.asarray, params)


def stylegan2(state: dict[str, np.ndarray]) -> tuple[dict, jax.Array, tuple[jax.Array, ...]]:
    """ADA names → ({"mapping", "synthesis"}, w_avg, noise buffers)."""
    mapping, synthesis, noise = {}, {}, {}
    for name, array in state.items():
        part, *rest = name.split(".")
        match part, rest:
            case "mapping", ["w_avg"]:
                pass
            case "mapping", [layer, kind]:
                mapping[f"{layer.replace('fc', 'dense')}_{kind}"] = array.T
            case _, ["b4", "const"]:
                synthesis["const"] = array.transpose(1, 2, 0)
            case _, [block, layer, "affine", kind]:
                synthesis.setdefault(f"{block}_{layer}", {}).setdefault("style", {})[kind] = array.T
            case _, [block, layer, "noise_const"]:
                noise[int(block[1:]), layer] = array
            case _, [block, layer, "weight"]:
                kernel = hwio(array)
                upsampling = layer == "conv0"
                synthesis.setdefault(f"{block}_{layer}", {})["kernel"] = kernel[::-1, ::-1] if upsampling else kernel
            case _, [block, layer, kind]:
                synthesis.setdefault(f"{block}_{layer}", {})[kind] = array
    buffers = tuple(noise[key][..., None] for key in sorted(noise))
    return jax.tree.map(jnp.asarray, ({"mapping": mapping, "synthesis": synthesis}, state["mapping.w_avg"], buffers))


def drawn(shape: tuple[int, ...], *seed: int) -> np.ndarray:
    """Uniform numbers of mean 0 and variance 1, float32, from the bits of PCG64, which NumPy promises to keep."""
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape))).reshape(shape)  # pyright: ignore[reportArgumentType]
    return (((bits >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5) * 12**0.5).astype(np.float32)
