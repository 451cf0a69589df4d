"""Who is in the picture: the attributes of a synthetic person, drawn from a key alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .colours import hair_colour
from .draws import Draws

HAIR_STYLES = (
    "afro01",
    "bob01",
    "bob02",
    "braid01",
    "long01",
    "ponytail01",
    "short01",
    "short02",
    "short03",
    "short04",
)
CROPPED = len(HAIR_STYLES)
BALD = CROPPED + 1
STYLE_NAMES = (*HAIR_STYLES, "cropped", "bald")

BROWS = 12
LASHES = 4
EYE_COLOURS = ("blue", "bluegreen", "brownlight", "deepblue", "green", "grey", "ice", "lightblue", "brown")
TONES = 10

# the shapes that do not frown, and how often women and men have them
_BROW_SHAPES = (0, 3, 5, 6, 8, 9, 10, 11)
_BROWS_WORN = ((0.2, 0.1, 0.15, 0.05, 0.0, 0.2, 0.2, 0.1), (0.25, 0.15, 0.0, 0.0, 0.15, 0.15, 0.1, 0.2))
_BROWN, _LIGHT_BROWN = EYE_COLOURS.index("brown"), EYE_COLOURS.index("brownlight")
# how often each style is worn, by sex: afro, bobs, braid, long, ponytail, short 1 to 4, cropped, bald
_WORN = (
    (0.06, 0.00, 0.03, 0.14, 0.32, 0.20, 0.08, 0.10, 0.00, 0.05, 0.01, 0.005),
    (0.04, 0.00, 0.00, 0.00, 0.01, 0.00, 0.24, 0.20, 0.00, 0.22, 0.20, 0.09),
)


class Person(NamedTuple):
    """The attributes of one person; every field is an array, so that a batch of people is a Person too."""

    male: jax.Array
    """1 for a man, 0 for a woman."""
    masculinity: jax.Array
    """Where the shape of the face lies between a woman's (0) and a man's (1)."""
    age: jax.Array
    """0 for a young adult to 1 for an old one."""
    tone: jax.Array
    """Skin tone, from 0 (lightest) to 9 (darkest): a continuous Monk scale less one."""
    ancestry: jax.Array
    """Shares (3,) of the African, Asian and European head shapes."""
    weight: jax.Array
    """0 for a thin person to 1 for a heavy one."""
    smile: jax.Array
    """0 for none to 1 for a broad smile."""
    parted: jax.Array
    """How far the lips part, from 0 to 1."""
    brows: jax.Array
    """Brows raised (positive) or lowered (negative)."""
    squint: jax.Array
    """How far the lids close, from 0 to 1."""
    yaw: jax.Array
    """Turn of the head to its left, in radians."""
    pitch: jax.Array
    """Nod of the head downward, in radians."""
    roll: jax.Array
    """Tilt of the head, in radians."""
    hair_style: jax.Array
    """Index into STYLE_NAMES."""
    hair: jax.Array
    """Linear RGB (3,) of the hair."""
    beard: jax.Array
    """Opacity of the beard, 0 for none: stubble below 0.4, a short beard above."""
    goatee: jax.Array
    """Whether the beard is kept to the chin and the upper lip."""
    glasses: jax.Array
    """Whether glasses are worn."""
    eye_colour: jax.Array
    """Index into EYE_COLOURS."""
    brow_style: jax.Array
    """Index of the eyebrows' shape."""
    lash_style: jax.Array
    """Index of the eyelashes' shape."""
    light: jax.Array
    """Direction (2,) of the key light: azimuth to the head's left and elevation, in radians."""


def sample_person(key: jax.Array) -> Person:
    """Draws one person: both sexes equally often, skin tones flat over the scale, the rest as among adults."""
    draws = Draws(key, 64)
    uniform, normal = draws.uniform, draws.normal
    male = draws.chance(0.5).astype(jnp.float32)
    age = uniform() ** 1.9
    tone = uniform(0.0, TONES - 1.0)
    ancestry = _ancestry(draws, tone)
    european = ancestry[2]
    grey = jax.nn.sigmoid(14 * (age - 0.66) + 1.5 * normal())
    brown = (european < 0.5) | (tone > 3.5) | draws.chance(0.4)
    smile = jnp.clip(0.5 + 0.32 * normal(), 0, 1)
    bearded, strength = uniform(), uniform()
    beard = jnp.select([bearded < 0.22, bearded < 0.5], [0.5 + 0.35 * strength, 0.1 + 0.25 * strength], 0.0) * male
    return Person(
        male=male,
        masculinity=jnp.clip(male + (1 - 2 * male) * jnp.abs(0.12 * normal()), 0, 1),
        age=age,
        tone=tone,
        ancestry=ancestry,
        weight=jnp.clip(0.47 + 0.2 * normal(), 0, 1),
        smile=smile,
        parted=jnp.clip((smile - 0.3) * uniform(-0.4, 2.0), 0, 1),
        brows=jnp.clip(0.4 + 0.22 * normal(), 0, 1),
        squint=jnp.clip(0.08 + 0.1 * normal(), 0, 0.3),
        yaw=jnp.clip(0.25 * normal(), -0.61, 0.61),
        pitch=jnp.clip(0.03 + 0.09 * normal(), -0.22, 0.25),
        roll=jnp.clip(0.04 * normal(), -0.1, 0.1),
        hair_style=_hair_style(draws, male, age, tone),
        hair=hair_colour(draws, european * (tone < 4), grey),
        beard=beard,
        goatee=draws.chance(0.25) & (beard > 0.4),
        glasses=draws.chance(0.12 + 0.14 * age),
        eye_colour=jnp.where(
            brown, jnp.where(draws.chance(0.8), _BROWN, _LIGHT_BROWN), draws.among([1.0] * len(EYE_COLOURS))
        ),
        brow_style=jnp.array(_BROW_SHAPES)[draws.among(_by_sex(_BROWS_WORN, male))],
        lash_style=draws.among([1.0] * LASHES),
        light=jnp.stack([jnp.clip(0.55 * normal(), -1.1, 1.1), uniform(0.15, 0.8)]),
    )


def describe(person: Person) -> dict[str, jax.Array]:
    """The attributes worth keeping beside a picture, in plain units: years, degrees, Monk tone 1 to 10."""
    degrees = 180 / jnp.pi
    return {
        "sex": person.male.astype(jnp.int32),
        "age": 20 + 60 * person.age,
        "tone": 1 + person.tone,
        "ancestry": person.ancestry,
        "hair_style": person.hair_style,
        "bald": person.hair_style == BALD,
        "beard": person.beard,
        "glasses": person.glasses,
        "smile": person.smile,
        "yaw": person.yaw * degrees,
        "pitch": person.pitch * degrees,
        "light": person.light * degrees,
    }


def _ancestry(draws: Draws, tone: jax.Array) -> jax.Array:
    """Head shapes that go with a skin tone, mixed; every mixture stays possible at every tone."""
    dark = jax.nn.sigmoid((tone - 4.5) * 1.2)
    asian = 0.45 * (1 - dark) * jax.nn.sigmoid(6.0 - tone)
    likely = 0.06 + jnp.stack([0.9 * dark, asian, 0.55 * (1 - dark)])
    return jax.nn.softmax(jnp.log(likely) + 1.8 * draws.normals(3))


def _hair_style(draws: Draws, male: jax.Array, age: jax.Array, tone: jax.Array) -> jax.Array:
    dark = jax.nn.sigmoid((tone - 5.0) * 1.2)
    worn = _by_sex(_WORN, male)
    worn = worn.at[0].multiply(0.3 + 2.2 * dark)
    worn = worn.at[CROPPED].multiply(0.6 + 1.2 * dark)
    worn = worn.at[BALD].multiply(0.6 + 1.6 * age)
    return draws.among(worn)


def _by_sex(table: tuple[tuple[float, ...], ...], male: jax.Array) -> jax.Array:
    return jnp.where(male > 0.5, jnp.array(table[1]), jnp.array(table[0]))
