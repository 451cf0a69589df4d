"""Paper, ink and font of everything that is drawn."""

from functools import lru_cache

from PIL import ImageDraw, ImageFont

from pulse_jax.system.text import printable

__all__ = ["FAINT", "INK", "PAPER", "SOFT", "font", "write_text"]

PAPER = (250, 249, 246)
INK, SOFT, FAINT = (33, 35, 38), (104, 108, 114), (224, 222, 216)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels."""
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow gives its FreeType font whenever a size is named"
    # The basic layout is the same on every machine, whether or not the Raqm library is there.
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


def write_text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int | float, int | float],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str = "la",
    halo: int = 0,
) -> None:
    """Writes a line, with so many pixels of paper around it; what the font may lack is a question mark."""
    plain = printable(text, 200).encode("ascii", "replace").decode()
    place = (round(at[0]), round(at[1]))
    if halo:
        draw.text(place, plain, fill=PAPER, font=font(size), anchor=anchor, stroke_width=halo)
    draw.text(place, plain, fill=colour, font=font(size), anchor=anchor)
