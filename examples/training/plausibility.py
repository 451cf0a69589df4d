"""Train the network that says how odd a picture is: to tell a generator's own samples from spoiled ones.

    nice python -m examples.training.plausibility --run runs/oddness --output pulse_jax/data/oddness.npz

It is shown own samples and, as often, pictures that were spoiled in one of nine ways (`spoiling.py`), and says in which
way a picture was spoiled, if it was, and where; only the first is kept. Killed, the same command goes on. A generator
whose plausibility was fitted with other weights is fitted again: `pulse-jax fit-prior GENERATOR --kind plausibility`.
"""

import dataclasses
import os
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from jaxtyping import Array

from examples.training.spoiling import SPOILED_LATENTS, SPOILED_PARTS, draw_pictures, spoil_parts
from pulse_jax.generators.generator import load_generator
from pulse_jax.generators.networks.oddness import FEATURES, PLACES, SIDE, map_of, outputs_of, weight_shapes

_SAVE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the state and the weights go, and how long to train.

    Attributes:
        run: Folder of the state.
        output: File of the weights, float16.
        minutes: Minutes of processor time of training, all processes together; the learning rate falls to zero until
            then.
        batch: Pictures of a step, half of them own.
        pool: Own samples that are drawn once, and a third of it of each kind of spoiled latent.
        learning_rate: Learning rate of the first step.
        generator: Generator folder; the embedded one by default.
        seed: What everything is drawn from.
    """

    run: pathlib.Path
    output: pathlib.Path
    minutes: float = 15.0
    batch: int = 64
    pool: int = 4096
    learning_rate: float = 2e-3
    generator: pathlib.Path | None = None
    seed: int = 0


def initial_weights(key: Array) -> dict[str, Array]:
    """Return random weights, He et al. 2015, and those that say at each place whether it is spoiled."""
    shapes = weight_shapes() | {"kernel_places": (FEATURES, 1), "bias_places": (1,)}
    weights = {}
    for number, (name, shape) in enumerate(shapes.items()):
        normal = jax.random.normal(jax.random.fold_in(key, number), shape)
        weights[name] = normal * (2.0 / shape[0]) ** 0.5 if len(shape) == 2 else jnp.zeros(shape)
    return weights


_adam = optax.scale_by_adam(b2=0.99)


@jax.jit
def _step(
    weights: Any, adam: Any, key: Array, own: Array, latents: Array, latent_kinds: Array, rate: Array
) -> tuple[Any, Any, Array]:
    """A step on own pictures, of which those beyond half of the batch are spoiled in parts, and on spoiled latents."""
    parts_key, kinds_key, mirror_key = jax.random.split(key, 3)
    count = len(own) // 2 + len(latents) // 2
    whole, rest = own[:count] / 255.0, own[count:] / 255.0
    parts = jax.random.randint(kinds_key, (len(rest),), 0, len(SPOILED_PARTS))
    spoiled, masks = spoil_parts(parts_key, rest, parts)
    pictures = jnp.concatenate([whole, jnp.round(255 * spoiled) / 255, latents / 255.0])
    kinds = jnp.concatenate([jnp.zeros(count, int), 1 + len(SPOILED_LATENTS) + parts, 1 + latent_kinds])
    # Where a picture is spoiled is known of own ones and of those spoiled in parts.
    near = masks.reshape(len(rest), PLACES, SIDE // PLACES, PLACES, SIDE // PLACES).mean(axis=(2, 4)) > 0.25
    places = jnp.concatenate([jnp.zeros((count, PLACES, PLACES), bool), near])
    mirrored = jax.random.bernoulli(mirror_key, 0.5, (len(pictures), 1, 1, 1))
    pictures = jnp.where(mirrored, pictures[:, :, ::-1], pictures)
    places = jnp.where(mirrored[: len(places), ..., 0], places[:, :, ::-1], places)

    def objective(weights: Any) -> Array:
        seen = map_of(weights, pictures)
        outputs = outputs_of(weights, seen)
        told = seen[: len(places)] @ weights["kernel_places"] + weights["bias_places"]
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, kinds).mean()
        return loss + 2 * optax.sigmoid_binary_cross_entropy(told[..., 0], places).mean()

    value, gradient = jax.value_and_grad(objective)(weights)
    updates, adam = _adam.update(gradient, adam)
    # Decoupled decay, which keeps float16 exact enough and the pool from being learnt by heart.
    updates = jax.tree.map(lambda u, w: -rate * (u + 1e-3 * w), updates, weights)
    return optax.apply_updates(weights, updates), adam, value


def _save(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(temporary, path)


def _state(weights: Any, adam: Any, step: int, seconds: float) -> dict[str, np.ndarray]:
    leaves = jax.tree.leaves((weights, adam))
    return {f"{number:03}": np.asarray(leaf) for number, leaf in enumerate(leaves)} | {
        "step": np.array(step),
        "seconds": np.array(seconds),
    }


def _pool(options: Options, kind: str, key: Array) -> np.ndarray:
    """Pictures of a kind, drawn once and kept in the run's folder."""
    file = options.run / f"{kind}.npz"
    if not file.exists():
        generator = load_generator(options.generator).prepared("cpu")
        count = options.pool if kind == "own" else options.pool // len(SPOILED_LATENTS)
        _save(file, {"pictures": draw_pictures(generator, key, count, kind)})
        print(f"{count} pictures: {kind}", flush=True)
    with np.load(file) as stored:
        return stored["pictures"]


def train(options: Options) -> dict[str, np.ndarray]:
    """Adam until `minutes` are over, the learning rate falling along half a cosine; return the weights."""
    options.run.mkdir(parents=True, exist_ok=True)
    saved = options.run / "state.npz"
    pool_key, weights_key, steps_key = jax.random.split(jax.random.key(options.seed), 3)
    own, *spoiled = (
        _pool(options, kind, jax.random.fold_in(pool_key, n)) for n, kind in enumerate(("own", *SPOILED_LATENTS))
    )
    latents = np.stack(spoiled)
    weights = initial_weights(weights_key)
    adam = _adam.init(weights)
    step, earlier = 0, 0.0
    if saved.exists():
        with np.load(saved) as stored:
            leaves, structure = jax.tree.flatten((weights, adam))
            weights, adam = structure.unflatten([jnp.asarray(stored[f"{i:03}"]) for i in range(len(leaves))])
            step, earlier = int(stored["step"]), float(stored["seconds"])
        print(f"going on at step {step}, after {earlier:.0f} s", flush=True)
    began = kept = time.process_time()
    losses = []
    while (passed := (earlier + time.process_time() - began) / (60 * options.minutes)) < 1:
        rng = np.random.default_rng((options.seed, step))
        few = options.batch // 6
        rows = rng.integers(len(own), size=options.batch - few)
        kinds = rng.integers(len(SPOILED_LATENTS), size=few)
        chosen = latents[kinds, rng.integers(latents.shape[1], size=few)]
        rate = options.learning_rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * passed))
        weights, adam, value = _step(
            weights, adam, jax.random.fold_in(steps_key, step), own[rows], chosen, kinds, jnp.float32(rate)
        )
        losses.append(float(value))
        step += 1
        if time.process_time() - kept > _SAVE_SECONDS:
            kept = time.process_time()
            _save(saved, _state(weights, adam, step, earlier + kept - began))
            _save(options.run / "weights.npz", {n: np.asarray(weights[n], np.float16) for n in weight_shapes()})
            print(f"step {step}, {earlier + kept - began:.0f} s: loss {np.mean(losses):.3f}", flush=True)
            losses.clear()
    _save(saved, _state(weights, adam, step, earlier + time.process_time() - began))
    return {name: np.asarray(weights[name], np.float16) for name in weight_shapes()}


def main(options: Options) -> None:
    """Train and write the weights."""
    weights = train(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    _save(options.output, weights)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
