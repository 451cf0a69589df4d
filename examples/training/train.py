"""Train the embedded generator on rendered heads: `python -m examples.training.train --data DIR --run DIR`.

Resumes from the run folder's newest state, reads new shards as the renderer writes them, and keeps a log, sample sheets
and the state, which is written whole or not at all.
"""

import dataclasses
import json
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from examples.training import gan
from examples.training.checkpoint import load_state, save_state
from examples.training.discriminator import Discriminator
from examples.training.shards import read_pictures, read_shard, shard_paths
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.images.files import save_png
from pulse_jax.reports.picture_grid import picture_grid


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the pictures are, where the run is kept, how long it lasts and how large the networks are.

    Attributes:
        data: Folder of shards written by render.py.
        run: Folder for state, log and sheets; an interrupted run in it goes on.
        images: Real pictures after which training ends.
        minutes: Minutes of this call after which it ends.
        heldout: Folder of held-out shards; the log then says how the discriminator scores pictures it never saw, which
            falls towards its score of generated ones if it learns the training pictures by heart: then render more,
            or let it see an `augment` share of all pictures shifted and tinted.
        start: Weights to start from when the run folder has none: a compact state (see export.py).
        batch: Pictures of a step.
        augment: Share of the pictures that the discriminator sees shifted and tinted.
        precision: Arithmetic of the convolutions.
        interval_per_call: Whether the 16 steps between two regularised ones run as one program, as suits a GPU.
        latent_dim: Width of z and w.
        mapping_layers: Layers of the mapping network.
        channels: Channels of the generator's blocks, 4×4 first.
        discriminator_channels: Channels of the discriminator's blocks, 4×4 first.
        sheet_every: Pictures between two sheets of samples.
        save_every: Pictures between two savings of the state.
    """

    data: pathlib.Path
    run: pathlib.Path
    images: int = 10_000_000
    minutes: float = 1e9
    heldout: pathlib.Path | None = None
    start: pathlib.Path | None = None
    seed: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    r1_gamma: float = 0.3
    path_weight: float = 2.0
    augment: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    interval_per_call: bool = False
    latent_dim: int = 256
    mapping_layers: int = 4
    channels: tuple[int, ...] = (128, 128, 64, 32, 16)
    discriminator_channels: tuple[int, ...] = (128, 128, 64, 32)
    sheet_every: int = 16_000
    save_every: int = 16_000


def read_shards(folder: pathlib.Path, known: dict[pathlib.Path, np.ndarray]) -> None:
    """Add the pictures of shards that have appeared since."""
    for path in shard_paths(folder):
        if path not in known:
            known[path] = read_shard(path)


def batches(options: Options) -> Iterator[np.ndarray]:
    """Random batches without end; the folder is looked at again after each pass of about 8,000 pictures."""
    rng = np.random.default_rng(time.time_ns())
    shards: dict[pathlib.Path, np.ndarray] = {}
    while True:
        read_shards(options.data, shards)
        pictures = np.concatenate(list(shards.values()))
        order = rng.permutation(len(pictures))[:8000]
        for i in range(0, len(order) - options.batch + 1, options.batch):
            yield pictures[np.sort(order[i : i + options.batch])]


def heldout_score(
    config: gan.TrainConfig, folder: pathlib.Path | None
) -> Callable[[gan.TrainState], dict[str, jax.Array]]:
    """Return a function of the state, the discriminator's mean score of 64 held-out pictures; nothing without one."""
    if folder is None:
        return lambda state: {}
    pictures = gan.to_signed(jnp.asarray(read_pictures(folder)[:64]))
    judge = Discriminator(config.discriminator_channels)
    score = jax.jit(lambda params: jnp.mean(judge.apply({"params": params}, pictures)[0]))  # pyright: ignore
    return lambda state: {"on_heldout": score(state.discriminator)}


def main(options: Options) -> None:
    """Train until `images`, `minutes` or an interrupt; the state is saved at the end as well."""
    data = batches(options)
    first = next(data)
    architecture = StyleGAN2Config(
        resolution=first.shape[1],
        latent_dim=options.latent_dim,
        mapping_layers=options.mapping_layers,
        channels=options.channels,
    )
    config = gan.TrainConfig(
        architecture,
        options.discriminator_channels,
        batch=options.batch,
        learning_rate=options.learning_rate,
        r1_gamma=options.r1_gamma,
        path_weight=options.path_weight,
        augment=options.augment,
        precision=options.precision,
    )
    options.run.mkdir(parents=True, exist_ok=True)
    state_path = options.run / "state.npz"
    state = gan.init(config, options.seed)
    if state_path.exists():
        state = load_state(state_path, state)
    elif options.start is not None:
        state = load_state(options.start, state)
    (options.run / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1))
    # Nothing is donated: after an interrupt within a step, the state before it is saved.
    steps = {flag: jax.jit(lambda s, x, f=flag: gan.step(config, f, s, x)) for flag in (False, True)}
    whole = jax.jit(lambda s, x: gan.interval(config, s, x))
    sheet = jax.jit(lambda params: gan.generate(architecture, params, jax.random.key(1), 96))
    unseen = heldout_score(config, options.heldout)
    per_call = config.lazy_interval if options.interval_per_call else 1
    log_every = 6 * config.lazy_interval
    began = last = time.monotonic()
    start_images = images = int(state.images)
    count = 0
    try:
        while images < options.images and time.monotonic() - began < 60 * options.minutes:
            if options.interval_per_call:
                state, metrics = whole(state, np.stack([next(data) for _ in range(per_call)]))
            else:
                state, metrics = steps[count % config.lazy_interval == 0](state, next(data))
            count += per_call
            shown = per_call * config.batch
            images += shown
            if count % log_every == 0:
                now = time.monotonic()
                line = {
                    "images": images,
                    "seconds": round(now - began, 1),
                    "rate": round(log_every * config.batch / (now - last), 1),
                }
                line |= {name: round(float(value), 4) for name, value in (metrics | unseen(state)).items()}
                last = now
                with (options.run / "log.jsonl").open("a") as log:
                    log.write(json.dumps(line) + "\n")
            if images // options.sheet_every != (images - shown) // options.sheet_every:
                pictures = np.nan_to_num(0.5 * np.asarray(sheet(state.average)) + 0.5)
                grid = picture_grid(pictures, columns=12, side=architecture.resolution)
                save_png(options.run / f"sheet_{images // 1000:05d}k.png", grid)
            if images // options.save_every != (images - shown) // options.save_every:
                save_state(state_path, state)
    finally:
        save_state(state_path, state)
        print(f"{images - start_images} pictures in {time.monotonic() - began:.0f} s; {images} in all; {state_path}")


if __name__ == "__main__":
    # A run in the background is told to stop by SIGTERM; it then saves its state as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main(tyro.cli(Options))
