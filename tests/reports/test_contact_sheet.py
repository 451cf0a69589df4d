from dataclasses import replace

import numpy as np
import pytest

from pulse_jax.reports.canvas import PAPER, Canvas, text_width
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet


def flat(side, colour):
    return np.full((side, side, 3), colour, np.float32)


def row(solutions=1, side=64, label="face.png", **tile):
    options = {"caption": "8.7e-4 feasible", "detail": "37 steps", "good": True, "small": flat(8, (1, 0, 1))} | tile
    tiles = tuple(SheetTile(flat(side, (1, 0, 0)), **options) for _ in range(solutions))
    return SheetRow(label, flat(8, (0, 0, 1)), tiles)


def count(sheet, colour):
    return int((sheet == np.array(colour, np.uint8)).all(axis=-1).sum())


@pytest.fixture
def written(monkeypatch):
    """The lines that are written on canvases, as (at, line, size, whether it fits its room)."""
    lines, real = [], Canvas.write

    def write(canvas, at, line, size, *others, room, **settings):
        lines.append((at, line, size, text_width(line, size) <= room))
        return real(canvas, at, line, size, *others, room=room, **settings)

    monkeypatch.setattr(Canvas, "write", write)
    return lines


@pytest.mark.parametrize("solutions", [0, 1, 4, 8, 9, 32])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_picture_is_there_at_its_size(solutions, rows):
    sheet = contact_sheet([row(solutions)] * rows, title="PULSE", subtitle="a run", footer="eps = 1e-3")
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert count(sheet, (255, 0, 0)) == rows * solutions * 192**2
    # The input stands there large, smooth and small; each solution's downscaled version small.
    assert count(sheet, (0, 0, 255)) == rows * (2 * 192**2 + 48**2)
    assert count(sheet, (255, 0, 255)) == rows * solutions * 48**2
    for edge in (sheet[:20], sheet[-20:], sheet[:, :20], sheet[:, -20:]):
        assert count(edge, PAPER) == edge.shape[0] * edge.shape[1]


@pytest.mark.parametrize(("side", "tile"), [(16, 192), (64, 192), (100, 200), (128, 256), (256, 256), (1024, 256)])
def test_tiles_suit_the_generator(side, tile):
    assert count(contact_sheet([row(1, side)], title=""), (255, 0, 0)) == tile**2


def test_input_pixels_stay_crisp():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    low_res = (pixels / 255).astype(np.float32)
    sheet = contact_sheet([SheetRow("a", low_res, (SheetTile(flat(64, (1, 0, 0))),))], title="t")
    enlarged = pixels.repeat(24, 0).repeat(24, 1)
    windows = [top for top in range(sheet.shape[0] - 192) if (sheet[top : top + 192, 44:236] == enlarged).all()]
    assert len(windows) == 1


@pytest.mark.parametrize(("good", "greenish"), [(True, True), (False, False)])
def test_feasible_is_green_and_missed_is_amber(good, greenish):
    sheet = contact_sheet([row(good=good, caption="1e-3")], title="t")
    assert (count(sheet, (24, 128, 74)) > 10) == greenish
    assert (count(sheet, (184, 106, 8)) > 10) != greenish


def test_no_verdict_no_mark():
    sheet = contact_sheet([row(good=None)], title="t")
    assert count(sheet, (24, 128, 74)) == count(sheet, (184, 106, 8)) == 0


@pytest.mark.parametrize(("rows", "solutions"), [(60, 4), (400, 1), (1, 1000), (30, 100)])
def test_a_sheet_never_outgrows_its_limit_and_says_so(rows, solutions):
    one = row(solutions)
    sheet = contact_sheet([one] * rows, title="t", footer="many words " * 500)
    assert max(sheet.shape) <= 8192
    assert count(sheet, (255, 0, 0)) < rows * solutions * 192**2


@pytest.mark.parametrize(("columns", "tile"), [(12, 192), (48, 128)])
def test_named_columns_stand_side_by_side_however_many(written, columns, tile):
    names = [f"preset {i}" for i in range(columns)]
    sheet = contact_sheet([row(columns)] * 2, title="t", columns=names)
    assert max(sheet.shape) <= 8192
    reds = (sheet == np.array((255, 0, 0))).all(axis=-1)
    assert reds.sum() == 2 * columns * tile**2
    # In each row of tiles one line, and above each tile its name.
    assert set(reds.sum(axis=1)) == {0, columns * tile}
    lefts = np.flatnonzero(np.diff(reds.any(axis=0).astype(int)) == 1) + 1
    assert [at[0] for at, line, *_ in written if line in names] == lefts.tolist()


@pytest.mark.parametrize("text", ["naïve é", "字 ✓ ε → 😀", "a\nb\x1b[31m", "", "word " * 400, "x" * 4000, "\udcff"])
def test_any_text_can_be_drawn_and_stays_on_the_paper(text):
    tile = SheetTile(flat(64, (1, 0, 0)), text, text, True, flat(8, (1, 0, 1)))
    sheet = contact_sheet([SheetRow(text, flat(8, (0, 0, 1)), (tile,), text)], title=text, subtitle=text, footer=text)
    assert count(sheet[:, -20:], PAPER) == sheet.shape[0] * 20
    assert count(sheet, (255, 0, 0)) == 192**2


@pytest.mark.parametrize(("rows", "lines"), [(1, ["40 steps, not finite"]), (40, ["40 steps,", "not finite"])])
def test_a_detail_is_shown_whole(written, rows, lines):
    """In the small tiles of a crowded sheet it takes two lines, beside the wrapped caption's mark."""
    contact_sheet([row(caption="8.7e-4 missed", detail="40 steps, not finite", good=False)] * rows, title="t")
    drawn = [(line, fits) for _, line, _, fits in written]
    start = drawn.index((lines[0], True))
    assert drawn[start : start + len(lines)] == [(line, True) for line in lines]


def test_a_subtitle_is_shown_whole_on_a_narrow_sheet(written):
    subtitle = "8 of 8 solutions are feasible: downscaled, they differ from the input by at most 0.001"
    contact_sheet([row(1)], title="t", subtitle=subtitle)
    lines = [(line, fits) for _, line, size, fits in written if size == 16]
    assert " ".join(line for line, _ in lines) == subtitle and all(fits for _, fits in lines)


def test_characters_without_a_glyph_are_spelled_or_marked():
    def titled(title):
        return contact_sheet([row()], title=title)

    np.testing.assert_array_equal(titled("é ε 64\u00d764"), titled("e eps 64x64"))
    np.testing.assert_array_equal(titled("字"), titled("?"))


def test_the_same_rows_give_the_same_sheet():
    np.testing.assert_array_equal(contact_sheet([row(4)], title="t"), contact_sheet([row(4)], title="t"))


def test_refusals():
    with pytest.raises(ValueError, match="rows: expected at least one"):
        contact_sheet([], title="t")
    with pytest.raises(ValueError, match="rows: expected 3 solutions in each"):
        contact_sheet([row(3), row(2)], title="t", columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="columns: expected at most 48, got 49"):
        contact_sheet([row(49)], title="t", columns=["a"] * 49)
    with pytest.raises(ValueError, match="NaN"):
        contact_sheet([SheetRow("a", flat(8, np.nan), ())], title="t")


def test_solutions_that_are_only_counted_need_no_pictures():
    whole, counted = row(70), replace(row(64), more=6)
    np.testing.assert_array_equal(contact_sheet([whole], title="t"), contact_sheet([counted], title="t"))
    with_line, without = (contact_sheet([replace(row(3), more=more)], title="t") for more in (997, 0))
    assert len(with_line) > len(without)
