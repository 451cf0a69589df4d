"""Paper, ink and font of everything that is drawn."""

from functools import lru_cache

from PIL import ImageFont

__all__ = ["FAINT", "INK", "PAPER", "SOFT", "font"]

PAPER = (250, 249, 246)
INK, SOFT, FAINT = (33, 35, 38), (104, 108, 114), (224, 222, 216)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels."""
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow gives its FreeType font whenever a size is named"
    # The basic layout is the same on every machine, whether or not the Raqm library is there.
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)
