"""Checkpoint files made by hand, honest ones and hostile ones; nothing here shares code with the reader."""

import dataclasses
import io
import json
import struct
import zipfile

import numpy as np


@dataclasses.dataclass(frozen=True)
class G:
    """A global."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """REDUCE, or with `new` NEWOBJ; then the entries of a dict and the state, where there are any."""

    kind: object
    args: tuple
    state: object = None
    items: dict | None = None
    new: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Persistent:
    """A persistent id."""

    identity: object


@dataclasses.dataclass(frozen=True)
class Ops:
    """Opcodes as they are."""

    code: bytes


def pickled(value, protocol=4):
    """A pickle of protocol 2 to 5 whose globals need not exist; what occurs twice is memoised."""
    memo, keep = {}, []
    out = bytearray(b"\x80" + bytes([protocol]))

    def put(value):
        if protocol >= 4:
            out.extend(b"\x94")
        else:
            out.extend(b"r" + struct.pack("<I", len(memo)))
        memo[id(value)] = len(memo)
        keep.append(value)

    def text(value):
        raw = value.encode("utf-8", "surrogatepass")
        if protocol >= 4 and len(raw) < 256:
            out.extend(b"\x8c" + bytes([len(raw)]) + raw)
        else:
            out.extend(b"X" + struct.pack("<I", len(raw)) + raw)

    def name(value):
        if protocol >= 4:
            text(value.module)
            text(value.name)
            out.extend(b"\x93")
        else:
            module = {"builtins": "__builtin__"}.get(value.module, value.module) if protocol < 3 else value.module
            out.extend(f"c{module}\n{value.name}\n".encode())

    def save(value):
        if not isinstance(value, bool | int | float | None) and id(value) in memo:
            out.extend(b"j" + struct.pack("<I", memo[id(value)]))
        elif value is None or isinstance(value, bool):
            out.extend({None: b"N", True: b"\x88", False: b"\x89"}[value])
        elif isinstance(value, int):
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            out.extend(b"J" + struct.pack("<i", value) if len(raw) <= 4 else b"\x8a" + bytes([len(raw)]) + raw)
        elif isinstance(value, float):
            out.extend(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            text(value)
            put(value)
        elif isinstance(value, bytes) and protocol < 3:
            save(Call(G("_codecs", "encode"), (value.decode("latin-1"), "latin1")))
        elif isinstance(value, bytes):
            out.extend(b"B" + struct.pack("<I", len(value)) + value)
            put(value)
        elif isinstance(value, tuple):
            out.extend(b"(")
            for part in value:
                save(part)
            out.extend(b"t")
            put(value)
        elif isinstance(value, list):
            out.extend(b"]")
            put(value)
            out.extend(b"(")
            for part in value:
                save(part)
            out.extend(b"e")
        elif isinstance(value, dict):
            out.extend(b"}")
            put(value)
            entries(value)
        elif isinstance(value, G):
            name(value)
            put(value)
        elif isinstance(value, Call):
            save(value.kind)
            save(value.args)
            out.extend(b"\x81" if value.new else b"R")
            put(value)
            if value.items is not None:
                entries(value.items)
            if value.state is not None:
                save(value.state)
                out.extend(b"b")
        elif isinstance(value, Persistent):
            save(value.identity)
            out.extend(b"Q")
        elif isinstance(value, Ops):
            out.extend(value.code)
        elif isinstance(value, np.ndarray):
            save(array(value))
        else:
            raise TypeError(type(value))

    def entries(items):
        out.extend(b"(")
        for key, part in items.items():
            save(key)
            save(part)
        out.extend(b"u")

    save(value)
    return bytes(out) + b"."


# --- NumPy and TensorFlow ---------------------------------------------------------------------------------------------


def dtype(code, order="<", more=(None, None, None, -1, -1, 0)):
    return Call(G("numpy", "dtype"), (code, 0, 1), (3, order, *more))


def array(value, numpy="numpy.core", **changes):
    """A NumPy array the way NumPy pickles it, in C order."""
    state = {
        "version": 1,
        "shape": value.shape,
        "dtype": dtype(value.dtype.str[1:]),
        "fortran": False,
        "raw": value.tobytes(),
    } | changes
    return Call(G(f"{numpy}.multiarray", "_reconstruct"), (G("numpy", "ndarray"), (0,), b"b"), tuple(state.values()))


def scalar(value):
    return Call(G("numpy.core.multiarray", "scalar"), (dtype(value.dtype.str[1:]), value.tobytes()))


def network(name, variables, components=None, **kwargs):
    """A `dnnlib.tflib.network.Network`."""
    state = {
        "version": 4,
        "name": name,
        "static_kwargs": Call(G("dnnlib.util", "EasyDict"), (), {}, kwargs, new=True),
        "components": components or {},
        "build_module_src": "raise SystemExit('ran')\n" * 100,
        "build_func_name": "G_main",
        "variables": [
            (key, value if isinstance(value, Call | float) else array(value)) for key, value in variables.items()
        ],
    }
    return Call(G("dnnlib.tflib.network", "Network"), (), state, new=True)


# --- torch ------------------------------------------------------------------------------------------------------------

STORAGES = {
    "f4": "FloatStorage",
    "f2": "HalfStorage",
    "f8": "DoubleStorage",
    "i8": "LongStorage",
    "u1": "ByteStorage",
    "b1": "BoolStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


class Torch:
    """A file of `torch.save`; `zip` and `legacy` write what `tensor` was asked for."""

    def __init__(self):
        self.data = {}

    def storage(self, raw, numel, kind="FloatStorage", key=None, legacy=False):
        key = str(len(self.data)) if key is None else key
        self.data[key] = (raw, numel)
        identity = ("storage", G("torch", kind), key, "cuda:0", numel)
        return Persistent((*identity, None) if legacy else identity)

    def tensor(self, value, legacy=False):
        value = np.asarray(value)
        storage = self.storage(value.tobytes(), value.size, STORAGES[value.dtype.str[1:]], legacy=legacy)
        return rebuilt(storage, value.shape)

    def zip(self, value, root="archive", order=b"little", **names):
        members = {f"{root}/data.pkl": pickled(value, 2), f"{root}/byteorder": order, f"{root}/version": b"3\n"}
        members |= {f"{root}/data/{key}": raw for key, (raw, _) in self.data.items()}
        return zipped(members)

    def legacy(self, value, system=None):
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}} | (system or {})
        parts = [pickled(part, 2) for part in (MAGIC, 1001, system, value, list(self.data))]
        return b"".join(parts) + b"".join(struct.pack("<q", numel) + raw for raw, numel in self.data.values())


def rebuilt(storage, shape, offset=0, stride=None):
    if stride is None:
        stride = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    hooks = Call(G("collections", "OrderedDict"), ())
    return Call(G("torch._utils", "_rebuild_tensor_v2"), (storage, offset, tuple(shape), tuple(stride), False, hooks))


def nested(value):
    """A tensor in a plain pickle, its storage a legacy file in bytes."""
    value = np.asarray(value)
    file = Torch()
    raw = file.legacy(file.storage(value.tobytes(), value.size, STORAGES[value.dtype.str[1:]], legacy=True))
    return rebuilt(Call(G("torch.storage", "_load_from_bytes"), (raw,)), value.shape)


def parameter(tensor):
    return Call(G("torch._utils", "_rebuild_parameter"), (tensor, True, Call(G("collections", "OrderedDict"), ())))


def module(name, parameters=None, buffers=None, modules=None, source="raise SystemExit('ran')\n" * 100, **attributes):
    """A persistent module of StyleGAN2-ADA."""
    state = {
        "training": False,
        "_parameters": Call(G("collections", "OrderedDict"), (), None, parameters or {}),
        "_buffers": Call(G("collections", "OrderedDict"), (), None, buffers or {}),
        "_forward_hooks": Call(G("collections", "OrderedDict"), ()),
        "_modules": Call(G("collections", "OrderedDict"), (), None, modules or {}),
        "_non_persistent_buffers_set": Call(G("builtins", "set"), ([],)),
    } | attributes
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": name, "state": state}
    meta = Call(G("dnnlib.util", "EasyDict"), (), {}, meta, new=True)
    return Call(G("torch_utils.persistence", "_reconstruct_persistent_obj"), (meta,))


# --- zip and safetensors ----------------------------------------------------------------------------------------------


def zipped(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = options.get("compression", zipfile.ZIP_STORED)
            archive.writestr(info, raw)
    return file.getvalue()


def safetensors(entries, body, header=None):
    text = json.dumps(entries).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + body


# --- honest files -----------------------------------------------------------------------------------------------------


def arrays(seed=0):
    """A few arrays of several shapes and dtypes."""
    rng = np.random.default_rng(seed)
    return {
        "mapping.fc0.weight": rng.standard_normal((6, 4)).astype(np.float32),
        "mapping.w_avg": rng.standard_normal(6).astype(np.float32),
        "synthesis.b4.const": rng.standard_normal((3, 4, 4)).astype(np.float16),
        "synthesis.b4.noise_strength": np.asarray(rng.standard_normal(), np.float32),
        "synthesis.b4.counter": np.arange(3),
        "synthesis.b8.conv0.weight": rng.standard_normal((2, 3, 3, 3)),
    }


def honest(seed=0):
    """A small valid file of every container, by name."""
    state = arrays(seed)
    slashed = {key.replace(".", "/"): value for key, value in state.items()}
    networks = tuple(
        network(name, {"lod": np.float32(0)}, {"synthesis": network("G_synthesis", slashed, resolution=8)}, z_dim=4)
        for name in ("G", "D", "Gs")
    )
    modules = {
        "G": None,
        "G_ema": module(
            "Generator",
            {key: parameter(nested(value)) for key, value in list(state.items())[:2]},
            {key: nested(value) for key, value in list(state.items())[2:]},
            {"inner": module("Layer", conv_clamp=256, gain=scalar(np.float64(1.5)))},
            z_dim=4,
        ),
    }
    files = {"pickle": pickled({"params_ema": {key: array(value) for key, value in state.items()}}, 4)}
    for protocol in (2, 3, 4):
        files[f"tensorflow-{protocol}"] = pickled(networks, protocol)
        files[f"ada-{protocol}"] = pickled(modules, protocol)
    file = Torch()
    files["torch-zip"] = file.zip({"g_ema": {key: file.tensor(value) for key, value in state.items()}})
    file = Torch()
    value = {"g_ema": {key: file.tensor(value, legacy=True) for key, value in state.items()}}
    files["torch-legacy"] = file.legacy(value)
    entries, body = {}, b""
    for key, value in state.items():
        names = {"<f4": "F32", "<f2": "F16", "<f8": "F64", "<i8": "I64"}
        end = len(body) + value.nbytes
        entries[key] = {
            "dtype": names[value.dtype.str],
            "shape": list(value.shape),
            "data_offsets": [len(body), end],
        }
        body += value.tobytes()
    files["safetensors"] = safetensors(entries, body)
    return files


# --- hostile files ----------------------------------------------------------------------------------------------------

WEIGHT = np.ones((4, 4), np.float32)


def _around(evil, protocol=4):
    """Something evil beside an honest array."""
    return pickled({"params": {"weight": array(WEIGHT), "evil": evil}}, protocol)


def calls(canary):
    """Pickles whose loading would make the file `canary`, by name; they may be refused or read without the evil."""
    command = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w').close()"
    opened = Call(G("builtins", "open"), (str(canary), "w"))
    getattr_ = G("builtins", "getattr")
    chain = Call(Call(getattr_, (Call(G("importlib", "import_module"), ("os",)), "system")), (command,))
    legacy = Torch()
    evil_legacy = legacy.legacy({"a": Call(G("posix", "system"), (command,)), "b": legacy.tensor(WEIGHT, legacy=True)})
    evil_zip = Torch()
    evil_zip = evil_zip.zip({"g": {"a": Call(G("posix", "system"), (command,)), "b": evil_zip.tensor(WEIGHT)}})
    files = {
        "torch-legacy": evil_legacy,
        "torch-zip": evil_zip,
        "protocol-0": f"cos\nsystem\n(V{command}\ntR.".encode(),
        "inst": b"(S" + repr(command).encode() + b"\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nX" + struct.pack("<I", len(command)) + command.encode() + b"o.",
        "nested": _around(Call(G("torch.storage", "_load_from_bytes"), (evil_legacy,))),
        "module-source": pickled({"G": module("X", {"w": nested(WEIGHT)}, source=code)}),
        "network-source": pickled(network("Gs", {"w": WEIGHT}, build_module_src=code)),
        "build-function": _around(Call(Ops(b"cos\nsystem\n"), (), {"__defaults__": (command,)})),
        "codecs": _around(Call(G("_codecs", "encode"), (Call(G("os", "system"), (command,)), "latin1"))),
    }
    for protocol in (2, 3, 4, 5):
        for name, evil in {
            "system": Call(G("os", "system"), (command,)),
            "posix": Call(G("posix", "system"), (command,)),
            "eval": Call(G("builtins", "eval"), (code,)),
            "exec": Call(G("builtins", "exec"), (code,)),
            "open": opened,
            "getattr": chain,
            "popen": Call(G("subprocess", "Popen"), (["touch", str(canary)],)),
            "newobj": Call(G("subprocess", "Popen"), (["touch", str(canary)],), new=True),
            "dotted": Call(G("torch", "os.system"), (command,)),
            "apply": Call(G("copyreg", "_reconstructor"), (G("os", "system"), G("builtins", "object"), command)),
            "partial": Call(Call(G("functools", "partial"), (G("os", "system"), command)), ()),
        }.items():
            files[f"{name}-{protocol}"] = _around(evil, protocol)
    return files


def refused():
    """Hostile or damaged files that must end in an error, by name: the bytes and what the error must say."""
    memo = b"\x80\x02"
    big = struct.pack("<I", 2**31 - 1)
    doubled = b"\x80\x04N" + b"2\x86" * 400 + b"."
    doubled_dicts = b"\x80\x02}q\x00" + b"".join(
        b"}r" + struct.pack("<I", i) + b"(X\x01\x00\x00\x00aj" + struct.pack("<I", i - 1) + b"X\x01\x00\x00\x00bj"
        b"" + struct.pack("<I", i - 1) + b"u"
        for i in range(1, 30)
    )
    files = {
        "object-array": (pickled({"a": array(WEIGHT, dtype=dtype("O8", "|"))}), "no arrays"),
        "record-array": (pickled({"a": array(WEIGHT, dtype=dtype("V4", "|", (None, ("x",), {})))}), "no arrays"),
        "short-array": (pickled({"a": array(WEIGHT, raw=b"1234")}), "needs 64 bytes"),
        "huge-array": (pickled({"a": array(WEIGHT, shape=(2**30, 2**30))}), "larger than any file"),
        "negative-array": (pickled({"a": array(WEIGHT, shape=(-4, -4))}), "other than sizes"),
        "empty-huge-array": (pickled({"a": array(WEIGHT, shape=(0, 2**39, 2**39), raw=b"")}), "larger than any"),
        "many-dimensions": (pickled({"a": array(WEIGHT, shape=(1,) * 40)}), "at most 8"),
        "build-symbol": (b"cos\nsystem\n}b.", "BUILD on the global os.system"),
        "build-class": (b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aNsb.", "BUILD on the global collections"),
        "append-global": (b"cos\nenviron\nNa.", "no list"),
        "setitem-global": (b"cos\nenviron\nX\x01\x00\x00\x00aNs.", "no dict"),
        "setitems-tuple": (b")(X\x01\x00\x00\x00aNu.", "no dict"),
        "ext1": (b"\x80\x02\x82\x01.", "extension"),
        "ext2": (b"\x80\x02\x83\x01\x00.", "extension"),
        "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "extension"),
        "next-buffer": (b"\x80\x05\x97.", "outside the file"),
        "persistent": (pickled({"a": Persistent(("storage", G("torch", "FloatStorage"), "0", "cpu", 4))}), "persist"),
        "persistent-text": (b"}Pevil\n.", "persistent id"),
        "memo-missing": (memo + b"h\x07.", "memo entry 7"),
        "memo-huge": (memo + b"}r\xff\xff\xff\xffj\xfe\xff\xff\xff.", "memo entry"),
        # Within the file's length, and still numbers that collide in a table.
        "memo-far": (memo + b"B" + struct.pack("<I", 2**17) + bytes(2**17) + b"r\0\0\1\0.", "entry numbered 65536"),
        "memo-text": (memo + b"}p" + b"9" * 5000 + b"\n.", "line of"),
        "integer-digits": (b"(dI" + b"9" * 4000 + b"\n.", "integer"),
        "integer-bytes": (b"}\x8b" + struct.pack("<I", 4000) + b"\xff" * 4000 + b".", "4000 bytes"),
        "integer-negative": (b"}\x8b\xff\xff\xff\xff.", "-1 bytes"),
        "text-huge": (b"}X" + big + b"abc.", "announced"),
        "bytes-huge": (b"}\x8e" + struct.pack("<Q", 2**62) + b"abc.", "announced"),
        "text-negative": (b"}T\xff\xff\xff\xff.", "length of -1"),
        "frame-huge": (b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.", "frame"),
        "protocol": (b"\x80\x05\x80\x63N.", "protocol 99"),
        "opcode": (b"\x80\x02\xff.", "0xff"),
        "no-stop": (b"\x80\x02}", "breaks off"),
        "empty-stack": (b"\x80\x02.", "empty"),
        "no-mark": (b"}e.", "mark"),
        "below-mark": (b"}(0s.", "empty"),
        "odd-items": (b"}(Nu.", "without a value"),
        "text-surrogate": (b"}X\x01\x00\x00\x00\xff.", "not utf-8"),
        "steps": (b"\x80\x02" + b"]" * 600_000 + b".", "operations"),
        "tuple-doubling": (doubled, "something else"),
        "dict-doubling": (doubled_dicts + b".", "again and again|characters in all"),
        "dict-cycle": (b"}q\x00X\x01\x00\x00\x00ah\x00s.", "nested deeper"),
        "list-cycle": (b"]q\x00h\x00a.", "something else"),
        "deep": (b"}" + b"X\x01\x00\x00\x00a}" * 5000 + b"s" * 5000 + b".", "nested deeper"),
        "long-names": (
            b"}" + b"".join(b"X" + struct.pack("<I", 400) + b"a" * 400 + b"}" for _ in range(20)) + b"s" * 20 + b".",
            "more than 512",
        ),
        "encoded-again": (
            b"\x80\x02}X" + struct.pack("<I", 1000) + b"a" * 1000 + b"q\x00X\x06\x00\x00\x00latin1q\x01c_codecs\nencode"
            b"\nq\x020" + b"h\x02h\x00h\x01\x86R0" * 30_000 + b".",
            "again and again",
        ),
        "nested-nested": (
            pickled({"a": Call(G("torch.storage", "_load_from_bytes"), (_nested_twice(),))}),
            "out of place",
        ),
        "escape-name": (
            b"\x80\x02c\x1b]0;[red]evil\x07[/]\nsystem\n.",
            r"\\x1b\\x5d0;\\x5bred\\x5devil\\x07\\x5b/\\x5d\.system",
        ),
        "markup-key": (
            pickled({"\x1b[2J[link=http://x]a\n": array(WEIGHT, raw=b"")}),
            r"\\x1b\\x5b2J\\x5blink=http://x\\x5da\\n",
        ),
        "surrogate-key": (pickled({"\udcff": array(WEIGHT, raw=b"")}), r"\\udcff"),
        "empty": (b"", "empty file"),
        "web-page": (b"<!DOCTYPE html><title>Quota exceeded</title>", "web page"),
        "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, "compressed"),
        "text": (b"hello, world, this is no checkpoint", "not a checkpoint"),
        "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "argument": (pickled({"a": Call(G("torch._utils", "_rebuild_tensor_v2"), (1,))}), "cannot take"),
        "no-arguments": (pickled({"a": Call(G("torch.storage", "_load_from_bytes"), (1, 2))}), "cannot take"),
        "network-variables": (
            pickled(Call(G("dnnlib.tflib.network", "Network"), (), {"variables": [1]}, new=True)),
            "other than",
        ),
    }
    return files | _repeated() | _torch_refused() | _zip_refused() | _safetensors_refused()


def _repeated():
    """Files that say a little, or next to nothing, very many times."""
    wide = "\U0001f600" + "n" * 480
    nothing = {str(i): b"" for i in range(40_000)}
    without = {str(i): None for i in range(20_000)}

    def module(modules, parameters):
        return Call(G("x", "y"), (), {"_modules": modules, "_parameters": parameters})

    deep = network("deep", {}, nothing)
    # What a nested file scans and throws away.
    nested = b"".join(pickled(part, 2) for part in (MAGIC, 1001, {"little_endian": True}))
    nested += b"V" + b"a" * 100_000 + b"\n0N.]."
    load = G("torch.storage", "_load_from_bytes")
    file = Torch()
    storage = file.storage(bytes(2**17), 2**16, "BFloat16Storage")
    windows = {f"net{i}": {"w": rebuilt(storage, (2**16 - i,))} for i in range(9)}
    return {
        "bytes-again": (pickled({"g": {str(i): nothing for i in range(40_000)}}), "again and again"),
        "components-again": (
            pickled(network("Gs", {}, {str(i): deep for i in range(6_000)})),
            "again and again",
        ),
        "parameters-again": (
            pickled({"g": module({str(i): module({}, without) for i in range(6_000)}, {})}),
            "again and again",
        ),
        "nested-again": (pickled([Call(load, (nested,)) for _ in range(10_000)]), "nested files that are read again"),
        "networks-overlap": (file.zip(windows), "networks that overlap"),
        "names-in-all": (pickled({"g": {wide: {str(i): 1 for i in range(60_000)}}}), "characters in all"),
        "network-name": (pickled({wide * 2: {"a": []}}), "more than 512 characters"),
        "damaged-escape": (b"(S'\\xg0'\n.", "damaged escape"),
    }


def _nested_twice():
    file = Torch()
    return file.legacy(Call(G("torch.storage", "_load_from_bytes"), (b"",)))


def _torch_refused():
    def changed(legacy, **changes):
        file = Torch()
        options = {"numel": 16, "raw": WEIGHT.tobytes(), "kind": "FloatStorage"} | changes
        shape = options.get("shape", (4, 4))
        storage = file.storage(options["raw"], options["numel"], options["kind"], legacy=legacy)
        tensor = rebuilt(storage, shape, options.get("offset", 0), options.get("stride"))
        return (file.legacy if legacy else file.zip)({"w": tensor})

    files = {}
    for legacy, kind in ((False, "zip"), (True, "legacy")):
        for name, (changes, match) in {
            "storage-larger": ({"numel": 2**30}, "needs"),
            "storage-huge": ({"numel": 2**60}, "impossible size"),
            "storage-negative": ({"numel": -1}, "impossible size"),
            "offset": ({"offset": 1}, "leaves its storage"),
            "offset-negative": ({"offset": -1}, "impossible offset"),
            "offset-huge": ({"offset": 2**1000}, "impossible offset"),
            "offset-text": ({"offset": "1"}, "impossible offset"),
            "shape": ({"shape": (5, 4)}, "leaves its storage"),
            "shape-huge": ({"shape": (2**39, 2**39)}, "larger than any file"),
            "shape-negative": ({"shape": (-1, 4)}, "other than sizes"),
            "stride-zero": ({"stride": (0, 1)}, "not dense"),
            "stride-one": ({"stride": (1, 1)}, "not dense"),
            "stride-wide": ({"shape": (2, 2), "stride": (4, 1)}, "not dense"),
            "stride-negative": ({"stride": (-4, 1)}, "other than sizes"),
            "stride-short": ({"stride": (1,)}, "impossible"),
            "object-storage": ({"kind": "ObjectStorage"}, "ObjectStorage"),
            "quantised": ({"kind": "QInt8Storage"}, "QInt8Storage"),
        }.items():
            files[f"{kind}-{name}"] = (changed(legacy, **changes), match)
        for name, match, make in (
            ("overlap", "overlap in memory", lambda s: {"a": rebuilt(s, (32, 16)), "b": rebuilt(s, (16, 16), 100)}),
            ("twice", "overlap in memory", lambda s: {f"layer{i}": rebuilt(s, (32, 16)) for i in range(3000)}),
        ):
            file = Torch()
            storage = file.storage(bytes(4096), 1024, legacy=legacy)
            files[f"{kind}-{name}"] = ((file.legacy if legacy else file.zip)(make(storage)), match)
    file = Torch()
    tensor = file.tensor(WEIGHT, legacy=True)
    whole = file.legacy({"w": tensor})
    files["legacy-cut"] = (whole[:-1], "needs 64 bytes, 63 are left")
    files["legacy-no-data"] = (whole[:-70], "missing at byte")
    files["legacy-big-endian"] = (file.legacy({"w": tensor}, {"little_endian": False}), "big-endian")
    files["legacy-unused-key"] = (file.legacy({}), "unused")
    files["legacy-protocol"] = (whole.replace(struct.pack("<i", 1001), struct.pack("<i", 1002), 1), "another protocol")
    two = Torch()
    first = two.storage(bytes(64), 16, key="0", legacy=True)
    second = Persistent(("storage", G("torch", "HalfStorage"), "0", "cpu", 16, None))
    files["legacy-two-types"] = (two.legacy({"a": rebuilt(first, (16,)), "b": rebuilt(second, (16,))}), "two sizes")
    window = Persistent(("storage", G("torch", "FloatStorage"), "0", "cpu", 16, ("1", 0, 4)))
    files["legacy-window"] = (two.legacy({"a": rebuilt(window, (4,))}), "window")
    return files


def _zip_refused():
    file = Torch()
    tensor = {"w": file.tensor(WEIGHT)}
    whole = file.zip(tensor)
    members = {"archive/data.pkl": pickled(tensor, 2), "archive/data/0": WEIGHT.tobytes()}
    files = {
        "zip-compressed": (zipped(members, compression=zipfile.ZIP_DEFLATED), "compressed"),
        "zip-bomb": (zipped(members | {"archive/x": bytes(2**24)}, compression=zipfile.ZIP_DEFLATED), "compressed"),
        "zip-cut": (whole[:-1], "directory"),
        "zip-half": (whole[: len(whole) // 2], "breaks off"),
        "zip-without-pickle": (zipped({"readme.txt": b"hello"}), "data.pkl"),
        "zip-without-storage": (zipped({"a/data.pkl": members["archive/data.pkl"]}), "lacks storage"),
        "zip-torchscript": (zipped(members | {"archive/code/model.py": b""}), "TorchScript"),
        "zip-byteorder": (zipped(members | {"archive/byteorder": b"\x1b[31m"}), "byteorder"),
        "zip-two-roots": (zipped(members | {"b/data.pkl": b"N."}), "2 data.pkl"),
        "zip-trailing": (whole + b"x" * 100, "behind"),
    }
    for name in ("../evil", "/etc/passwd", "archive/../../evil", "archive//x", "a\\b", "\x1b[31mx", "./x"):
        files[f"zip-name-{name!r}"] = (zipped(members | {name: b"x"}), "plain name")
    # Both names have the same length, so that one can be written over the other.
    twice = zipped(members | {"archive/data/1": WEIGHT.tobytes()}).replace(b"archive/data/1", b"archive/data/0")
    files["zip-duplicate"] = (twice, "two members")
    other = bytearray(whole)
    other[other.index(b"archive/data/0") + 8] = ord("D")
    files["zip-headers-name"] = (bytes(other), "disagree")
    # The first member's own sizes, at 18 and 22.
    for name, position, value in (("size", 22, 7), ("packed", 18, 7), ("method", 8, 8), ("flags", 6, 1)):
        other = bytearray(whole)
        struct.pack_into("<H", other, position, value)
        files[f"zip-headers-{name}"] = (bytes(other), "disagree")
    start = whole.index(b"PK\x01\x02")
    for name, position, value, match in (
        ("directory-size", 24, 2**31, "compressed"),
        ("directory-offset", 42, 5, "disagree"),
        ("directory-encrypted", 8, 1, "encrypted"),
    ):
        other = bytearray(whole)
        struct.pack_into("<I" if name != "directory-encrypted" else "<H", other, start + position, value)
        files[f"zip-{name}"] = (bytes(other), match)
    # Both headers agree on a size that reaches beyond the member.
    other = bytearray(whole)
    for position in (18, 22, start + 20, start + 24):
        struct.pack_into("<I", other, position, 400)
    files["zip-overlap"] = (bytes(other), "overlaps")
    for position in (18, 22, start + 20, start + 24):
        struct.pack_into("<I", other, position, 2**31)
    files["zip-member-larger"] = (bytes(other), "leaves the file")
    end = bytearray(whole)
    struct.pack_into("<HH", end, len(end) - 14, 60000, 60000)
    for name in members:
        other = bytearray(whole)
        other[whole.index(members[name]) + len(members[name]) // 2] ^= 3
        files[f"zip-flipped-{name}"] = (bytes(other), "another checksum")
    files["zip-many-members"] = (bytes(end), "60000 members")
    return files


def _safetensors_refused():
    entry = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
    body = WEIGHT.tobytes()
    files = {
        "header-longer": (struct.pack("<Q", 2**40) + b"{}" + b" " * 50, "header of"),
        "header-json": (safetensors({}, b"", b"{oh no}"), "valid JSON"),
        "header-deep": (safetensors({}, b"", b'{"a":' + b"[" * 100_000), "valid JSON"),
        "header-number": (safetensors({}, b"", b'{"a":' + b"9" * 100_000 + b"}"), "valid JSON"),
        "header-utf8": (safetensors({}, b"", b'{"\xff": 1}'), "valid JSON"),
        "name-twice": (safetensors({}, body, b'{"a":1,"a":2}'), "twice"),
        "metadata": (safetensors({"__metadata__": {"a": 1}, "w": entry}, body), "metadata"),
        "entry": (safetensors({"w": 1}, body), "expected dtype"),
        "entry-key": (safetensors({"w": entry | {"x": 1}}, body), "expected dtype"),
        "dtype": (safetensors({"w": entry | {"dtype": "OBJ"}}, body), "dtype"),
        "shape": (safetensors({"w": entry | {"shape": [4, 5]}}, body), "needs 80 bytes"),
        "shape-negative": (safetensors({"w": entry | {"shape": [-4, -4]}}, body), "sizes"),
        "shape-float": (safetensors({"w": entry | {"shape": [4.0, 4]}}, body), "sizes"),
        "shape-huge": (safetensors({"w": entry | {"shape": [2**40, 2**40]}}, body), "sizes"),
        "offsets": (safetensors({"w": entry | {"data_offsets": [0, 128]}}, body), "leave the file"),
        "offsets-order": (safetensors({"w": entry | {"data_offsets": [64, 0]}}, body), "leave the file"),
        "overlap": (safetensors({"v": entry, "w": entry}, body), "overlap"),
        "gap": (safetensors({"w": entry | {"data_offsets": [4, 68]}}, body + b"1234"), "overlap or have gaps"),
        "trailing": (safetensors({"w": entry}, body + b"1234"), "names 64 bytes"),
        "cut": (safetensors({"w": entry}, body)[:-1], "leave the file"),
        "empty": (safetensors({}, b""), "no arrays"),
        "name": (safetensors({"\x1b[31m" * 50: 1}, body), "expected dtype"),
    }
    return {f"safetensors-{name}": case for name, case in files.items()}
