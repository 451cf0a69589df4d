"""The pack of CC0 head assets, read from its folder into one pytree of arrays."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from .attributes import BROWS, EYE_COLOURS, HAIR_STYLES, LASHES
from .details import detail_pairs
from .earrings import earring_triangles
from .glasses import glasses_triangles

BODY, EYES, TEETH, BROW, LASH, HAIR, GLASSES, JEWELLERY = range(8)

_FitArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_ANCESTRIES = ("african", "asian", "caucasian")
_SEXES = ("female", "male")
_AGES = ("young", "old")
_WEIGHTS = ("minweight", "averageweight", "maxweight")
EXPRESSIONS = (
    "mouth-corner-puller",
    "mouth-upward-retraction",
    "mouth-parling",
    "mouth-retraction",
    "eyebrows-{}-up",
    "eyebrows-{}-inner-up",
    "eye-{}-closure",
    "eye-{}-slit",
    "eye-{}-opened-up",
)
_SKIN_AGES = ("young", "middleage", "old")
_LOWEST, _WIDEST = 5.6, 1.6  # decimetres: what lies below or further out is never in the picture
_LINEAR = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2)  # of an 8-bit sRGB value
_FRONT = 0.2  # in front of this depth samples are denser


class Shape(NamedTuple):
    """Morph targets, grouped so that a person's shape is a few weighted sums."""

    base: jax.Array
    """(V, 3) vertices in decimetres, y up and z forward."""
    macro: jax.Array
    """(12, V, 3): ancestry by sex by age."""
    universal: jax.Array
    """(12, V, 3): sex by age by weight."""
    plus: jax.Array
    """(D, V, 3): one detail's offset at +1, both sides of the face together."""
    minus: jax.Array
    """(D, V, 3): the same detail's offset at -1."""
    spread: jax.Array
    """(D,): each detail's standard deviation."""
    asymmetry: jax.Array
    """(A, V, 3)."""
    expression: jax.Array
    """(E, V, 3) in the order of EXPRESSIONS."""
    neutral: jax.Array
    """(V, 3): an average adult, on which regions of the skin are marked."""


class Fit(NamedTuple):
    """Parts that hang on the body, variants stacked: each vertex a weighted sum of three of the body's."""

    index: jax.Array
    weight: jax.Array
    offset: jax.Array
    scale_index: jax.Array
    scale_length: jax.Array


class Samples(NamedTuple):
    """Points spread over triangles, variants stacked: the renderer draws these."""

    vertex: jax.Array
    """(n, 3) corners of the point's triangle."""
    weight: jax.Array
    """(n, 3) barycentric coordinates."""
    uv: jax.Array
    """(n, 2) texture coordinates, v upward."""
    shade: jax.Array
    """(n,) lightness of the part's own texture over its mean."""


class Textures(NamedTuple):
    """Linear pictures in half precision."""

    skin: jax.Array
    """(n, side, side, 3) each over its own mean on the face: a skin gives detail and not tone."""
    light: jax.Array
    """(3, 2, n) skins of the light family by age group and sex."""
    dark: jax.Array
    """(3, 2) skins of the dark family."""
    eyes: jax.Array
    teeth: jax.Array


class Assets(NamedTuple):
    """Everything the renderer needs."""

    shape: Shape
    triangles: jax.Array
    """(T, 3) of the body."""
    fits: tuple[Fit, ...]
    """Eyes, teeth, brows, lashes and hair, in this order."""
    samples: tuple[Samples, ...]
    """Of the body, the five fitted parts, the glasses and the earrings, in this order."""
    kinds: jax.Array
    """(n,) which part each sample of a picture belongs to: BODY to JEWELLERY."""
    textures: Textures


def load_pack(folder: str | os.PathLike[str], *, samples: int = 360_000, texture: int = 512) -> Assets:
    """Read a pack.

    folder: holds heads.npz and the folders skins, hair and misc.
    samples: points drawn per picture; 360,000 suit about 192 x 192 points of a picture (64 x 64, 3 x 3 each), larger
        pictures want more in proportion to their area.
    texture: side of the skins in memory.
    Raises ValueError in one line if the folder is not such a pack.
    """
    root = Path(folder)
    if not (root / "heads.npz").is_file():
        raise ValueError(f"not a pack of heads (no heads.npz in it): {root}")
    try:
        with open(root / "heads.npz", "rb") as file, np.load(file) as archive:
            data = {name: archive[name] for name in archive.files}
        return _assets(root, data, samples, texture)
    except KeyError as error:
        raise ValueError(f"damaged pack of heads: {root / 'heads.npz'} lacks {error.args[0]!r}") from error
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"damaged pack of heads {root}: {' '.join(str(error).split())}") from error


def _assets(root: Path, data: dict[str, np.ndarray], samples: int, texture: int) -> Assets:
    shape = _shape(data)
    neutral = np.asarray(shape.neutral)
    triangles = data["body_tri"].astype(np.int32)
    rng = np.random.default_rng(0)
    groups = (
        ("eyes", ["eyes"], None),
        ("teeth", ["teeth"], None),
        ("eyebrow", [f"eyebrow{k:03d}" for k in range(1, BROWS + 1)], "misc/{}.webp"),
        ("eyelashes", [f"eyelashes{k:02d}" for k in range(1, LASHES + 1)], "misc/{}.webp"),
        ("hair", [f"hair_{style}" for style in HAIR_STYLES], "hair/{}.webp"),
    )
    share = {"eyes": 0.02, "teeth": 0.02, "eyebrow": 0.012, "eyelashes": 0.004, "hair": 0.4}
    fits, points = [], [_body_samples(neutral, triangles, data["body_uv"], int(samples * 0.52), rng)]
    for group, names, picture in groups:
        arrays = [_fit(data, name) for name in names]
        fits.append(_stack_fits(arrays))
        count = int(samples * share[group])
        variants = []
        for k, name in enumerate(names):
            vertices = _place(arrays[k], neutral)
            rgba = None if picture is None else _picture(root / picture.format(name.removeprefix("hair_")), 512, "RGBA")
            tri = data[f"{name}/tri"].astype(np.int32)
            variants.append(_part_samples(vertices, tri, data[f"{name}/uv"], count, rgba, rng))
        points.append(Samples(*(jnp.asarray(np.stack(leaves)) for leaves in zip(*variants, strict=True))))
    for tubes, part in ((glasses_triangles(), 0.03), (earring_triangles(), 0.006)):
        tri, bary = _scatter(np.ones(len(tubes)), int(samples * part), rng)
        zeros = np.zeros((len(tri), 2), np.float32)
        points.append(Samples(*map(jnp.asarray, (tubes[tri], bary, zeros, np.ones(len(tri), np.float32)))))
    kinds = np.repeat(np.arange(len(points)), [points_of.shade.shape[-1] for points_of in points])
    return Assets(
        shape=shape,
        triangles=jnp.asarray(triangles[..., 0]),
        fits=tuple(fits),
        samples=tuple(points),
        kinds=jnp.asarray(kinds, jnp.int32),
        textures=_textures(root, texture),
    )


def _shape(data: dict[str, np.ndarray]) -> Shape:
    names = [str(name) for name in data["target_names"]]
    index = {name: k for k, name in enumerate(names)}
    targets = data["targets"].astype(np.float32)

    def total(group: Sequence[str]) -> np.ndarray:
        return targets[np.array([index[name] for name in group], int)].sum(0)

    def sides(name: str) -> list[str]:
        return [name.format(side) for side in ("left", "right")] if "{}" in name else [name]

    macro = np.stack([total([f"macro/{e}-{s}-{a}"]) for e in _ANCESTRIES for s in _SEXES for a in _AGES])
    universal = np.stack(
        [total([f"universal/{s}-{a}-averagemuscle-{w}"]) for s in _SEXES for a in _AGES for w in _WEIGHTS]
    )
    details = detail_pairs(names)
    asymmetry = [name for name in names if name.startswith("asym/asym-")]
    base = data["base"].astype(np.float32)
    # at rest brows slope outward, so that nobody frowns, and eyes are open enough to be seen in a small picture
    base = base + 0.45 * total(["eyebrows/eyebrows-angle-up"])
    base = base + 0.3 * total(["eyes/l-eye-scale-incr", "eyes/r-eye-scale-incr"])
    neutral = base + macro[0::2].mean(0) + universal[[1, 7]].mean(0)
    return Shape(
        base=jnp.asarray(base),
        macro=jnp.asarray(macro),
        universal=jnp.asarray(universal),
        plus=jnp.asarray(np.stack([total(d.plus) for d in details])),
        minus=jnp.asarray(np.stack([total(d.minus) for d in details])),
        spread=jnp.asarray([d.spread for d in details], jnp.float32),
        asymmetry=jnp.asarray(np.stack([total([name]) for name in asymmetry])),
        expression=jnp.asarray(np.stack([total(sides(f"expression/{name}")) for name in EXPRESSIONS])),
        neutral=jnp.asarray(neutral),
    )


def _fit(data: dict[str, np.ndarray], name: str) -> _FitArrays:
    return (
        data[f"{name}/index"].astype(np.int32),
        data[f"{name}/weight"].astype(np.float32),
        data[f"{name}/offset"].astype(np.float32),
        data[f"{name}/scale_index"].astype(np.int32),
        data[f"{name}/scale_length"].astype(np.float32),
    )


def _stack_fits(fits: Sequence[_FitArrays]) -> Fit:
    """Variants stacked, the vertices of the smaller ones padded."""
    most = max(len(index) for index, *_ in fits)

    def padded(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]), array.dtype)])

    rows = [(padded(index), padded(weight), padded(offset), *scale) for index, weight, offset, *scale in fits]
    return Fit(*(jnp.asarray(np.stack(leaves)) for leaves in zip(*rows, strict=True)))


def _place(fit: _FitArrays, body: np.ndarray) -> np.ndarray:
    index, weight, offset, scale_index, scale_length = fit
    axes = np.arange(3)
    ends = body[scale_index[:, 0], axes] - body[scale_index[:, 1], axes]
    return np.einsum("vk,vkc->vc", weight, body[index]) + offset * np.abs(ends) / scale_length


def _scatter(area: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and barycentric coordinates of points spread evenly over triangles of these areas."""
    area = area + 0.5 * area.mean()  # small triangles are seen too
    steps = (np.arange(count) + rng.random(count)) / count
    tri = np.searchsorted(np.cumsum(area) / area.sum(), steps).clip(0, len(area) - 1)
    # within a triangle neighbours in a low-discrepancy sequence leave fewer gaps than chance does
    sequence = np.arange(count)[:, None] * np.array([0.7548776662466927, 0.5698402909980532]) % 1
    a, b = np.sqrt(sequence[:, 0]), sequence[:, 1]
    return tri, np.stack([1 - a, a * (1 - b), a * b], -1).astype(np.float32)


def _area(corners: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)


def _body_samples(
    neutral: np.ndarray, triangles: np.ndarray, uv: np.ndarray, count: int, rng: np.random.Generator
) -> Samples:
    corners = neutral[triangles[..., 0]]
    centre = corners.mean(1)
    area = _area(corners) * np.where(centre[:, 2] > _FRONT, 6.0, 1.0)
    seen = np.flatnonzero((centre[:, 1] > _LOWEST) & (np.abs(centre[:, 0]) < _WIDEST))
    tri, bary = _scatter(area[seen], count, rng)
    chosen = triangles[seen[tri]]
    points = np.einsum("nk,nkc->nc", bary, uv[chosen[..., 1]]).astype(np.float32)
    return Samples(*map(jnp.asarray, (chosen[..., 0], bary, points, np.ones(count, np.float32))))


def _part_samples(
    vertices: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray,
    count: int,
    rgba: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    """Samples of one part; where it has a picture, points are kept as often as the picture is opaque there."""
    tall = vertices[triangles[..., 0]].mean(1)[:, 1] > _LOWEST
    triangles = triangles[tall] if tall.any() else triangles
    drawn = count if rgba is None else 3 * count
    tri, bary = _scatter(_area(vertices[triangles[..., 0]]), drawn, rng)
    chosen = triangles[tri]
    points = np.einsum("nk,nkc->nc", bary, uv[chosen[..., 1]]).astype(np.float32)
    shade = np.ones(drawn, np.float32)
    if rgba is not None:
        texel = _texels(rgba, points)
        kept = np.flatnonzero(texel[:, 3] > 0.12 + 0.6 * rng.random(drawn))
        if not len(kept):
            raise ValueError("a picture of hair, brows or lashes is empty")
        shade = (texel[:, :3] ** 2.2).mean(-1)
        shade = (shade / (shade[kept].mean() + 1e-6)).astype(np.float32)
        pick = kept[rng.permutation(len(kept))[:count]] if len(kept) >= count else rng.choice(kept, count)
        chosen, bary, points, shade = chosen[pick], bary[pick], points[pick], shade[pick]
    return chosen[..., 0], bary, points, shade


def _texels(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    side = picture.shape[0]
    at = np.clip((np.stack([1 - uv[:, 1], uv[:, 0]]) * side).astype(int), 0, side - 1)
    return picture[at[0], at[1]].astype(np.float32) / 255


def _picture(path: Path, side: int, mode: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode).resize((side, side), Image.Resampling.LANCZOS), np.uint8)


def _textures(root: Path, side: int) -> Textures:
    paths = sorted((root / "skins").glob("*.jpg"))
    names = [path.stem for path in paths]
    skins = np.stack([_picture(path, side, "RGB") for path in paths])
    rows, columns = slice(int(0.38 * side), int(0.65 * side)), slice(int(0.83 * side), int(0.96 * side))
    linear = _LINEAR[skins]
    linear /= linear[:, rows, columns].mean((1, 2), keepdims=True)

    def family(kind: str) -> list[list[list[int]]]:
        return [
            [[k for k, name in enumerate(names) if name.rstrip("0123456789") == f"{a}_{kind}_{s}"] for s in _SEXES]
            for a in _SKIN_AGES
        ]

    light, dark = family("lightskinned"), family("darkskinned")
    if not all(found for group in light + dark for found in group):
        raise ValueError(f"skins of some age, sex or family are missing in {root / 'skins'}")
    eyes = [root / f"misc/eye_{colour}.webp" for colour in EYE_COLOURS]
    return Textures(
        skin=jnp.asarray(np.clip(linear, 0.2, 2.5) ** np.float32(0.8), jnp.float16),
        light=jnp.asarray([[[found[k % len(found)] for k in range(6)] for found in group] for group in light]),
        dark=jnp.asarray([[found[0] for found in group] for group in dark]),
        eyes=jnp.asarray(_LINEAR[np.stack([_picture(path, 128, "RGB") for path in eyes])], jnp.float16),
        teeth=jnp.asarray(_LINEAR[_picture(root / "misc/teeth.webp", 256, "RGB")], jnp.float16),
    )
