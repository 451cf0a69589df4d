"""Tiny checkpoints of every program in every container, by hand: `writers`' networks in `hostile`'s files."""

from convert.safetensors_file import save_safetensors
from tests.convert import hostile, writers

SOURCES = {network: writers.write(network) for network in writers.NETWORKS}
SOURCES["ada"] = writers.ada(writers.random_stylegan2(), 256)


def _modules(arrays, values, name):
    """The nested modules of a dotted state: those of `persistence` hold plain values as attributes."""
    parameters, buffers, attributes, inner = {}, {}, {}, {}
    for key, value in {**arrays, **values}.items():
        head, dot, tail = key.partition(".")
        if dot:
            inner.setdefault(head, ({}, {}))[key in values][tail] = value
        elif key in values:
            attributes[key] = value
        elif head in ("weight", "bias", "const", "noise_strength"):
            parameters[head] = hostile.parameter(hostile.nested(value))
        else:
            buffers[head] = hostile.nested(value)
    modules = {head: _modules(*parts, f"Layer_{head}") for head, parts in inner.items()}
    return hostile.module(name, parameters, buffers, modules, **attributes)


def _variable(array):
    """A variable as TensorFlow hands it over: one without axes is a scalar, no array."""
    return hostile.scalar(array) if array.ndim == 0 else array


def _pickle(naming, source, protocol):
    if naming.startswith("ada"):
        networks = {
            name: _modules(arrays, source.values.get(name, {}), "Generator") for name, arrays in source.networks.items()
        }
        networks["training_set_kwargs"] = hostile.Call(hostile.G("dnnlib.util", "EasyDict"), (), {}, {"path": "x"})
        networks["augment_pipe"] = None
        return hostile.pickled(networks, protocol)
    networks = []
    for name, arrays in source.networks.items():
        said = source.values.get(name, {})
        kwargs = {key.removeprefix("static_kwargs."): v for key, v in said.items() if key.startswith("static_kwargs.")}
        parts = {
            part: hostile.network(
                f"G_{part}",
                {
                    key.removeprefix(f"{part}/"): _variable(array)
                    for key, array in arrays.items()
                    if key.startswith(f"{part}/")
                },
                **kwargs,
            )
            for part in ("mapping", "synthesis")
        }
        own = {key: _variable(array) for key, array in arrays.items() if "/" not in key}
        networks.append(hostile.network(name, own, parts, func_name="G_main", **kwargs))
    return hostile.pickled(tuple(networks), protocol)


def _torch(source, legacy):
    file = hostile.Torch()
    value = {}
    for name, arrays in source.networks.items():
        tensors = {key: file.tensor(array, legacy=legacy) for key, array in arrays.items()}
        value |= {name: tensors} if name else tensors
    if "g_ema" in value:
        value["args"] = hostile.Call(hostile.G("argparse", "Namespace"), (), {"size": 8, "n_mlp": 2}, new=True)
    return file.legacy(value) if legacy else file.zip(value)


def write_files(naming, container, folder):
    """The files of a naming in a container, written below `folder`."""
    paths = []
    for source in SOURCES[naming]:
        path = folder / source.path.name
        paths.append(path)
        if container == "safetensors":
            flat = {
                f"{name}.{key}" if name else key: array
                for name, arrays in source.networks.items()
                if name in ("", "Gs", "G_ema", "g_ema", "g_running", "params_ema", "generator_smooth")
                for key, array in arrays.items()
            }
            save_safetensors(path, flat)
        elif isinstance(container, int):
            path.write_bytes(_pickle(naming, source, container))
        else:
            path.write_bytes(_torch(source, container == "legacy"))
    return paths


CASES = [
    *((naming, protocol) for naming in ("ada", "tensorflow1", "tensorflow2") for protocol in (2, 3, 4)),
    *(
        (naming, kind)
        for naming in ("pulse", "lernapparat", "huangzh13", "rosinality", "rosinality1")
        for kind in ("zip", "legacy")
    ),
    *((naming, "zip") for naming in ("genforce1", "genforce2", "basicsr")),
    *((f"{naming} labels", 4) for naming in ("ada", "tensorflow1", "tensorflow2")),
    *((f"{naming} labels", "zip") for naming in ("huangzh13", "genforce1")),
    *((naming, "safetensors") for naming in SOURCES),
]
