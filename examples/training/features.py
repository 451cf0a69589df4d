"""A small network that reads the renders' attributes off pictures, and whose features measure how alike pictures are.

    python -m examples.training.features --train heads/train --heldout heads/heldout --output features.npz

Generators of another domain than photographs are not judged by Inception's features: those of the layer before the
outputs of a network trained on the domain itself take their place. Printed per attribute: accuracy or R² on held-out
renders beside the trivial baseline (the most frequent value, the mean).
"""

import dataclasses
import functools
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from jaxtyping import Array, Float, UInt8

from examples.training import targets
from examples.training.shards import read_attributes, read_pictures
from examples.training.targets import Target
from pulse_jax.generators.folder import flatten
from pulse_jax.generators.networks.layers import conv, leaky_relu
from pulse_jax.reports.tables import print_table

_BATCH = 64  # pictures per call of the trained network; another number may change last bits
_he_normal = nn.initializers.he_normal()


@dataclasses.dataclass(frozen=True)
class Options:
    """Folders of shards written by render.py, the file to write, and how long to train.

    Attributes:
        train: Folder of shards to train on.
        heldout: Folder of shards to test on.
        output: File to write.
        minutes: Minutes after which training ends; the learning rate falls to zero until then.
        steps: Steps after which training ends, if that comes first.
        batch: Pictures of a step.
        learning_rate: Learning rate of the first step.
        features: Number of features.
        mirror: Whether half of the pictures are mirrored; the signs of angles to the side follow (targets.py).
    """

    train: pathlib.Path
    heldout: pathlib.Path
    output: pathlib.Path
    minutes: float = 5.0
    steps: int = 12_000
    batch: int = 64
    learning_rate: float = 1e-3
    features: int = 128
    mirror: bool = True
    seed: int = 0


class AttributeNetwork(nn.Module):
    """Pictures (n, r, r, 3) in [0, 1], r a multiple of 16 → features (n, features) and outputs (n, outputs).

    The picture is folded 2×2 into channels, then halved by 2×2 means after each 3×3 convolution down to about 4×4.
    """

    outputs: int
    features: int = 128

    @nn.compact
    def __call__(self, pictures: Float[Array, "n r r 3"]) -> tuple[Float[Array, "n f"], Float[Array, "n o"]]:
        n, side = pictures.shape[0], pictures.shape[1] // 2
        x = (2 * pictures - 1).reshape(n, side, 2, side, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n, side, side, 12)
        x = self._convolve(x, "fold")
        while side > 4 and side % 2 == 0:
            side //= 2
            x = x.reshape(n, side, 2, side, 2, x.shape[-1]).mean(axis=(2, 4))
            x = self._convolve(x, f"b{side}")
        features = leaky_relu(nn.Dense(self.features, kernel_init=_he_normal, name="features")(x.reshape(n, -1)))
        return features, nn.Dense(self.outputs, name="outputs")(features)

    def _convolve(self, x: Float[Array, "n h w c"], name: str) -> Float[Array, "n h w o"]:
        """3×3, bias, leaky ReLU; a layer's width times its side is constant, so that all cost about the same."""
        width = min(128, 1024 // x.shape[1])
        kernel = self.param(f"{name}_kernel", _he_normal, (3, 3, x.shape[-1], width))
        bias = self.param(f"{name}_bias", nn.initializers.zeros, (width,))
        return leaky_relu(conv(x, kernel, ((1, 1), (1, 1))) + bias)


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A trained network and all that is needed to use it again.

    Features are shifted and scaled so that those of the training renders have mean 0 and total variance 1: a Fréchet
    distance of 1 is that of a single picture, repeated, to the renders.

    Attributes:
        resolution: Side of the pictures.
        targets: Attributes in the order of the outputs.
        features: Number of features.
        params: The network's arrays.
        mean: Mean (features,) of the training renders' raw features.
        scale: Root of their total variance.
    """

    resolution: int
    targets: tuple[Target, ...]
    features: int
    params: Any
    mean: np.ndarray
    scale: float

    def __call__(self, pictures: UInt8[np.ndarray, "n r r 3"]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Features float32 (n, features) and predicted attributes of 8-bit pictures, a batch at a time.

        Raises:
            ValueError: The pictures have another size or are not 8-bit.
        """
        expected = (self.resolution, self.resolution, 3)
        if pictures.shape[1:] != expected or pictures.dtype != np.uint8:
            raise ValueError(f"pictures: expected uint8 (n, *{expected}), got {pictures.dtype} {pictures.shape}")
        module = AttributeNetwork(targets.output_size(self.targets), self.features)
        raw, outputs = _apply_streamed(module, self.params, pictures)
        return (raw - self.mean) / np.float32(self.scale), targets.decode(self.targets, outputs)


def to_floats(pictures: UInt8[Array, "n r r 3"]) -> Float[Array, "n r r 3"]:
    """8-bit pictures → [0, 1]."""
    return pictures.astype(jnp.float32) / 255


@functools.partial(jax.jit, static_argnums=0)
def _apply(module: AttributeNetwork, params: Any, pictures: Array) -> Any:
    return module.apply({"params": params}, to_floats(pictures))


def _apply_streamed(module: AttributeNetwork, params: Any, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = np.empty((len(pictures), module.features), np.float32)
    outputs = np.empty((len(pictures), module.outputs), np.float32)
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        padded = np.concatenate([batch, np.zeros((_BATCH - len(batch), *batch.shape[1:]), np.uint8)])
        raw, out = _apply(module, params, padded)
        features[start : start + _BATCH], outputs[start : start + _BATCH] = raw[: len(batch)], out[: len(batch)]
    return features, outputs


_adam = optax.scale_by_adam(b2=0.99)


@functools.partial(jax.jit, static_argnames=("module", "wanted", "mirror"), donate_argnames=("params", "adam"))
def _step(
    module: AttributeNetwork,
    wanted: tuple[Target, ...],
    mirror: bool,
    params: Any,
    adam: Any,
    key: Array,
    pictures: Array,
    encoded: Mapping[str, Array],
    learning_rate: Array,
) -> tuple[Any, Any, Array]:
    images = to_floats(pictures)
    if mirror:
        flip = jax.random.bernoulli(key, 0.5, (len(images),))
        images = jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)
        encoded = targets.mirror(wanted, encoded, flip)

    def objective(params: Any) -> Array:
        outputs: Any = module.apply({"params": params}, images)
        return targets.loss(wanted, outputs[1], encoded)

    value, gradient = jax.value_and_grad(objective)(params)
    updates, adam = _adam.update(gradient, adam)
    updates = jax.tree.map(lambda u: -learning_rate * u, updates)
    return optax.apply_updates(params, updates), adam, value


def _batches(count: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of random batches without end; a pass takes every picture once."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(count)
        yield from order[: count // batch * batch].reshape(-1, batch)


def train(
    pictures: UInt8[np.ndarray, "n r r 3"],
    attributes: Mapping[str, np.ndarray],
    *,
    minutes: float = 5.0,
    steps: int = 12_000,
    batch: int = 64,
    learning_rate: float = 1e-3,
    features: int = 128,
    mirror: bool = True,
    seed: int = 0,
) -> FeatureNetwork:
    """Adam until `steps` or `minutes`, the learning rate falling along half a cosine of the share that has passed.

    Raises:
        ValueError: The side is no multiple of 16, there are fewer pictures than a batch, or no attribute varies.
    """
    side = pictures.shape[1]
    if pictures.ndim != 4 or side % 16 or pictures.shape[2] != side or len(pictures) < batch:
        raise ValueError(f"pictures: expected {batch} or more squares, sides multiples of 16, got {pictures.shape}")
    wanted = targets.targets_of(attributes)
    if not wanted:
        raise ValueError("attributes: expected some that vary")
    encoded = targets.encode(wanted, attributes)
    module = AttributeNetwork(targets.output_size(wanted), features)
    key = jax.random.key(seed)
    params: Any = jax.jit(module.init)(key, jnp.zeros((1, side, side, 3)))["params"]
    adam = _adam.init(params)
    began, reported = time.monotonic(), 0.0
    for step, rows in enumerate(_batches(len(pictures), batch, seed)):
        seconds = time.monotonic() - began
        passed = max(step / steps, seconds / (60 * minutes))
        if passed >= 1:
            break
        rate = learning_rate * 0.5 * (1 + np.cos(np.pi * passed))
        few = {name: values[rows] for name, values in encoded.items()}
        params, adam, value = _step(
            module, wanted, mirror, params, adam, jax.random.fold_in(key, step), pictures[rows], few, jnp.float32(rate)
        )
        jax.block_until_ready(value)  # no running ahead: the clock decides when to stop
        if passed >= reported + 0.1:
            reported = passed
            passes = step * batch / len(pictures)
            print(f"step {step}, {seconds:.0f} s, {passes:.1f} passes: loss {value:.3f}", flush=True)
    raw, _ = _apply_streamed(module, params, pictures)
    mean = raw.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(raw.var(axis=0, dtype=np.float64).sum()))
    params = jax.tree.map(np.asarray, params)
    return FeatureNetwork(side, wanted, features, params, mean.astype(np.float32), scale)


def save(path: pathlib.Path, network: FeatureNetwork) -> None:
    """Write the network as one `.npz`, whole or not at all."""
    description = {
        "resolution": network.resolution,
        "features": network.features,
        "scale": network.scale,
        "targets": [dataclasses.asdict(target) for target in network.targets],
    }
    arrays = {f"params/{name}": np.asarray(leaf) for name, leaf in flatten(network.params).items()}
    arrays |= {"mean": network.mean, "description": np.array(json.dumps(description))}
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: pathlib.Path) -> FeatureNetwork:
    """Read what `save` wrote.

    Raises:
        ValueError: An array is missing or has another shape than the description says.
    """
    with np.load(path) as stored:
        arrays = dict(stored)
    if "description" not in arrays:
        raise ValueError(f"{path}: expected a file written by features.py")
    fields = json.loads(str(arrays["description"]))
    wanted = tuple(Target(**row | {"mean": tuple(row["mean"]), "std": tuple(row["std"])}) for row in fields["targets"])
    side, features = fields["resolution"], fields["features"]
    module = AttributeNetwork(targets.output_size(wanted), features)
    picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), picture)["params"]

    def restore(path_in_tree: Any, leaf: Any) -> np.ndarray:
        name = "params/" + jax.tree_util.keystr(path_in_tree, simple=True, separator="/")
        found = arrays.get(name)
        if found is None or found.shape != leaf.shape:
            got = "none" if found is None else found.shape
            raise ValueError(f"{path}: {name}: expected shape {leaf.shape}, got {got}")
        return found

    params = jax.tree_util.tree_map_with_path(restore, shapes)
    return FeatureNetwork(side, wanted, features, params, arrays["mean"], fields["scale"])


def main(options: Options) -> None:
    """Train, write the file and print how well each attribute is read off held-out renders."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    network = train(
        read_pictures(options.train),
        read_attributes(options.train),
        minutes=options.minutes,
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        features=options.features,
        mirror=options.mirror,
        seed=options.seed,
    )
    save(options.output, network)
    _, predicted = network(read_pictures(options.heldout))
    scores = targets.scores(network.targets, predicted, read_attributes(options.heldout))
    measures = {"regression": "R²"}
    rows = [
        (target.name, measures.get(target.kind, "accuracy"), *(f"{value:.3f}" for value in scores[target.name]))
        for target in network.targets
    ]
    print_table("Attributes read off held-out renders", ("attribute", "measure", "score", "trivial"), rows)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
