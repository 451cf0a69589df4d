"""Natural colours: skin, hair, clothes, spectacle frames and jewellery, as linear RGB."""

import jax
import jax.numpy as jnp
import numpy as np

from .draws import Draws


def linear(*rgb: tuple[int, int, int]) -> np.ndarray:
    """Linear RGB (n, 3) of 8-bit sRGB colours."""
    return (np.array(rgb, np.float32) / 255) ** 2.2


# skin under a neutral light, lightest to darkest
SKIN = linear(
    (243, 206, 184),
    (237, 192, 165),
    (226, 175, 145),
    (211, 156, 122),
    (189, 137, 105),
    (163, 115, 87),
    (136, 94, 70),
    (110, 76, 58),
    (88, 60, 47),
    (71, 50, 41),
)
_HAIR_DARK = linear((34, 28, 25), (44, 33, 27), (58, 42, 32), (28, 25, 25))
_HAIR_LIGHT = linear((54, 40, 31), (82, 58, 41), (112, 80, 55), (158, 120, 80), (196, 162, 112), (128, 68, 42))
_HAIR_GREY = linear((158, 155, 152), (128, 125, 122), (182, 179, 175))
_CLOTHES = linear(
    (38, 44, 62),
    (62, 66, 72),
    (226, 224, 219),
    (30, 30, 33),
    (86, 92, 74),
    (104, 50, 54),
    (188, 176, 156),
    (88, 110, 138),
    (102, 82, 66),
    (58, 80, 72),
    (152, 158, 166),
    (176, 142, 138),
)
_FRAMES = linear((24, 22, 22), (70, 46, 32), (128, 120, 112), (112, 86, 58), (40, 44, 54))
GOLD, SILVER, PEARL = linear((204, 164, 88), (186, 186, 190), (232, 224, 212))
# what is behind the person, by the order of SCENES: studio, wall, room, foliage, sky, evening
SCENE_COLOURS = np.stack(
    [
        linear((206, 202, 196), (168, 172, 176), (120, 126, 132), (92, 86, 80), (66, 66, 72), (226, 226, 228)),
        linear((222, 214, 200), (188, 172, 152), (176, 184, 178), (142, 122, 104), (158, 104, 84), (150, 172, 194)),
        linear((214, 206, 190), (128, 98, 72), (72, 62, 56), (232, 236, 240), (160, 148, 132), (86, 100, 116)),
        linear((92, 106, 76), (62, 76, 56), (122, 132, 92), (150, 158, 122), (46, 54, 44), (176, 184, 168)),
        linear((168, 196, 222), (206, 218, 228), (128, 164, 204), (120, 132, 104), (222, 204, 182), (96, 108, 112)),
        linear((40, 38, 46), (28, 30, 40), (196, 148, 84), (60, 52, 56), (208, 182, 140), (84, 96, 132)),
    ]
)


def skin_colour(tone: jax.Array) -> jax.Array:
    """Skin at a continuous tone from 0 to 9, interpolated."""
    low = jnp.clip(tone.astype(jnp.int32), 0, len(SKIN) - 2)
    part = tone - low
    table = jnp.asarray(SKIN)
    return table[low] * (1 - part) + table[low + 1] * part


def hair_colour(draws: Draws, european: jax.Array, grey: jax.Array) -> jax.Array:
    """Hair of a natural colour: dark for most, fair or red for some Europeans, greyed by the share `grey`."""
    fair, dark = draws.pick(jnp.asarray(_HAIR_LIGHT)), draws.pick(jnp.asarray(_HAIR_DARK))
    colour = jnp.where(draws.chance(0.75 * european), fair, dark)
    return _vary(draws, colour, 0.15) * (1 - grey) + draws.pick(jnp.asarray(_HAIR_GREY)) * grey


def cloth_colour(draws: Draws) -> jax.Array:
    """Return a muted colour of clothing."""
    return _vary(draws, draws.pick(jnp.asarray(_CLOTHES)), 0.18)


def frame_colour(draws: Draws) -> jax.Array:
    """Return the colour of a spectacle frame: black, brown or metal."""
    return draws.pick(jnp.asarray(_FRAMES))


def _vary(draws: Draws, colour: jax.Array, spread: float) -> jax.Array:
    """Varies lightness by `spread` and hue by a quarter of it, in logarithms."""
    shift = spread * draws.normal() + spread / 4 * draws.normals(3)
    return jnp.clip(colour * jnp.exp(shift), 0.002, 0.9)
