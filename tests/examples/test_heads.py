"""The synthetic heads on a tiny made-up pack: spheres for heads, quads for hair, noise for textures."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import render as script
from heads import STYLE_NAMES, Assets, Person, describe, load_pack, render, sample_person
from heads.attributes import (
    BEARD_CUTS,
    BROWS,
    CAP,
    CLOTHES,
    EYE_COLOURS,
    HAIR_STYLES,
    HATS,
    HEADSCARF,
    LASHES,
    NO_HAT,
    SCENES,
)
from heads.background import draw_background
from heads.camera import develop
from heads.details import detail_pairs
from heads.functions import smoothstep, value_noise
from heads.pack import EXPRESSIONS
from heads.regions import grow, hat_cover
from PIL import Image

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


def test_render_is_a_pure_function_of_the_key(assets: Assets) -> None:
    single = jax.jit(lambda key, assets: render(key, assets, SIZE, SUPERSAMPLE))
    batch, attributes = script.draw_batch(assets, jnp.arange(2, dtype=jnp.uint32), size=SIZE, supersample=SUPERSAMPLE)
    assert batch.shape == (2, SIZE, SIZE, 3)
    assert batch.dtype == jnp.uint8
    assert all(np.isfinite(value).all() for value in attributes.values())
    pictures = []
    for k in range(2):
        picture, own = single(jax.random.key(k), assets)
        again, _ = single(jax.random.key(k), assets)
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == jnp.float32
        assert np.isfinite(picture).all()
        assert 0 <= picture.min() < picture.max() <= 1
        np.testing.assert_array_equal(picture, again)
        # a point on the edge of two pixels may fall on either side
        assert np.mean(np.abs(255 * picture - batch[k]) > 1.5) < 0.02
        jax.tree.map(lambda a, b, k=k: np.testing.assert_allclose(a, b[k], rtol=1e-4, atol=1e-4), own, attributes)
        pictures.append(picture)
    assert np.abs(pictures[0] - pictures[1]).max() > 0.05


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
    for name, names in (("beard_cut", BEARD_CUTS), ("hat", HATS), ("clothes", CLOTHES), ("scene", SCENES)):
        assert set(np.unique(draws[name])) == set(range(len(names))), name


def _person(key: int, **changes: Any) -> Person:
    return sample_person(jax.random.key(key))._replace(**{name: jnp.asarray(value) for name, value in changes.items()})


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


def test_functions_are_smooth_and_bounded() -> None:
    np.testing.assert_allclose(smoothstep(1.0, 3.0, jnp.array([0.0, 1.0, 2.0, 3.0, 9.0])), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(3.0, 1.0, jnp.array([0.0, 2.0, 9.0])), [1, 0.5, 0])
    line = jnp.linspace(0, 4, 4001)[:, None] * jnp.array([1.0, 0.3, -0.2])
    noise = np.asarray(value_noise(line, 2.0))
    assert 0 <= noise.min() < 0.3 < 0.7 < noise.max() <= 1
    # slope of the interpolation is at most 1.5 a cell along each axis; the line crosses 2 · 1.5 cells per unit
    assert np.abs(np.diff(noise)).max() < 1.5 * 2 * 1.5 * 1e-3 * 1.01 + 1e-4


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


def test_rendering_goes_on_where_it_stopped(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    monkeypatch.setattr(script, "samples_for", lambda side: SAMPLES)
    arguments = ["--pack", str(pack), "--output", str(output), "--count", "5", "--size", str(SIZE)]
    options = script.parse([*arguments, "--supersample", str(SUPERSAMPLE), "--shard", "3", "--batch", "2"])
    assert script.run(options) == 5
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    assert sorted(first) == ["shard_00000.npy", "shard_00000.npz", "shard_00001.npy", "shard_00001.npz"]
    pictures = np.load(output / "shard_00001.npy")
    assert pictures.shape == (2, SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    with np.load(output / "shard_00001.npz") as attributes:
        assert attributes["id"].tolist() == [6, 8]
        assert attributes["ancestry"].shape == (2, 3)

    monkeypatch.setattr(script, "load_pack", lambda *a, **k: pytest.fail("nothing is left to draw"))
    assert script.run(options) == 0
    monkeypatch.undo()
    monkeypatch.setattr(script, "samples_for", lambda side: SAMPLES)
    (output / "shard_00001.npy").unlink()
    assert script.run(options) == 2
    again = {path.name: path.read_bytes() for path in output.iterdir()}
    assert again["shard_00000.npy"] == first["shard_00000.npy"]
    assert again["shard_00001.npy"] == first["shard_00001.npy"]

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
