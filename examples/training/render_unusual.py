"""Renders people as the training set never shows them.

    python -m examples.training.render_unusual --pack PACK --output examples/heldout/unusual

Six pictures of each kind, in all else drawn as held-out ones are: hair in colours that nobody is born with, heads
turned or tilted further than any in the data, light from below, and strongly coloured light. Inputs from outside of
what a generator learned, which a search should not be expected to solve; `compare_presets.py` shows what it makes of
them.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from examples.training.heads import STYLE_NAMES, Assets, Person, load_pack, render, sample_person
from examples.training.heads.attributes import NO_HAT
from examples.training.heads.colours import linear
from examples.training.render import picture_ids, samples_for
from pulse_jax.images.files import save_png

# Far beyond the held-out pictures that anything else uses.
_FIRST = 1_000_000
_HAIR = linear((40, 90, 225), (225, 60, 150), (40, 175, 80), (135, 60, 205), (235, 40, 30), (20, 190, 205))
_HAIRY = ("long01", "bob02", "short01", "short04", "curls", "ponytail01")


def _coloured_hair(person: Person, i: int) -> Person:
    style = jnp.int32(STYLE_NAMES.index(_HAIRY[i]))
    zero = jnp.zeros(())
    hat = jnp.int32(NO_HAT)
    return person._replace(hair=jnp.asarray(_HAIR[i]), grey=zero, recession=zero, hat=hat, hair_style=style)


def _turned(person: Person, i: int) -> Person:
    return person._replace(yaw=_to_a_side(i, 0.85))


def _tilted(person: Person, i: int) -> Person:
    return person._replace(roll=_to_a_side(i, 0.45))


def _lit_from_below(person: Person, i: int) -> Person:
    return person._replace(light=jnp.stack([_to_a_side(i, 0.4), jnp.float32(-0.75)]))


def _coloured_light(person: Person, i: int) -> Person:
    return person._replace(warmth=_to_a_side(i, 0.7))


def _to_a_side(i: int, much: float) -> jax.Array:
    """To one side and the other in turn."""
    return jnp.float32(much if i % 2 else -much)


# What is changed, and in which pictures. Of heads that turn so far the renderer twists short necks: these are others.
KINDS: dict[str, tuple[Callable[[Person, int], Person], tuple[int, ...]]] = {
    "coloured hair": (_coloured_hair, (0, 1, 2, 3, 4, 5)),
    "turned": (_turned, (31, 33, 34, 40, 41, 43)),
    "tilted": (_tilted, (35, 36, 37, 39, 42, 44)),
    "lit from below": (_lit_from_below, (18, 19, 20, 21, 22, 23)),
    "coloured light": (_coloured_light, (24, 25, 26, 27, 28, 29)),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The pack of heads (see build_pack.py), and where the pictures and `attributes.json` go."""

    pack: pathlib.Path
    output: pathlib.Path
    size: int = 64
    supersample: int = 3


@functools.partial(jax.jit, static_argnames=("size", "supersample"))
def _draw(assets: Assets, key: jax.Array, person: Person, *, size: int, supersample: int) -> jax.Array:
    picture, _ = render(key, assets, size, supersample, person)
    return picture


def main(options: Options) -> None:
    """Render and write."""
    assets = load_pack(options.pack, samples=samples_for(options.size * options.supersample))
    options.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for kind, (change, places) in KINDS.items():
        for i, place in enumerate(places):
            (number,) = picture_ids("heldout", _FIRST + place, 1)
            key = jax.random.key(number)
            # The same key as inside `render`: in all else they are who they would be.
            person = change(sample_person(jax.random.split(key, 9)[0]), i)
            picture = _draw(assets, key, person, size=options.size, supersample=options.supersample)
            name = f"{kind.replace(' ', '_')}_{i + 1}.png"
            save_png(options.output / name, np.asarray(picture))
            lines.append(json.dumps({"file": name, "id": int(number), "kind": kind}))
    (options.output / "attributes.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
