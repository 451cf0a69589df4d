"""Who is in the picture: the attributes of a synthetic person, drawn from a key alone.

Distributions, chosen on purpose: sexes equal; skin tones flat over the Monk scale at every age and sex; ages 18 to 85
(median about 42); heads turned by up to 35° (standard deviation 14°); glasses on 12 % of the young and 26 % of the old;
hats or headscarves on 4 %; beards or stubble on 58 % of the men; earrings on 45 % of the women and 6 % of the men, a
necklace on 20 % and 6 %, unless clothes cover ears or neck; the rest as among adults in portraits. The lens opens to
60 mm times the square of a uniform draw: half of the pictures are taken with less than 15 mm.
"""

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
HANGING_STYLES = tuple(HAIR_STYLES.index(style) for style in ("afro01", "bob01", "bob02", "long01"))
GROWN_STYLES = ("cropped", "crew", "curls", "swept")
CROPPED, CREW, CURLS, SWEPT = range(len(HAIR_STYLES), len(HAIR_STYLES) + len(GROWN_STYLES))
BALD = SWEPT + 1
STYLE_NAMES = (*HAIR_STYLES, *GROWN_STYLES, "bald")

BEARD_CUTS = ("shaven", "stubble", "full", "long", "goatee", "moustache", "strap")
SHAVEN, STUBBLE, FULL, LONG, GOATEE, MOUSTACHE, STRAP = range(len(BEARD_CUTS))
HATS = ("none", "knitted cap", "headscarf")
NO_HAT, CAP, HEADSCARF = range(len(HATS))
CLOTHES = ("round neck", "v-neck", "shirt", "rollneck", "scarf")
ROUND_NECK, V_NECK, SHIRT, ROLLNECK, SCARF = range(len(CLOTHES))
EARRINGS = ("none", "gold studs", "silver studs", "pearl studs", "gold hoops", "silver hoops")
NO_EARRINGS, HOOPS = 0, 4  # from HOOPS on they are hoops, before studs
NECKLACES = ("none", "gold chain", "silver chain", "pearls")
NO_NECKLACE, _, _, PEARLS = range(len(NECKLACES))
SCENES = ("studio", "wall", "room", "foliage", "sky", "evening")
STUDIO, WALL, ROOM, FOLIAGE, SKY, EVENING = range(len(SCENES))

BROWS = 12
LASHES = 4
EYE_COLOURS = ("blue", "bluegreen", "brownlight", "deepblue", "green", "grey", "ice", "lightblue", "brown")
TONES = 10
YOUNGEST, OLDEST = 18.0, 85.0

# the shapes that do not frown, and how often women and men have them
_BROW_SHAPES = (0, 3, 5, 6, 8, 9, 10, 11)
_BROWS_WORN = ((0.2, 0.1, 0.15, 0.05, 0.0, 0.2, 0.2, 0.1), (0.25, 0.15, 0.0, 0.0, 0.15, 0.15, 0.1, 0.2))
_BROWN, _LIGHT_BROWN = EYE_COLOURS.index("brown"), EYE_COLOURS.index("brownlight")
# how often each style is worn, by sex: afro, bobs, braid, long, ponytail, short 1 to 4, grown styles, bald
_WORN = (
    (0.06, 0.015, 0.06, 0.10, 0.34, 0.17, 0.06, 0.07, 0.00, 0.04, 0.01, 0.01, 0.04, 0.01, 0.005),
    (0.03, 0.00, 0.00, 0.00, 0.01, 0.00, 0.16, 0.14, 0.00, 0.14, 0.12, 0.16, 0.06, 0.12, 0.07),
)
_BEARDS = (0.42, 0.24, 0.14, 0.04, 0.08, 0.05, 0.03)
_HATS_WORN = ((0.95, 0.01, 0.03), (0.95, 0.04, 0.0))
_CLOTHES_WORN = (0.42, 0.16, 0.26, 0.1, 0.06)
_EARRINGS_WORN = ((0.55, 0.1, 0.09, 0.09, 0.1, 0.07), (0.94, 0.015, 0.025, 0.0, 0.005, 0.015))
_NECKLACES_WORN = ((0.8, 0.09, 0.08, 0.03), (0.94, 0.03, 0.03, 0.0))
_SCENES_SEEN = (0.24, 0.2, 0.2, 0.18, 0.1, 0.08)


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
    gaze: jax.Array
    """Turn (2,) of the eyes away from the camera, sideways and downward, in radians."""
    hair_style: jax.Array
    """Index into STYLE_NAMES."""
    hair: jax.Array
    """Linear RGB (3,) of the hair."""
    grey: jax.Array
    """Share of grey in the hair."""
    hair_length: jax.Array
    """Length of what hangs below the ears, over that of the style as it was modelled."""
    hair_volume: jax.Array
    """Breadth of the hair over that of the style as it was modelled."""
    mirrored: jax.Array
    """Whether the parting is on the other side."""
    recession: jax.Array
    """How far the hairline has gone back and the crown thinned, from 0 to 1."""
    beard_cut: jax.Array
    """Index into BEARD_CUTS."""
    beard: jax.Array
    """Opacity of the beard, 0 for none."""
    glasses: jax.Array
    """Whether glasses are worn."""
    hat: jax.Array
    """Index into HATS."""
    makeup: jax.Array
    """Strength of lipstick, eye shadow and rouge, from 0 to 1."""
    freckles: jax.Array
    """Strength of freckles, from 0 to 1."""
    eye_colour: jax.Array
    """Index into EYE_COLOURS."""
    brow_style: jax.Array
    """Index of the eyebrows' shape."""
    lash_style: jax.Array
    """Index of the eyelashes' shape."""
    clothes: jax.Array
    """Index into CLOTHES."""
    scene: jax.Array
    """Index into SCENES: what is behind the person."""
    light: jax.Array
    """Direction (2,) of the key light: azimuth to the head's left and elevation, in radians."""
    warmth: jax.Array
    """Colour of the key light, from about -0.2 (cold) to 0.2 (warm)."""
    earrings: jax.Array
    """Index into EARRINGS."""
    necklace: jax.Array
    """Index into NECKLACES."""
    aperture: jax.Array
    """Diameter of the lens's opening, in decimetres."""


def sample_person(key: jax.Array) -> Person:
    """Draw one person; see the module's text for the distributions."""
    draws = Draws(key, 80)
    uniform, normal = draws.uniform, draws.normal
    male = draws.chance(0.5).astype(jnp.float32)
    age = uniform() ** 1.5
    tone = uniform(0.0, TONES - 1.0)
    ancestry = _ancestry(draws, tone)
    european = ancestry[2] * (tone < 4)
    grey = jax.nn.sigmoid(11 * (age - 0.66) + 1.3 * normal())
    brown = (ancestry[2] < 0.5) | (tone > 3.5) | draws.chance(0.4)
    smile = jnp.clip(0.46 + 0.3 * normal(), 0, 0.95)
    cut = jnp.where(male > 0.5, draws.among(_BEARDS), SHAVEN)
    opacity = jnp.array([0.0, 0.16, 0.75, 0.9, 0.75, 0.75, 0.7])[cut] * uniform(0.7, 1.1)
    hat = draws.among(_by_sex(_HATS_WORN, male))
    person = Person(
        male=male,
        masculinity=jnp.clip(male + (1 - 2 * male) * jnp.abs(0.12 * normal()), 0, 1),
        age=age,
        tone=tone,
        ancestry=ancestry,
        weight=jnp.clip(0.47 + 0.2 * normal(), 0, 1),
        smile=smile,
        parted=jnp.clip((smile - 0.35) * uniform(-0.3, 1.8), 0, 0.8),
        brows=jnp.clip(0.4 + 0.22 * normal(), 0, 1),
        squint=jnp.clip(0.08 + 0.1 * normal(), 0, 0.3),
        yaw=jnp.clip(0.25 * normal(), -0.61, 0.61),
        pitch=jnp.clip(0.03 + 0.09 * normal(), -0.22, 0.25),
        roll=jnp.clip(0.04 * normal(), -0.1, 0.1),
        gaze=jnp.clip(0.08 * draws.normals(2), -0.25, 0.25),
        hair_style=_hair_style(draws, male, age, tone),
        hair=hair_colour(draws, european, grey),
        grey=grey,
        hair_length=uniform(0.22, 1.0),
        hair_volume=jnp.exp(jnp.clip(0.05 * normal(), -0.08, 0.12)),
        mirrored=draws.chance(0.5),
        recession=jnp.clip(male * (age * uniform(-0.4, 1.5) + 0.25 * uniform()), 0, 1),
        beard_cut=cut,
        beard=jnp.clip(opacity, 0, 0.97),
        glasses=draws.chance(0.12 + 0.14 * age),
        hat=hat,
        makeup=(1 - male) * draws.chance(0.75) * uniform() ** 1.3,
        freckles=draws.chance(0.25 * jax.nn.sigmoid(3 * (3.5 - tone))) * uniform(0.3, 1.0),
        eye_colour=jnp.where(
            brown, jnp.where(draws.chance(0.8), _BROWN, _LIGHT_BROWN), draws.among([1.0] * len(EYE_COLOURS))
        ),
        brow_style=jnp.array(_BROW_SHAPES)[draws.among(_by_sex(_BROWS_WORN, male))],
        lash_style=draws.among([1.0] * LASHES),
        clothes=draws.among(_CLOTHES_WORN),
        scene=draws.among(_SCENES_SEEN),
        light=jnp.stack([jnp.clip(0.6 * normal(), -1.2, 1.2), uniform(0.15, 0.85)]),
        warmth=jnp.clip(0.02 + 0.08 * normal(), -0.2, 0.2),
        earrings=draws.among(_by_sex(_EARRINGS_WORN, male)),
        necklace=draws.among(_by_sex(_NECKLACES_WORN, male)),
        aperture=0.6 * uniform() ** 2,
    )
    hidden = hat == HEADSCARF
    covered = hidden | (person.clothes == ROLLNECK) | (person.clothes == SCARF)
    return person._replace(
        earrings=jnp.where(hidden, NO_EARRINGS, person.earrings),
        necklace=jnp.where(covered, NO_NECKLACE, person.necklace),
    )


def describe(person: Person) -> dict[str, jax.Array]:
    """Return the attributes to keep with a picture, in plain units: years, degrees, millimetres, Monk tone 1 to 10."""
    degrees = 180 / jnp.pi
    return {
        "sex": person.male.astype(jnp.int32),
        "age": YOUNGEST + (OLDEST - YOUNGEST) * person.age,
        "tone": 1 + person.tone,
        "ancestry": person.ancestry,
        "weight": person.weight,
        "hair_style": person.hair_style,
        "bald": person.hair_style == BALD,
        "grey": person.grey,
        "recession": person.recession,
        "beard_cut": person.beard_cut,
        "beard": person.beard,
        "glasses": person.glasses,
        "hat": person.hat,
        "earrings": person.earrings,
        "necklace": person.necklace,
        "makeup": person.makeup,
        "freckles": person.freckles,
        "eye_colour": person.eye_colour,
        "smile": person.smile,
        "parted": person.parted,
        "clothes": person.clothes,
        "scene": person.scene,
        "yaw": person.yaw * degrees,
        "pitch": person.pitch * degrees,
        "roll": person.roll * degrees,
        "gaze": person.gaze * degrees,
        "light": person.light * degrees,
        "warmth": person.warmth,
        "aperture": 100 * person.aperture,
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
    worn = worn.at[CURLS].multiply(0.5 + 1.5 * dark)
    worn = worn.at[SWEPT].multiply(1.3 - dark)
    worn = worn.at[BALD].multiply(0.5 + 1.8 * age)
    return draws.among(worn)


def _by_sex(table: tuple[tuple[float, ...], ...], male: jax.Array) -> jax.Array:
    return jnp.where(male > 0.5, jnp.array(table[1]), jnp.array(table[0]))
