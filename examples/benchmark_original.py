"""One search step beside the original program's, on the CPU, for the same network and losses.

`python examples/benchmark_original.py CHECKOUT` needs torch and a checkout of github.com/adamian98/pulse, whose modules
it imports. Both sides search a StyleGAN1 of random weights (64×64, w of 64, 32 channels and fewer above 16×16; inputs
of 16×16) as the `pulse_2020` preset does. They run in processes of their own, in turn; the ratio is that of the
medians.
"""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import statistics
import sys
import time
import types
from typing import Annotated

import numpy as np
import tyro

RESOLUTION, LATENT, LOW = 64, 64, 16
LAYERS, TRAINED_NOISE = 10, 5


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the original is, batch sizes, steps per round, and rounds of each side."""

    checkout: Annotated[pathlib.Path, tyro.conf.Positional]
    batches: tuple[int, ...] = (1, 8)
    steps: int = 100
    rounds: int = 5


def original(checkout: pathlib.Path, batch: int, steps: int) -> float:
    """Seconds per step of the original's loop: its generator, losses and spherical Adam, sized down from 1024."""
    sys.path.insert(0, str(checkout))
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    # the numbers of the one network that its loss was written for, and its kernel's place on a GPU
    source = (checkout / "loss.py").read_text().replace("1024", str(RESOLUTION))
    source = (
        source.replace("18", str(LAYERS)).replace("512)", f"{LATENT})").replace("(factor=factor)", "(factor, False)")
    )
    loss_module = types.ModuleType("loss")
    exec(compile(source, "loss.py", "exec"), loss_module.__dict__)
    from SphericalOptimizer import SphericalOptimizer  # pyright: ignore[reportMissingImports]
    from stylegan import G_synthesis  # pyright: ignore[reportMissingImports]

    network = G_synthesis(dlatent_size=LATENT, resolution=RESOLUTION, fmap_base=256, fmap_max=32)
    network.requires_grad_(False)
    latent = torch.randn(batch, LAYERS, LATENT, requires_grad=True)
    noise = [torch.randn(batch, 1, 2 ** (i // 2 + 2), 2 ** (i // 2 + 2)) for i in range(LAYERS)]
    trained = [image.requires_grad_() for image in noise[:TRAINED_NOISE]]
    optimizer = SphericalOptimizer(torch.optim.Adam, [latent, *trained], lr=0.4)
    losses = loss_module.LossBuilder(torch.rand(batch, 3, LOW, LOW), "100*L2+0.05*GEOCROSS", 2e-3)
    whiten, std, mean = torch.nn.LeakyReLU(0.2), torch.ones(LATENT), torch.zeros(LATENT)
    best = np.inf

    def step() -> None:
        nonlocal best
        optimizer.opt.zero_grad()
        w = whiten(latent * std + mean)
        image = (network(w, noise) + 1) / 2
        loss, _ = losses(w, image)
        if loss < best:
            best = loss
            image.clone()
        loss.backward()
        optimizer.step()

    for _ in range(5):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def ours(batch: int, steps: int) -> float:
    """Seconds per step of `solve`, compiled before, start and end of the searches included."""
    import jax
    import jax.numpy as jnp

    from pulse_jax import presets, stylegan1
    from pulse_jax.config import StyleGAN1Config
    from pulse_jax.engine import solve
    from pulse_jax.generator import Generator
    from pulse_jax.latents import GaussianFit

    config = StyleGAN1Config(resolution=RESOLUTION, latent_dim=LATENT, channels=(32, 32, 32, 16, 8))
    w = jnp.zeros((1, LAYERS, LATENT))
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    params = jax.jit(stylegan1.Synthesis(config).init)(jax.random.key(0), w, noise)["params"]
    fit = GaussianFit(jnp.zeros(LATENT), jnp.ones(LATENT))
    generator = Generator(config=config, params={"mapping": {}, "synthesis": params}, gaussian_fit=fit)
    search = presets.pulse_2020(steps=steps, zeroed_noise_layers=())
    low_res = np.random.default_rng(0).uniform(size=(batch, LOW, LOW, 3)).astype(np.float32)
    seconds = 0.0
    for _ in range(2):  # the first run compiles
        began = time.perf_counter()
        list(solve(generator, low_res, lanes=batch, config=search))
        seconds = (time.perf_counter() - began) / steps
    return seconds


def main(options: Options) -> None:
    """Time both in turn, print medians and the ratio."""
    if not (options.checkout / "SphericalOptimizer.py").is_file():
        raise SystemExit(f"{options.checkout}: expected a checkout of the original program (no SphericalOptimizer.py)")
    sides = {"original": functools.partial(original, options.checkout), "pulse_jax": ours}
    for batch in options.batches:
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, side in sides.items():
                # a new process each: neither library's idle threads disturb the other
                context = multiprocessing.get_context("spawn")
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    times[name].append(pool.submit(side, batch, options.steps).result())
        medians = {name: statistics.median(values) for name, values in times.items()}
        each = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in medians.items())
        print(f"batch {batch}: {each} a step; ratio {medians['pulse_jax'] / medians['original']:.2f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
