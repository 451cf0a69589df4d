"""What surfaces are made of: skin, hair, eyes, teeth, cloth, frames, jewellery."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .attributes import CAP, ROLLNECK, SCARF, SHIRT, Person
from .colours import GOLD, PEARL, SILVER, cloth_colour, frame_colour
from .draws import Draws
from .functions import smoothstep, value_noise
from .pack import BODY, BROW, EYES, GLASSES, HAIR, JEWELLERY, LASH, TEETH, Textures
from .regions import hat_cover, necklace_cover, neckline, thin_ear
from .skin import paint_skin
from .texels import look_up

# by the order of EARRINGS and of NECKLACES; the first is of none
_EARRINGS_OF = np.stack([GOLD, GOLD, SILVER, PEARL, GOLD, SILVER])
_NECKLACE_OF = np.stack([GOLD, GOLD, SILVER, PEARL])


class Surface(NamedTuple):
    """A pixel's material, (S, S, c)."""

    albedo: jax.Array
    skin: jax.Array
    """1 on skin, 0 elsewhere."""
    strands: jax.Array
    """1 where hair grows or hangs, 0 elsewhere: highlights run across the strands."""
    gloss: jax.Array
    sharpness: jax.Array
    wrap: jax.Array
    """How far light reaches round the edge of the lit side, by colour."""
    ear: jax.Array
    """How thin the ear's skin is: up to 1 on the left ear, down to -1 on the right one, 0 elsewhere."""


class Point(NamedTuple):
    """Where a pixel lies on its part, (S, S, ...)."""

    kind: jax.Array
    neutral: jax.Array
    uv: jax.Array
    shade: jax.Array
    facing: jax.Array
    """(S, S, 3) normal of the surface before the head was turned."""


def paint(key: jax.Array, textures: Textures, person: Person, point: Point) -> Surface:
    """Colour every pixel of the head."""
    draws = Draws(key, 80)
    cloth, dressed = _clothes(draws, person, point.neutral)
    skin, lips, grown = paint_skin(draws, textures, person, point.neutral, point.uv)
    tip = 1 + draws.uniform(-0.15, 0.5) * smoothstep(7.8, 6.3, point.neutral[..., 1])
    hair = person.hair * (0.25 + 0.75 * jnp.clip(point.shade, 0, 1.9))[..., None] * tip[..., None]
    brow = jnp.minimum(person.hair, 0.2) * 0.5 + skin * 0.2
    teeth = (0.25 + 0.6 * look_up(textures.teeth, point.uv)) * jnp.array([1.0, 0.97, 0.9])

    def on(*kinds: int) -> jax.Array:
        return jnp.any(jnp.stack([point.kind == kind for kind in kinds]), 0)[..., None]

    is_cloth = dressed & on(BODY)
    chain = necklace_cover(person, point.neutral)[..., None] * (on(BODY) & ~is_cloth)
    is_skin = on(BODY) & ~is_cloth & (chain < 0.5)
    skin = skin + chain * (_metal(_NECKLACE_OF, person.necklace) - skin)
    strands = jnp.where(is_skin, smoothstep(0.3, 0.9, grown[..., None]), on(HAIR).astype(jnp.float32))
    bare = is_skin * (1 - strands)
    albedo = jnp.select(
        [is_cloth, on(BODY), on(HAIR), on(EYES), on(BROW), on(TEETH), on(LASH), on(JEWELLERY)],
        [
            cloth,
            skin,
            hair,
            _eyes(textures, person, point),
            brow,
            teeth,
            0.02 + (0.1 + 0.4 * person.male) * skin,
            jnp.broadcast_to(_metal(_EARRINGS_OF, person.earrings), skin.shape),
        ],
        jnp.broadcast_to(frame_colour(draws), skin.shape),
    )
    wrap = jnp.where(is_skin, jnp.array([0.34, 0.24, 0.19]), jnp.where(on(HAIR, EYES), 0.35, 0.1))
    oily = draws.uniform(0.04, 0.1)
    moist = lips[..., None] * (0.08 + 0.3 * person.makeup)
    return Surface(
        albedo=albedo,
        skin=bare,
        strands=strands,
        gloss=jnp.select(
            [is_skin, on(EYES), on(TEETH), on(GLASSES), on(JEWELLERY) | (chain >= 0.5)],
            [(oily + moist) * bare, 2.2, 0.15, 0.4, 0.8],
            0.01,
        ),
        sharpness=jnp.select([is_skin, on(EYES), on(TEETH)], [16.0 + 40 * lips[..., None], 90.0, 30.0], 20.0),
        wrap=wrap,
        ear=bare * (thin_ear(point.neutral) * jnp.sign(point.neutral[..., 0]))[..., None],
    )


def _metal(table: np.ndarray, worn: jax.Array) -> jax.Array:
    """Linear RGB (3,) of what is worn."""
    return jnp.asarray(table)[worn]


def _eyes(textures: Textures, person: Person, point: Point) -> jax.Array:
    """Iris and white, under the shadow of the upper lid."""
    eye = look_up(textures.eyes, point.uv, person.eye_colour)
    grey = eye.mean(-1, keepdims=True)
    eye = jnp.minimum(1.05 * (grey + 0.65 * (eye - grey)), 0.62) * jnp.array([0.97, 1.0, 1.0])
    return eye * (1 - 0.6 * smoothstep(0.05, 0.45, point.facing[..., 1]))[..., None]


def _clothes(draws: Draws, person: Person, neutral: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Colour of clothes and hats, and where they are."""
    x, y, z = neutral[..., 0], neutral[..., 1], neutral[..., 2]
    above = neckline(person, neutral, draws.uniform(5.98, 6.14), draws.uniform(0.05, 0.3))
    collar = smoothstep(-0.16, -0.12, above) * jnp.where(person.clothes == SHIRT, 1.0, 0.8 * draws.chance(0.3))
    fine = 1 + 0.25 * (value_noise(neutral, 14.0) - 0.5)
    ribs = 1 + 0.22 * jnp.sin(70 * jnp.arctan2(x, z - 0.2))
    knitted = jnp.where((person.clothes == ROLLNECK) | (person.clothes == SCARF), ribs, fine)
    first, second = cloth_colour(draws), cloth_colour(draws)
    worn = (first * (1 - collar[..., None]) + second * collar[..., None]) * knitted[..., None]
    hat = (
        cloth_colour(draws)
        * jnp.where(person.hat == CAP, ribs * (1 - 0.3 * (jnp.abs(y - 7.98) < 0.02)), fine)[..., None]
    )
    covered = hat_cover(person, neutral) > 0.5
    return jnp.where(covered[..., None], hat, worn), (covered | (above < 0))[..., None]
