"""The synthetic heads on a tiny made-up pack: spheres for heads, quads for hair, noise for textures."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from examples.training import render as script
from examples.training.heads import STYLE_NAMES, Assets, Person, describe, load_pack, sample_person
from examples.training.heads.attributes import (
    BEARD_CUTS,
    BROWS,
    CAP,
    CLOTHES,
    EARRINGS,
    EYE_COLOURS,
    HAIR_STYLES,
    HATS,
    HEADSCARF,
    HOOPS,
    LASHES,
    NECKLACES,
    NO_EARRINGS,
    NO_HAT,
    NO_NECKLACE,
    PEARLS,
    ROLLNECK,
    ROUND_NECK,
    SCARF,
    SCENES,
)
from examples.training.heads.background import draw_background
from examples.training.heads.camera import develop
from examples.training.heads.colours import skin_colour
from examples.training.heads.details import detail_pairs
from examples.training.heads.earrings import earring_triangles, earring_vertices
from examples.training.heads.focus import circle_of_confusion, defocus
from examples.training.heads.functions import smooth, smoothstep, value_noise
from examples.training.heads.geometry import build_head
from examples.training.heads.lighting import behind_ear, clear_of_head, shade
from examples.training.heads.materials import Surface
from examples.training.heads.pack import EXPRESSIONS, JEWELLERY
from examples.training.heads.regions import grow, hat_cover, necklace_cover, thin_ear
from examples.training.shards import read_shard

SIZE, SUPERSAMPLE, SAMPLES = 16, 2, 6000


def _ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float], n: int) -> tuple[Any, Any, Any]:
    """Vertices, texture coordinates and triangles, counter-clockwise seen from outside."""
    v, u = np.meshgrid(np.linspace(0.02, np.pi - 0.02, n), np.linspace(0, 2 * np.pi, n), indexing="ij")
    unit = np.stack([np.sin(v) * np.sin(u), np.cos(v), np.sin(v) * np.cos(u)], -1).reshape(-1, 3)
    uv = np.stack([u / (2 * np.pi), 1 - v / np.pi], -1).reshape(-1, 2)
    triangles = []
    for i in range(n - 1):
        for j in range(n - 1):
            a, b = i * n + j, (i + 1) * n + j
            triangles += [(a, b, a + 1), (a + 1, b, b + 1)]
    corners = np.repeat(np.array(triangles, np.int16)[..., None], 2, -1)
    return (unit * radii + centre).astype(np.float32), uv.astype(np.float32), corners


def _target_names() -> list[str]:
    sexes, ages = ("female", "male"), ("young", "old")
    names = [f"macro/{e}-{s}-{a}" for e in ("african", "asian", "caucasian") for s in sexes for a in ages]
    weights = ("minweight", "averageweight", "maxweight")
    names += [f"universal/{s}-{a}-averagemuscle-{w}" for s in sexes for a in ages for w in weights]
    names += ["nose/nose-point-up", "nose/nose-point-down", "chin/chin-triangle", "asym/asym-jaw-1-l"]
    names += ["eyes/l-eye-scale-incr", "eyes/l-eye-scale-decr", "eyes/r-eye-scale-incr", "eyes/r-eye-scale-decr"]
    names += ["eyebrows/eyebrows-angle-up"]
    for name in EXPRESSIONS:
        names += [f"expression/{name.format(s)}" for s in (("left", "right") if "{}" in name else ("",))]
    return names


def write_pack(folder: Path) -> Path:
    """Writes a pack of the right names and shapes, with next to nothing in it."""
    rng = np.random.default_rng(0)
    body, uv, triangles = _ellipsoid((0, 7.3, 0.3), (0.7, 1.15, 1.1), 14)
    names = _target_names()
    arrays: dict[str, np.ndarray] = {
        "base": body,
        "targets": (0.01 * rng.standard_normal((len(names), *body.shape))).astype(np.float16),
        "target_names": np.array(names),
        "body_uv": uv,
        "body_tri": triangles,
    }
    left, right = (_ellipsoid((x, 7.35, 1.25), (0.12, 0.12, 0.12), 6) for x in (0.3, -0.3))
    eyes = (np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]]))
    parts = {"eyes": (*eyes, np.concatenate([left[2], right[2] + len(left[0])]))}
    small = _ellipsoid((0, 7.6, 1.35), (0.4, 0.05, 0.05), 4)
    parts |= {f"eyebrow{k:03d}": small for k in range(1, BROWS + 1)}
    parts |= {f"eyelashes{k:02d}": small for k in range(1, LASHES + 1)}
    parts["teeth"] = _ellipsoid((0, 6.7, 1.2), (0.2, 0.05, 0.05), 4)
    parts |= {f"hair_{s}": _ellipsoid((0, 7.9, 0.2), (0.8, 0.7, 1.0), 6 + k % 2) for k, s in enumerate(HAIR_STYLES)}
    top, bottom, side = body[:, 1].argmax(), body[:, 1].argmin(), body[:, 0].argmax()
    ends = np.array([[side, body[:, 0].argmin()], [top, bottom], [body[:, 2].argmax(), body[:, 2].argmin()]])
    for name, (vertices, part_uv, part_triangles) in parts.items():
        nearest = ((vertices[:, None] - body) ** 2).sum(-1).argmin(1)
        arrays[f"{name}/index"] = np.repeat(nearest[:, None], 3, 1).astype(np.int16)
        arrays[f"{name}/weight"] = np.full((len(vertices), 3), 1 / 3, np.float32)
        arrays[f"{name}/offset"] = vertices - body[nearest]
        arrays[f"{name}/scale_index"] = ends.astype(np.int16)
        arrays[f"{name}/scale_length"] = np.abs(body[ends[:, 0], range(3)] - body[ends[:, 1], range(3)])
        arrays[f"{name}/uv"], arrays[f"{name}/tri"] = part_uv, part_triangles
    folder.mkdir(parents=True)
    np.savez(folder / "heads.npz", allow_pickle=False, **arrays)
    pictures = {f"skins/{a}_{f}skinned_{s}.jpg": "RGB" for a in ("young", "middleage", "old")
                for f in ("light", "dark") for s in ("female", "male")}  # fmt: skip
    pictures |= {f"hair/{style}.webp": "RGBA" for style in HAIR_STYLES}
    pictures |= {f"misc/eyebrow{k:03d}.webp": "RGBA" for k in range(1, BROWS + 1)}
    pictures |= {f"misc/eyelashes{k:02d}.webp": "RGBA" for k in range(1, LASHES + 1)}
    pictures |= {f"misc/eye_{colour}.webp": "RGB" for colour in EYE_COLOURS} | {"misc/teeth.webp": "RGB"}
    for name, mode in pictures.items():
        (folder / name).parent.mkdir(exist_ok=True)
        pixels = rng.integers(120, 256, (16, 16, len(mode)), dtype=np.uint8)
        Image.fromarray(pixels, mode).save(folder / name)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _compile_quickly() -> Iterator[None]:
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("heads") / "pack")


@pytest.fixture(scope="module")
def assets(pack: Path) -> Assets:
    return load_pack(pack, samples=SAMPLES)


def _keys(count: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.arange(count))


@pytest.mark.slow
def test_render_is_a_pure_function_of_the_key(assets: Assets) -> None:
    draw = jax.jit(functools.partial(script.draw_batch, size=SIZE, supersample=SUPERSAMPLE))
    pictures, attributes = draw(assets, jnp.arange(2, dtype=jnp.uint32))
    assert pictures.shape == (2, SIZE, SIZE, 3)
    assert pictures.dtype == jnp.uint8
    assert all(np.isfinite(value).all() for value in attributes.values())
    again = draw(assets, jnp.arange(2, dtype=jnp.uint32))
    jax.tree.map(np.testing.assert_array_equal, again, (pictures, attributes))
    # alone with another picture, and in another place
    others, own = draw(assets, jnp.array([7, 0], jnp.uint32))
    differences = np.abs(others[1].astype(int) - pictures[0].astype(int))
    assert np.mean(differences > 1) < 0.02  # a point on the edge of two pixels may fall on either side
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b[0], rtol=1e-4, atol=1e-4), own, attributes)
    assert np.abs(pictures[0].astype(int) - pictures[1].astype(int)).max() > 12
    assert np.ptp(pictures) > 60


@pytest.mark.slow
def test_people_are_spread_as_documented() -> None:
    people = jax.vmap(lambda key: describe(sample_person(key)))(_keys(2048))
    draws = {name: np.asarray(value) for name, value in people.items()}
    assert abs(draws["sex"].mean() - 0.5) < 0.05
    counts, _ = np.histogram(draws["tone"], bins=9, range=(1, 10))
    assert counts.sum() == 2048
    assert np.abs(counts - 2048 / 9).max() < 4.5 * np.sqrt(2048 / 9)
    assert abs(draws["tone"][draws["sex"] == 1].mean() - 5.5) < 0.4
    np.testing.assert_allclose(draws["ancestry"].sum(-1), 1, rtol=1e-5)
    assert (draws["ancestry"].mean(0) > 0.15).all()
    assert np.abs(draws["yaw"]).max() < 35.1
    assert 8 < draws["yaw"].std() < 20
    assert 0.1 < draws["glasses"].mean() < 0.22
    assert draws["beard"][draws["sex"] == 0].max() == 0
    assert 0.3 < (draws["beard"][draws["sex"] == 1] > 0).mean() < 0.6
    assert set(np.unique(draws["hair_style"])) <= set(range(len(STYLE_NAMES)))
    np.testing.assert_array_equal(draws["bald"], draws["hair_style"] == STYLE_NAMES.index("bald"))
    assert 18 <= draws["age"].min() < 19
    assert 84 < draws["age"].max() <= 85
    assert abs(np.median(draws["age"]) - 42) < 4
    assert np.corrcoef(draws["tone"], draws["age"])[0, 1] < 0.1
    assert 0.03 < (draws["hat"] != NO_HAT).mean() < 0.08
    assert not (draws["hat"][draws["sex"] == 1] == HEADSCARF).any()
    for name, names in (("beard_cut", BEARD_CUTS), ("hat", HATS), ("clothes", CLOTHES), ("scene", SCENES),
                        ("earrings", EARRINGS), ("necklace", NECKLACES)):  # fmt: skip
        assert set(np.unique(draws[name])) == set(range(len(names))), name
    women, hidden = draws["sex"] == 0, draws["hat"] == HEADSCARF
    worn, adorned = draws["earrings"] != NO_EARRINGS, draws["necklace"] != NO_NECKLACE
    assert abs(worn[women & ~hidden].mean() - 0.45) < 0.06
    assert abs(worn[~women].mean() - 0.06) < 0.03
    covered = hidden | np.isin(draws["clothes"], (ROLLNECK, SCARF))
    assert abs(adorned[women & ~covered].mean() - 0.2) < 0.05
    assert not worn[hidden].any() and not adorned[covered].any()
    assert 0 <= draws["aperture"].min() < 1 < 55 < draws["aperture"].max() <= 60
    assert abs(np.median(draws["aperture"]) - 15) < 2


def _person(key: int, **changes: Any) -> Person:
    return sample_person(jax.random.key(key))._replace(**{name: jnp.asarray(value) for name, value in changes.items()})


@pytest.mark.slow
def test_what_grows_on_a_head_lies_outside_it(assets: Assets) -> None:
    neutral = assets.shape.neutral
    outward = neutral - jnp.array([0.0, 7.3, 0.3])
    outward = outward / jnp.linalg.norm(outward, axis=-1, keepdims=True)
    covered = {}
    for hat in (NO_HAT, CAP, HEADSCARF):
        person = _person(3, hat=hat, hair_style=STYLE_NAMES.index("crew"))
        grown = np.sum((grow(person, neutral, neutral, outward) - neutral) * outward, axis=-1)
        assert grown.min() > -1e-5
        assert 0.02 < grown.max() < 1.0
        covered[hat] = np.asarray(hat_cover(person, neutral))
        # the face stays bare
        assert grown[np.argmax(np.asarray(neutral)[:, 2])] < 0.2
    assert covered[NO_HAT].max() == 0
    assert covered[CAP].mean() < covered[HEADSCARF].mean() < 1


def test_earrings_are_two_closed_rings_below_the_lobes_that_mirror_each_other() -> None:
    lobes = jnp.array([[0.75, 6.9, 0.5], [-0.75, 6.9, 0.5]])
    triangles = earring_triangles()
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    for kind in range(1, len(EARRINGS)):
        pair = np.asarray(earring_vertices(jax.random.key(kind), jnp.asarray(kind), lobes)).reshape(2, -1, 3)
        assert pair.size == 3 * (triangles.max() + 1)
        away = pair - np.asarray(lobes)[:, None]
        np.testing.assert_allclose(away[0].min(0)[1:], away[1].min(0)[1:], atol=0.01)
        np.testing.assert_allclose(away[0].mean(0), away[1].mean(0) * [-1, 1, 1], atol=1e-3)
        # nothing floats: every earring touches the place that is pierced, and a hoop hangs below it
        assert np.linalg.norm(away, axis=-1).min() < 0.035
        assert (away[..., 1].min() < -0.08) == (kind >= HOOPS)
        assert np.abs(away).max() < 0.25


@pytest.mark.slow
def test_earrings_are_drawn_only_where_they_are_worn(assets: Assets) -> None:
    build = jax.jit(build_head)
    heads = [build(jax.random.key(0), assets, _person(1, earrings=kind)) for kind in (NO_EARRINGS, HOOPS)]
    bare, ringed = (np.asarray(head.shown) for head in heads)
    changed = np.flatnonzero(bare != ringed)
    jewels = np.flatnonzero(np.asarray(assets.kinds) == JEWELLERY)
    np.testing.assert_array_equal(changed, jewels)
    assert not bare[jewels].any()
    others = slice(0, -len(np.unique(earring_triangles())))
    np.testing.assert_array_equal(heads[0].vertices[others], heads[1].vertices[others])


def test_a_necklace_is_a_thin_closed_band_on_the_neck(assets: Assets) -> None:
    heights = jnp.linspace(5.6, 8.5, 2901)
    widths = {}
    for necklace in range(len(NECKLACES)):
        person = _person(2, necklace=necklace, clothes=ROUND_NECK)
        for depth in (-0.5, 0.5, 1.2):
            line = jnp.stack([0.0 * heights, heights, depth + 0.0 * heights], -1)
            cover = np.asarray(necklace_cover(person, line))
            where = np.asarray(heights)[cover > 0.5]
            assert (len(where) > 0) == (necklace != NO_NECKLACE)
            widths[necklace] = np.ptp(where) if len(where) else 0.0
            assert len(where) == 0 or (where.min() > 6.1 and where.max() < 6.4)
    assert widths[NO_NECKLACE] == 0 < widths[1] == widths[2] < widths[PEARLS] < 0.06


def test_ears_glow_only_on_the_side_away_from_the_light() -> None:
    person = _person(4, yaw=0.0, pitch=0.0, roll=0.0, hair_style=STYLE_NAMES.index("bald"))
    normals = jax.random.normal(jax.random.key(0), (8, 8, 3))
    normals = normals / jnp.linalg.norm(normals, axis=-1, keepdims=True)
    light = jnp.array([0.8, 0.0, -0.6])
    ear = jnp.full((8, 8, 1), 0.7)
    through = np.asarray(behind_ear(ear, normals, light))
    towards = np.asarray(normals @ light)[..., None]
    assert (through[towards >= 0] == 0).all()
    np.testing.assert_allclose(through[towards < 0], -0.7 * towards[towards < 0], rtol=1e-5)
    assert np.asarray(behind_ear(0 * ear, normals, light)).max() == 0
    # a light on the left reaches the left ear, not the right one behind the head, and neither through hanging hair
    np.testing.assert_array_equal(clear_of_head(person, ear, light), np.ones((8, 8, 1)))
    np.testing.assert_array_equal(clear_of_head(person, -ear, light), np.zeros((8, 8, 1)))
    hanging = person._replace(hair_style=jnp.asarray(STYLE_NAMES.index("long01")))
    np.testing.assert_array_equal(clear_of_head(hanging, ear, light), np.zeros((8, 8, 1)))


def test_ears_are_thin_at_the_rim_and_nothing_else_is() -> None:
    points = jnp.array([[0.82, 7.2, 0.35], [-0.82, 7.2, 0.35], [0.0, 7.3, 1.4], [0.55, 6.9, 0.8], [0.7, 8.0, 0.3]])
    np.testing.assert_allclose(thin_ear(points), [1, 1, 0, 0, 0], atol=1e-6)


def test_light_through_an_ear_is_red_and_less_so_on_dark_skin() -> None:
    flat = jnp.zeros((1, 1, 3))

    def glow(tone: float) -> np.ndarray:
        person = _person(4, light=jnp.array([0.0, 0.3]))
        albedo = skin_colour(jnp.asarray(tone)) + flat
        ones = jnp.ones((1, 1, 1))
        surface = Surface(albedo, ones, 0 * ones, 0 * ones, ones, flat + 0.2, ones)
        away, view = flat + jnp.array([0.0, 0.0, -1.0]), flat + jnp.array([0.0, 0.0, 1.0])
        lit = [shade(jax.random.key(0), person, s, away, view, ones[..., 0], ones[..., 0])
               for s in (surface, surface._replace(ear=0 * ones))]  # fmt: skip
        return np.asarray(lit[0] - lit[1])[0, 0]

    light, dark = glow(0.0), glow(9.0)
    assert light[0] > 4 * light[1] > 4 * light[2] > 0
    assert 0 < dark[0] < light[0] / 4


def test_what_lies_at_the_eyes_depth_stays_sharp() -> None:
    assert circle_of_confusion(jnp.array(0.5), jnp.array(20.0), jnp.array(0.0)) == 0
    # similar triangles: a point as far behind the eyes as the lens is before them is blurred to half the opening
    np.testing.assert_allclose(circle_of_confusion(jnp.array(0.5), jnp.array(20.0), jnp.array(20.0)), 0.25)
    picture = jax.random.uniform(jax.random.key(0), (16, 16, 3))
    np.testing.assert_array_equal(defocus(picture, jnp.zeros((16, 16))), picture)
    np.testing.assert_allclose(defocus(jnp.full((8, 8, 3), 0.3), jnp.full((8, 8), 3.0)), 0.3, rtol=1e-5)


@pytest.mark.parametrize("diameter", [1.0, 2.0, 4.0])
def test_a_point_spreads_with_the_variance_of_its_disc(diameter: float) -> None:
    point = jnp.zeros((17, 17, 3)).at[8, 8].set(1.0)
    spread = np.asarray(defocus(point, jnp.full((17, 17), diameter)))[..., 0]
    x = np.arange(17) - 8
    np.testing.assert_allclose(spread.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose((spread.sum(0) * x**2).sum(), diameter**2 / 16, rtol=1e-5)


def test_what_is_sharp_does_not_bleed_into_what_is_not() -> None:
    picture = jnp.zeros((8, 8, 3)).at[:, :4].set(1.0)
    circle = jnp.zeros((8, 8)).at[:, 4:].set(3.0)
    blurred = np.asarray(defocus(picture, circle))
    np.testing.assert_array_equal(blurred[:, :4], picture[:, :4])
    assert blurred[:, 4:].max() < 0.01


def test_smoothing_keeps_the_mean_and_reaches_as_far_as_told() -> None:
    point = jnp.zeros((9, 9, 1)).at[4, 4].set(16.0)
    np.testing.assert_array_equal(smooth(point, 2)[::2, 4, 0], [0, 2, 4, 2, 0])
    assert smooth(point, 2).sum() == 16


def test_functions_are_smooth_and_bounded() -> None:
    np.testing.assert_allclose(smoothstep(1.0, 3.0, jnp.array([0.0, 1.0, 2.0, 3.0, 9.0])), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(3.0, 1.0, jnp.array([0.0, 2.0, 9.0])), [1, 0.5, 0])
    line = jnp.linspace(0, 4, 4001)[:, None] * jnp.array([1.0, 0.3, -0.2])
    noise = np.asarray(value_noise(line, 2.0))
    assert 0 <= noise.min() < 0.3 < 0.7 < noise.max() <= 1
    # slope of the interpolation is at most 1.5 a cell along each axis; the line crosses 2 · 1.5 cells per unit
    assert np.abs(np.diff(noise)).max() < 1.5 * 2 * 1.5 * 1e-3 * 1.01 + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_backgrounds_differ_and_stay_in_range(scene: int) -> None:
    draw = jax.jit(lambda key: draw_background(key, jnp.asarray(scene), jnp.asarray(0.1), 32))
    pictures = np.stack([draw(key) for key in _keys(3)])
    assert pictures.shape == (3, 32, 32, 3)
    assert 0 <= pictures.min() <= pictures.max() <= 3
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.01


def test_the_camera_adds_faults_that_stay_small() -> None:
    light = jnp.full((16, 16, 3), 0.2)
    pictures = np.stack([jax.jit(develop)(key, light) for key in _keys(40)])
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert np.abs(pictures - 0.2 ** (1 / 2.2)).mean() < 0.03
    assert 0 < pictures.std(axis=(1, 2)).mean() < 0.03
    assert pictures.std(axis=0).min() > 0


def test_details_pair_opposites_and_sides() -> None:
    details = detail_pairs(_target_names())
    ends = {(d.plus, d.minus) for d in details}
    assert (("nose/nose-point-up",), ("nose/nose-point-down",)) in ends
    assert (("chin/chin-triangle",), ()) in ends
    both = [d for d in details if "eyes/l-eye-scale-incr" in d.plus]
    assert [d.plus for d in both] == [("eyes/l-eye-scale-incr", "eyes/r-eye-scale-incr")]


def test_splits_never_meet() -> None:
    train, held_out = (set(script.picture_ids(split, 0, 1000).tolist()) for split in script.SPLITS)
    assert len(train) == len(held_out) == 1000
    assert not train & held_out
    assert not train & set(script.picture_ids("heldout", 500, 1000).tolist())


@pytest.mark.slow
def test_rendering_goes_on_where_it_stopped(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    monkeypatch.setattr(script, "samples_for", lambda side: SAMPLES)
    arguments = ["--pack", str(pack), "--output", str(output), "--count", "5", "--size", str(SIZE)]
    options = script.parse([*arguments, "--supersample", str(SUPERSAMPLE), "--shard", "3", "--batch", "2"])
    assert script.run(options) == 5
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    assert sorted(first) == ["shard_00000.npz", "shard_00000.png", "shard_00001.npz", "shard_00001.png"]
    pictures = read_shard(output / "shard_00001.png")
    assert pictures.shape == (2, SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    with np.load(output / "shard_00001.npz") as attributes:
        assert attributes["id"].tolist() == [6, 8]
        assert attributes["ancestry"].shape == (2, 3)

    monkeypatch.setattr(script, "load_pack", lambda *a, **k: pytest.fail("nothing is left to draw"))
    assert script.run(options) == 0
    monkeypatch.undo()
    monkeypatch.setattr(script, "samples_for", lambda side: SAMPLES)
    (output / "shard_00001.png").unlink()
    assert script.run(options) == 2
    again = {path.name: path.read_bytes() for path in output.iterdir()}
    assert again["shard_00000.png"] == first["shard_00000.png"]
    assert again["shard_00001.png"] == first["shard_00001.png"]

    options.split = "heldout"
    with pytest.raises(ValueError, match="other settings"):
        script.run(options)


@pytest.mark.parametrize("damage", ["empty", "cut", "array", "picture", "skin"])
def test_bad_packs_are_named_in_one_line(pack: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(pack, broken)
    archive = broken / "heads.npz"
    if damage == "empty":
        archive.unlink()
    elif damage == "cut":
        archive.write_bytes(archive.read_bytes()[:1000])
    elif damage == "array":
        with np.load(archive) as data:
            np.savez(archive.with_name("new.npz"), **{k: data[k] for k in data.files if k != "teeth/uv"})
        archive.with_name("new.npz").replace(archive)
    elif damage == "picture":
        (broken / "hair" / "afro01.webp").write_bytes(b"not a picture")
    else:
        (broken / "skins" / "old_darkskinned_male.jpg").unlink()
    with pytest.raises(ValueError, match="pack of heads") as caught:
        load_pack(broken, samples=SAMPLES, texture=32)
    assert "\n" not in str(caught.value)
