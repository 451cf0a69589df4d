"""The canvas: pictures keep their pixels, edges are smoothed, and any text is legible where it was asked for."""

import numpy as np
import pytest
from PIL import Image

from pulse_jax.reports.canvas import FAINT, GREEN, INK, PAPER, Canvas, text_width, wrap

WIDTH, HEIGHT = 240, 120


def inked(pixels):
    """The rows and columns where something is drawn, as (top, bottom, left, right)."""
    rows, columns = np.nonzero((pixels != np.array(PAPER)).any(axis=-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


def written(text="Hxx", at=(120, 60), **settings):
    canvas = Canvas(WIDTH, HEIGHT)
    end = canvas.write(at, text, 20, INK, **settings)
    return canvas.pixels(), end


def test_an_empty_canvas_is_paper():
    pixels = Canvas(3, 2).pixels()
    assert pixels.dtype == np.uint8 and pixels.shape == (2, 3, 3)
    assert (pixels == PAPER).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_picture_keeps_its_pixels_and_proportions(kind):
    levels = np.random.default_rng(0).integers(0, 256, (4, 2, 3), np.uint8)
    canvas = Canvas(20, 20)
    canvas.picture(levels if kind == np.uint8 else (levels / kind(255)), (2, 3), 12, Image.Resampling.NEAREST)
    pixels = canvas.pixels()
    np.testing.assert_array_equal(pixels[3:15, 5:11], levels.repeat(3, 0).repeat(3, 1))
    assert inked(pixels) == (3, 14, 5, 10)


def test_a_picture_that_is_reduced_is_averaged():
    board = np.indices((8, 8)).sum(axis=0) % 2 * 1.0
    canvas = Canvas(4, 4)
    canvas.picture(board[..., None].repeat(3, 2), (0, 0), 4, Image.Resampling.NEAREST)
    assert (np.abs(canvas.pixels().astype(int) - 127.5) <= 0.5).all()


@pytest.mark.parametrize(("smooth", "shades"), [(False, False), (True, True)])
def test_only_a_smooth_canvas_has_edges_in_between(smooth, shades):
    canvas = Canvas(100, 100, smooth=smooth)
    canvas.circle((50, 50), 30, GREEN, fill=GREEN)
    pixels = canvas.pixels()
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    assert (len(colours) > 2) == shades
    assert {PAPER, GREEN} <= colours
    area = (np.array(PAPER, float) - pixels).sum() / (np.array(PAPER, float) - GREEN).sum()
    assert area == pytest.approx(np.pi * 30**2, rel=0.03)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_line_is_as_wide_as_asked_for(smooth):
    canvas = Canvas(60, 60, smooth=smooth)
    canvas.line([(10, 30), (50, 30)], INK, 5)
    covered = (np.array(PAPER, float) - canvas.pixels()).sum() / (np.array(PAPER, float) - INK).sum()
    assert covered == pytest.approx(5 * 40, rel=0.05)


def test_shapes_cover_each_other_in_order_and_words_cover_all():
    canvas = Canvas(40, 40)
    canvas.write((5, 5), "H", 20, INK)
    canvas.polygon([(0, 0), (40, 0), (40, 40), (0, 40)], GREEN)
    canvas.rectangle([(10, 30), (20, 39)], fill=FAINT)
    pixels = canvas.pixels()
    assert tuple(pixels[35, 15]) == FAINT and tuple(pixels[35, 30]) == GREEN
    assert (pixels == np.array(INK)).all(axis=-1).any()


@pytest.mark.parametrize(("across", "place"), [("l", 0.0), ("m", 0.5), ("r", 1.0)])
def test_a_line_stands_where_its_anchor_says(across, place):
    pixels, end = written(anchor=f"{across}a")
    width = text_width("Hxx", 20)
    _, _, left, right = inked(pixels)
    assert end == pytest.approx(120 + (1 - place) * width, abs=1)
    assert (left, right) == (pytest.approx(120 - place * width, abs=3), pytest.approx(end, abs=3))


def test_top_middle_and_bottom_of_the_font():
    tops = {down: inked(written(anchor=f"l{down}")[0])[0] for down in "amd"}
    assert tops["d"] < tops["m"] < tops["a"]
    assert tops["a"] >= 60 and inked(written(anchor="ld")[0])[1] <= 60
    # The same whatever the letters are: lines of several words keep their baseline.
    assert inked(written("H g", anchor="la")[0])[0] == inked(written("H", anchor="la")[0])[0]


def test_a_halo_is_paper_around_the_letters():
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.polygon([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], GREEN)
    canvas.write((120, 60), "H", 20, INK, halo=3)
    pixels = canvas.pixels()
    letter = (pixels == np.array(INK)).all(axis=-1)
    paper = (pixels == np.array(PAPER)).all(axis=-1)
    rows, columns = np.nonzero(letter)
    assert paper[rows.min() - 2, columns.min()] and paper[rows.max() + 2, columns.max()]
    assert not paper[rows.min() - 6].any()
    plain, _ = written("H", halo=0)
    np.testing.assert_array_equal(letter, (plain == np.array(INK)).all(axis=-1), "the letters stand where they did")


def test_what_is_longer_than_its_room_is_cut_and_says_so():
    whole, end = written("some words", at=(0, 0), room=1000)
    short, cut_end = written("some words " * 10, at=(0, 0), room=100)
    assert end == text_width("some words", 20) and 70 < cut_end <= 100
    assert inked(short)[3] <= 100
    np.testing.assert_array_equal(written("some words", at=(0, 0), room=end)[0], whole)


def test_wrapped_lines_fit_and_lose_nothing():
    text = "one two three four five six seven eight nine ten " * 3
    lines = wrap(text, 120)
    assert all(text_width(line, 14) <= 120 for line in lines) and len(lines) > 3
    assert " ".join(lines) == text.strip()
    assert wrap(text, 120, most=2)[0] == lines[0] and " ".join(wrap(text, 120, most=2)) == text.strip()
    assert wrap("", 120) == []


@pytest.mark.parametrize(
    ("text", "legible"), [("naïve", "naïve"), ("ε ≤ 1", "eps <= 1"), ("字", "?"), ("a\x1bb", "a\\x1bb")]
)
def test_what_the_font_lacks_is_spelled_or_marked(text, legible):
    np.testing.assert_array_equal(written(text)[0], written(legible)[0])


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        Canvas(4, 4).picture(np.full((2, 2, 3), np.nan), (0, 0), 2, Image.Resampling.NEAREST)
