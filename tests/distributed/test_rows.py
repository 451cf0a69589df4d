"""The worker of `upsample_dataset`, called as Ray Data calls it: rows in, tables of solutions out."""

import io

import numpy as np
import pytest
from PIL import Image

import pulse_jax
from pulse_jax.distributed import rows
from pulse_jax.distributed.rows import RowWorker
from pulse_jax.images.rounding import from_uint8
from pulse_jax.search.presets import PRESETS
from pulse_jax.system.errors import UsageError
from tests.tiny_networks import searchable_generator

pyarrow = pytest.importorskip("pyarrow")
CONFIG = PRESETS["pulse"](steps=15, eps=0.03)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows") / "generator"
    searchable_generator().save(folder)
    return folder


@pytest.fixture
def worker(monkeypatch, folder):
    # This process has started JAX already.
    monkeypatch.setattr(rows, "start_worker", lambda cores: None)

    def make(**changes):
        settings = {"id": "id", "image": "image", "generator": str(folder), "config": CONFIG, "restarts": 2, "seed": 3}
        return RowWorker(**{**settings, "lanes": 1, "strict": False, "cores": 1, **changes})

    return make


def column(*values):
    """A column as Ray Data hands it over where values differ in kind."""
    made = np.empty(len(values), object)
    made[:] = values
    return made


def levels(seed, side=4):
    return np.random.default_rng(seed).integers(90, 166, (side, side, 3), np.uint8)


def file_of(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def picture_of(row):
    return np.asarray(Image.open(io.BytesIO(row["png"])))


def out_of(tables):
    return [row for table in tables for row in table.to_pylist()]


def test_rows_hold_the_solutions_that_upsample_finds(worker, folder):
    pixels = [levels(seed) for seed in range(3)]
    floats = [from_uint8(one) for one in pixels]
    found = pulse_jax.upsample(pulse_jax.load_generator(folder), np.stack(floats), restarts=2, seed=3, config=CONFIG)
    # Files, levels and floats, whichever batch they come in.
    batches = [
        {"id": column("a", "b"), "image": column(file_of(pixels[0]), pixels[1])},
        {"id": np.array([7]), "image": floats[2][None], "more": np.array([1.0])},
    ]
    made = worker()
    out = out_of(table for batch in batches for table in made(batch))
    assert [(row["id"], row["rank"]) for row in out] == [(name, rank) for name in ("a", "b", "7") for rank in (1, 2)]
    for row, (image, place) in zip(out, np.ndindex(3, 2), strict=True):
        np.testing.assert_array_equal(from_uint8(picture_of(row)), found.images[image, place])
        np.testing.assert_array_equal(np.array(row["latent"], np.float32), found.latents[image, place])
        np.testing.assert_array_equal(np.array(row["w"], np.float32), found.w[image, place])
        assert row["error"] == found.downscaling_error[image, place] and row["loss"] == found.loss[image, place]
        assert row["restart"] == found.restart[image, place] and row["steps"] == found.steps[image, place]
        assert row["feasible"] == (row["error"] <= CONFIG.eps) and row["seed"] == 3 and row["failure"] is None
        assert row["status"] == pulse_jax.Status(found.status[image, place]).name


@pytest.mark.parametrize(
    ("name", "picture", "told"),
    [
        ("a", b"nothing", "not a picture; expected a PNG, JPEG, WebP, AVIF, BMP, TIFF or HEIC file"),
        ("a", file_of(levels(0))[:60], "truncated or damaged"),
        ("a", None, "image: the row has no picture; give the bytes of a file, or pixels"),
        ("a", "face.png", "image: expected the bytes of a file, or pixels (h, h, 3), got neither"),
        ("a", levels(0)[:2], "image: expected a square RGB picture (h, h, 3), got (2, 4, 3); crop it"),
        ("a", levels(0)[..., 0], "image: expected a square RGB picture (h, h, 3), got (4, 4); crop it"),
        ("a", levels(0, side=5), "image: expected a side of 2, 4, 8 pixels, got 5; downscale it"),
        ("a", file_of(levels(0, side=6)), "image: expected a side of 2, 4, 8 pixels, got 6; downscale it"),
        ("a", levels(0).astype(np.int64), "expected floating-point images in [0, 1], got int64"),
        ("a", levels(0).astype(np.float32), "divide by 255"),
        ("a", np.full((4, 4, 3), np.nan), "image: expected numbers in [0, 1], got NaN or infinite ones"),
        (None, levels(0), "id: the row has none, by which its solutions could be told; give each one"),
        (float("nan"), levels(0), "id: the row has none"),
    ],
)
def test_a_bad_row_costs_itself_alone_and_says_why(worker, name, picture, told):
    batch = {"id": column("x", name, "y"), "image": column(levels(1), picture, levels(2))}
    made = worker(restarts=1, config=PRESETS["nearest"]())
    tables = list(made(batch))
    before, bad, after = out_of(tables)
    assert told in bad.pop("failure") and (before["id"], after["id"]) == ("x", "y")
    assert bad.pop("id") == (name if isinstance(name, str) else None) and bad.pop("seed") == 3
    assert set(bad.values()) == {None}
    assert before["failure"] is None and before["error"] is not None and after["png"] is not None
    assert len({table.schema for table in tables}) == 1


def test_a_batch_comes_out_in_its_own_order_whatever_ends_first(worker, monkeypatch):
    made = worker(restarts=2)
    batch = {"id": column("a", "b", "c"), "image": column(*(levels(seed) for seed in range(3)))}
    first = list(made(batch))
    stream = made._stream
    monkeypatch.setattr(made, "_stream", lambda problems: reversed([*stream(problems)]))
    assert list(made(batch)) == first


def test_a_missing_column_is_told_with_those_that_there_are(worker):
    with pytest.raises(UsageError, match="no column 'image': there are id, bytes"):
        list(worker()({"id": column("a"), "bytes": column(b"")}))


def test_an_interpolation_makes_one_row_of_each(worker):
    (row,) = out_of(worker(config=PRESETS["bicubic"](), restarts=4)({"id": column("a"), "image": levels(0)[None]}))
    assert row["rank"] == 1 and row["latent"] == [] and picture_of(row).shape == (8, 8, 3)
