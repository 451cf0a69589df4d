"""What all sheets and plots are drawn on: paper, ink and a palette, legible text, smooth shapes, and pictures."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pulse_jax.images.rounding import to_uint8
from pulse_jax.system.text import printable

__all__ = [
    "AMBER",
    "FAINT",
    "GREEN",
    "INK",
    "MARGIN",
    "PALETTE",
    "PAPER",
    "SOFT",
    "Canvas",
    "Colour",
    "Number",
    "Point",
    "text_width",
    "wrap",
]

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Number = int | float
Point = tuple[Number, Number]
"""Pixels to the right and down from the upper left corner."""

PAPER: Colour = (250, 249, 246)
INK: Colour = (33, 35, 38)
SOFT: Colour = (104, 108, 114)
FAINT: Colour = (224, 222, 216)
GREEN: Colour = (24, 128, 74)
AMBER: Colour = (184, 106, 8)
PALETTE: Sequence[Colour] = ((0, 94, 162), (200, 82, 0), GREEN, (126, 47, 142), (196, 148, 0))
"""Blue, orange, green, purple and ochre: colours that the colour-blind tell apart, dark enough on paper."""
MARGIN = 44
"""Pixels of paper around everything."""

# Shapes with smooth edges are drawn so many times as large and then reduced.
_FINE = 4
# The font that comes with Pillow has little beyond ASCII.
_SPELLED = {"ε": "eps", "\u00d7": "x", "\u2013": "-", "\u2212": "-", "≤": "<=", "≥": ">=", "\u2019": "'"}


class Canvas:
    """Paper that shapes and pictures are put on, one over the other, and words above them all.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        smooth: Whether the edges of shapes are smoothed. What is drawn is then reduced as a whole, in which pictures
            lose their exact pixels; words do not.
    """

    def __init__(self, width: int, height: int, *, smooth: bool = False) -> None:
        self._size = (width, height)
        self._scale = _FINE if smooth else 1
        self._image = Image.new("RGB", (width * self._scale, height * self._scale), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._words: list[tuple[Point, str, int, Colour, str, int]] = []

    def line(self, points: Sequence[Point], colour: Colour, width: Number = 1) -> None:
        """Draw a line through points, its width in pixels."""
        self._draw.line(self._enlarged(points), fill=colour, width=round(width * self._scale), joint="curve")

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._enlarged(points), fill=colour)

    def rectangle(self, corners: Sequence[Point], *, fill: Colour | None = None, outline: Colour | None = None) -> None:
        """Draw a rectangle between its upper left and its lower right corner, filled or as a frame of one pixel."""
        self._draw.rectangle(self._enlarged(corners), fill=fill, outline=outline, width=self._scale)

    def circle(
        self, centre: Point, radius: Number, outline: Colour, *, fill: Colour | None = None, width: Number = 1
    ) -> None:
        """Draw a circle, its outline's width in pixels."""
        corners = [(centre[0] + side, centre[1] + side) for side in (-radius, radius)]
        self._draw.ellipse(self._enlarged(corners), fill=fill, outline=outline, width=round(width * self._scale))

    def picture(self, image: np.ndarray, at: Point, side: int, resampling: Image.Resampling) -> None:
        """Put a picture into the middle of a square, as large as it fits, keeping its proportions.

        Args:
            image: Pixels (h, w, 3), uint8 or floats in [0, 1].
            at: Upper left corner of the square.
            side: Side of the square in pixels.
            resampling: How it is enlarged or reduced; where `NEAREST` would drop pixels they are averaged.

        Raises:
            ValueError: The image holds NaN.
        """
        picture = Image.fromarray(image if image.dtype == np.uint8 else to_uint8(image))
        side *= self._scale
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if resampling == Image.Resampling.NEAREST and scale < 1:
            resampling = Image.Resampling.BOX
        left, top = (int(place * self._scale) for place in at)
        place = (left + (side - size[0]) // 2, top + (side - size[1]) // 2)
        self._image.paste(picture.resize(size, resampling), place)

    def stamp(self, mask: Image.Image, at: tuple[int, int], colour: Colour) -> None:
        """Put a colour on the paper where a mask, at most 255, is not 0; on a canvas that is not smoothed."""
        self._image.paste(colour, at, mask)

    def write(
        self,
        at: Point,
        text: str,
        size: int,
        colour: Colour,
        *,
        room: int | None = None,
        anchor: str = "la",
        halo: int = 0,
    ) -> int:
        """Write one line of text, and return where it ends.

        Args:
            at: Where the line stands.
            text: Any text. Characters that the font lacks are spelled out or a question mark.
            size: Size of the font in pixels.
            colour: Colour of the text.
            room: Pixels in which the line must fit; it is cut, and ends in three dots, if it is longer.
            anchor: Which part of the line stands at `at`: `l`, `m` or `r` for its left end, its middle or its right
                end, then `a`, `m` or `d` for the top, the middle or the bottom of the font, as in Pillow.
            halo: Pixels of paper around the letters.
        """
        line = _legible(text)
        if room is not None and text_width(line, size) > room:
            fitting = bisect_right(range(1, len(line)), room, key=lambda end: text_width(line[:end] + "...", size))
            line = line[:fitting] + "..."
        width = text_width(line, size)
        left = round(at[0] - {"l": 0, "m": width / 2, "r": width}[anchor[0]])
        self._words.append(((left, round(at[1])), line, size, colour, "l" + anchor[1], halo))
        return left + width

    def pixels(self) -> np.ndarray:
        """Return what was drawn so far, uint8 (height, width, 3)."""
        image = self._image.copy() if self._scale == 1 else self._image.resize(self._size, Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(image)
        for at, line, size, colour, anchor, halo in self._words:
            if halo:
                _draw_line(draw, at, line, size, PAPER, anchor, halo)
            _draw_line(draw, at, line, size, colour, anchor)
        return np.array(image)

    def _enlarged(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]


def text_width(line: str, size: int) -> int:
    """Return the width in pixels of a line of text in the font's own characters."""
    words = line.split(" ")
    return sum(round(_font(size).getlength(word)) for word in words) + _space(size) * (len(words) - 1)


def wrap(text: str, room: int, most: int = 12, size: int = 14) -> list[str]:
    """Break a text into lines that fit.

    Args:
        text: Any text.
        room: Width of a line in pixels.
        most: How many lines there may be; the last one holds what is left, however long.
        size: Size of the font in pixels.
    """
    lines: list[str] = []
    for word in _legible(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or text_width(longer, size) <= room):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw_line(
    draw: ImageDraw.ImageDraw, at: Point, line: str, size: int, colour: Colour, anchor: str, halo: int = 0
) -> None:
    left, top = at
    for word in line.split(" "):
        draw.text((left, top), word, fill=colour, font=_font(size), anchor=anchor, stroke_width=halo)
        left += text_width(word, size) + _space(size)


def _space(size: int) -> int:
    """The gap between words; the font's own is kerned away next to some letters, as in "e-4 feasible"."""
    return round(0.29 * size)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow gives its FreeType font whenever a size is named"
    # The basic layout is the same on every machine, whether or not the Raqm library is there.
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    def drawn(text: str) -> bytes:
        picture = Image.new("L", (32, 32))
        ImageDraw.Draw(picture).text((4, 4), text, fill=255, font=_font(16))
        return picture.tobytes()

    return drawn(character) != drawn("\U0010ffff")


def _legible(text: str) -> str:
    """The text in characters that the font has: accents dropped, symbols spelled out, a question mark for the rest."""
    legible = ""
    for character in printable(text, 1000):
        if _has_glyph(character):
            legible += character
            continue
        plain = _SPELLED.get(character) or "".join(
            c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
        )
        legible += plain if plain and all(map(_has_glyph, plain)) else "?"
    return legible
