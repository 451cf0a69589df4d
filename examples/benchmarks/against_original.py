"""One search step beside the original program's, for the same network and losses, on the CPU or a GPU.

`python -m examples.benchmarks.against_original CHECKOUT` needs torch and a checkout of
github.com/adamian98/pulse, whose modules it imports. Both sides search a StyleGAN1 of random weights as the
`pulse_2020` preset does. They run in processes of their own, in turn; the ratio is that of the medians.
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
from typing import Annotated, Literal, NamedTuple

import numpy as np
import tyro

TRAINED_NOISE = 5


class Network(NamedTuple):
    """Sizes of a StyleGAN1 and of its inputs; channels are `base` / 2^level, `most` at most."""

    resolution: int
    latent: int
    base: int
    most: int
    low: int

    @property
    def layers(self) -> int:
        """Rows of w."""
        return 2 * self.resolution.bit_length() - 4

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each block, from 4×4."""
        return tuple(min(self.base >> level, self.most) for level in range(1, self.resolution.bit_length() - 1))


NETWORKS = {
    "small": Network(64, 64, 256, 32, 16),
    "wide": Network(64, 512, 16384, 512, 16),
    "full": Network(1024, 512, 8192, 512, 32),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed.

    Attributes:
        checkout: Folder of the original.
        network: 64×64 with 32 channels and fewer, 64×64 with 512 channels, or the original's own 1024×1024.
        batches: Images that are searched at once.
        steps: Steps of a search.
        rounds: How often each side is timed.
        sides: Who is timed.
        device: Where the original computes; pulse_jax does where JAX does.
    """

    checkout: Annotated[pathlib.Path, tyro.conf.Positional]
    network: Literal["small", "wide", "full"] = "small"
    batches: tuple[int, ...] = (1, 8)
    steps: int = 100
    rounds: int = 5
    sides: tuple[Literal["original", "pulse_jax"], ...] = ("original", "pulse_jax")
    device: Literal["cpu", "cuda"] = "cpu"


def original(checkout: pathlib.Path, device: str, sizes: Network, batch: int, steps: int) -> float:
    """Time a step of the original's loop: its generator, losses and spherical Adam, sized down from 1024."""
    sys.path.insert(0, str(checkout))
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    # the numbers of the one network that its loss was written for, and its kernel's place
    source = (checkout / "loss.py").read_text().replace("1024", str(sizes.resolution))
    source = (
        source.replace("18", str(sizes.layers))
        .replace("512)", f"{sizes.latent})")
        .replace("(factor=factor)", f"(factor, {device == 'cuda'})")
    )
    loss_module = types.ModuleType("loss")
    exec(compile(source, "loss.py", "exec"), loss_module.__dict__)
    from SphericalOptimizer import SphericalOptimizer  # pyright: ignore[reportMissingImports]
    from stylegan import G_synthesis  # pyright: ignore[reportMissingImports]

    network = G_synthesis(
        dlatent_size=sizes.latent, resolution=sizes.resolution, fmap_base=sizes.base, fmap_max=sizes.most
    )
    network.requires_grad_(False).to(device)
    torch.set_default_device(device)
    latent = torch.randn(batch, sizes.layers, sizes.latent, requires_grad=True)
    noise = [torch.randn(batch, 1, 2 ** (i // 2 + 2), 2 ** (i // 2 + 2)) for i in range(sizes.layers)]
    trained = [image.requires_grad_() for image in noise[:TRAINED_NOISE]]
    optimizer = SphericalOptimizer(torch.optim.Adam, [latent, *trained], lr=0.4)
    losses = loss_module.LossBuilder(torch.rand(batch, 3, sizes.low, sizes.low), "100*L2+0.05*GEOCROSS", 2e-3)
    whiten, std, mean = torch.nn.LeakyReLU(0.2), torch.ones(sizes.latent), torch.zeros(sizes.latent)
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

    for _ in range(min(5, steps)):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()  # which compares losses, and so waits for the device
    return (time.perf_counter() - began) / steps


def ours(sizes: Network, batch: int, steps: int) -> float:
    """Time a step of `solve_stream`, compiled before, start and end of the searches included."""
    import jax
    import jax.numpy as jnp

    from pulse_jax.engine.stream import solve_stream
    from pulse_jax.generators.architectures import StyleGAN1Config
    from pulse_jax.generators.generator import Generator
    from pulse_jax.generators.networks import stylegan1
    from pulse_jax.generators.priors.gaussian import GaussianFit
    from pulse_jax.search import presets
    from pulse_jax.search.problems import as_problems

    config = StyleGAN1Config(resolution=sizes.resolution, latent_dim=sizes.latent, channels=sizes.channels)
    w = jnp.zeros((1, sizes.layers, sizes.latent))
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    params = jax.jit(stylegan1.Synthesis(config).init)(jax.random.key(0), w, noise)["params"]
    fit = GaussianFit(jnp.zeros(sizes.latent), jnp.ones(sizes.latent))
    generator = Generator(config=config, params={"mapping": {}, "synthesis": params}, gaussian_fit=fit)
    search = presets.pulse_2020(steps=steps, zeroed_noise_layers=())
    low_res = np.random.default_rng(0).uniform(size=(batch, sizes.low, sizes.low, 3)).astype(np.float32)
    seconds = 0.0
    for _ in range(2):  # the first run compiles
        began = time.perf_counter()
        list(solve_stream(as_problems(low_res), generator, lanes=batch, config=search))
        seconds = (time.perf_counter() - began) / steps
    return seconds


def main(options: Options) -> None:
    """Time the sides in turn, print medians, and of both the ratio."""
    if not (options.checkout / "SphericalOptimizer.py").is_file():
        raise SystemExit(f"{options.checkout}: expected a checkout of the original program (no SphericalOptimizer.py)")
    known = {"original": functools.partial(original, options.checkout, options.device), "pulse_jax": ours}
    sides = {name: known[name] for name in options.sides}
    sizes = NETWORKS[options.network]
    for batch in options.batches:
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, side in sides.items():
                # a new process each: neither library's idle threads disturb the other
                context = multiprocessing.get_context("spawn")
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    times[name].append(pool.submit(side, sizes, batch, options.steps).result())
        medians = {name: statistics.median(values) for name, values in times.items()}
        each = ", ".join(
            f"{name} {1000 * seconds:.1f} ms a step, {batch / seconds:.3g} image-steps/s"
            for name, seconds in medians.items()
        )
        ratio = f"; ratio {medians['pulse_jax'] / medians['original']:.2f}" if len(medians) == len(known) else ""
        print(f"{options.network}, batch {batch}: {each}{ratio}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
