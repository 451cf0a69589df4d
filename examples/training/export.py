"""Turn a training state into a generator folder with its fits: `python -m examples.training.export --run DIR`.

Writes the moving average of the weights in half precision, the mean of w and PULSE's whitening (a million samples),
and, for whoever trains on, a compact state without Adam's moments.
"""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import tyro

from examples.training import gan
from examples.training.checkpoint import load_state, save_compact
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.generator import Generator


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the training run is and where the results go; `samples` is for the fits of w."""

    run: pathlib.Path
    folder: pathlib.Path
    compact_state: pathlib.Path | None = None
    samples: int = 1_000_000


def read_config(run: pathlib.Path) -> gan.TrainConfig:
    """Return the settings that train.py kept beside the state."""
    fields = json.loads((run / "config.json").read_text())
    architecture = fields.pop("generator")
    architecture["channels"] = tuple(architecture["channels"])
    fields["discriminator_channels"] = tuple(fields["discriminator_channels"])
    return gan.TrainConfig(generator=StyleGAN2Config(**architecture), **fields)


def main(options: Options) -> None:
    """Export the newest state."""
    config = read_config(options.run)
    state = load_state(options.run / "state.npz", gan.init(config, 0))
    # The fits are those of the weights as loaded again: stored in half precision.
    weights = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), state.average)
    generator = Generator(config=config.generator, params=weights).fitted(samples=options.samples)
    z = jax.random.normal(jax.random.key(1), (100_000, config.generator.latent_dim))
    generator = dataclasses.replace(generator, w_avg=jnp.mean(jax.jit(generator.map)(z), axis=0))
    source = f"examples/training, {int(state.images)} pictures shown"
    generator.save(options.folder, dtype="float16", source=source, overwrite=True)
    if options.compact_state is not None:
        save_compact(options.compact_state, state)
    print(f"{options.folder}: {source}")


if __name__ == "__main__":
    main(tyro.cli(Options))
