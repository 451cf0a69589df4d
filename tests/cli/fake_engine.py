"""A generator and an engine that cost nothing, for tests of commands."""

import collections
import json
import signal

import jax.numpy as jnp
import numpy as np
from PIL import Image

from pulse_jax.cli import main
from pulse_jax.engine.progress import Progress
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search.problems import Solution, Status

RESOLUTION, DIM, LAYERS, NOISE = 16, 4, 3, ((4, 4, 1), (8, 8, 1))


ROWS = LAYERS  # of a searched latent, in the default preset's space
ADDITIONS = ["--solutions", 2, "--max-restarts", 5, "--diverse", "--noise-samples", 3, "--save-intermediate"]


def paint(params, w, noise):
    return jnp.broadcast_to(0.5 + 0.1 * w[0, :3], (RESOLUTION, RESOLUTION, 3)) + 0.01 * noise[0].sum()


def levels(*seed):
    return (np.random.default_rng(seed).integers(0, 256, (RESOLUTION, RESOLUTION, 3)) / 255).astype(np.float32)


class FakeEngine:
    """Random pictures, black for restart 0, which fails; remembers its calls, and stops after `interrupt_after`."""

    def __init__(self):
        self.calls = []
        self.interrupt_after = None
        self.signal_at = None
        self.most_lanes = 1000
        self.error = KeyboardInterrupt()
        self.pictures = {}

    def solve_stream(self, problems, *others, **settings):
        return self.solve(list(problems), *others, **settings)

    def solve(
        self, problems, generator, *, config, lanes, strict, other_device, checkpoint_dir, on_chunk, on_compiling
    ):
        self.lanes, self.generator = lanes, generator
        if lanes > self.most_lanes:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        self.calls.append(problems)
        found = collections.Counter()
        tasks = [(p, k) for k in range(10) for p in problems if k < p.restarts and k not in p.ended]
        for done, (problem, restart) in enumerate(tasks, 1):
            if self.interrupt_after is not None and done > self.interrupt_after:
                raise self.error
            low_res, index = problem.low_res, problem.index
            if found[index] == problem.solutions:
                continue
            image = levels(problem.seed, index, restart, len(low_res)) * np.float32(restart > 0)
            small = Bicubic(RESOLUTION // len(low_res)).apply_float64(image)
            error = float(np.mean(np.square(small - low_res.astype(np.float64))))
            found[index] += error <= config.eps
            self.pictures[index, restart] = image
            yield Solution(
                index=index,
                restart=restart,
                image=image,
                downscaled=small.astype(np.float32),
                loss=float("nan") if restart == 0 else 1.0 / restart,
                downscaling_error=error,
                search_error=0.25,
                feasible=error <= config.eps,
                status=Status.NONFINITE if restart == 0 else Status.FEASIBLE,
                steps=10 + restart,
                latent=np.full((ROWS, DIM), restart, np.float32),
                w=np.full((LAYERS, DIM), 2 * restart, np.float32),
                noise=tuple(np.full(shape, index, np.float32) for shape in NOISE),
                key=np.array([index, restart], np.uint32),
            )
            if done == self.signal_at:
                signal.raise_signal(signal.SIGINT)
            on_chunk(Progress(done, done // 2, 10 * done, 10 * done, 1.0 + done, 1.0, 0.25))


def draw(path, side=4, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "BMP" if path.suffix == ".bmp" else "PNG")
    return pixels


def run(*words):
    return main([str(word) for word in words])


def summary_of(out):
    text = (out / "summary.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    return json.loads(text)


def listing(path):
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())


def shown(path):
    """What lies in a folder and is not hidden."""
    return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
