"""How many pictures of 1024×1024 a second a machine takes from a device that is never the slower one.

`python -m examples.benchmarks.writing_rate` runs `pulse-jax upsample` with a stand-in for the device, which makes 100
pictures a second and waits where nobody takes them: they are the embedded generator's faces, enlarged, with a texture
laid over them, so that they compress like photographs. All else is what a run does: inputs are read, pictures judged in
float64 and written. Printed for each format: pictures a second, the seconds that the device was idle, seconds of
processor time a picture and the cores that would keep up with it, megabytes a picture, and the memory of the first and
the last third of the run.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import resource
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tyro
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        rate: Pictures that the stand-in makes a second.
        count: Pictures of each run.
        side: Side of the pictures.
        lanes: Pictures that it may have finished before the first of them is taken.
        formats: For each run the format and more options, with commas between them, such as `png,compress-level=6`.
    """

    rate: float = 100.0
    count: int = 300
    side: int = 1024
    lanes: int = 8
    formats: tuple[str, ...] = (
        "png",
        "png,no-noise",
        "png,no-noise,compress-level=0",
        "png,no-noise,compress-level=6",
        "webp,no-noise",
    )


class StandIn:
    """A device with some lanes, as the run's engine knows it: it goes on once what it has finished is taken."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.idle = 0.0
        self.pictures = faces(options.side)

    def solve_stream(self, problems: Iterable[Any], generator: Any, *, config: Any, on_chunk: Any, **_: Any) -> Any:
        """Yield what the real one would: judged solutions, each a second's part after the last."""
        from pulse_jax.engine.progress import Progress
        from pulse_jax.search.judge import judge

        result = self.result(generator, config)
        taken: deque[float] = deque(maxlen=self.options.lanes)
        began = ready = time.monotonic()
        for number, problem in enumerate(problems, 1):
            free = taken[0] if len(taken) == self.options.lanes else ready
            self.idle += max(0.0, free - ready)
            ready = max(ready, free) + 1 / self.options.rate
            time.sleep(max(0.0, ready - time.monotonic()))
            picture = self.pictures[number % len(self.pictures)]
            yield judge(problem, 0, result._replace(picture=picture), config, np.zeros(2, np.uint32))
            taken.append(time.monotonic())
            on_chunk(Progress(number, number, number, number, taken[-1] - began, 0.0, self.idle))

    def result(self, generator: Any, config: Any) -> Any:
        """All of a result but its picture; arrays of its size, one of each."""
        from pulse_jax.search.curve import SLOTS
        from pulse_jax.search.judge import Result
        from pulse_jax.search.space import latent_shape

        rng = np.random.default_rng(0)
        noise = tuple(rng.standard_normal(shape).astype(np.float32) for shape in generator.noise_shapes)
        latent = np.zeros(latent_shape(generator, config), np.float32)
        w = np.zeros((generator.num_layers, generator.latent_dim), np.float32)
        numbers: dict[str, Any] = {
            name: 1 for name in ("loss", "search_error", "steps", "evaluations", "feasible_at", "status")
        }
        arrays: dict[str, Any] = {"picture": self.pictures[0], "latent": latent, "w": w, "offsets": {}, "noise": noise}
        arrays["curve"] = np.zeros(SLOTS, np.float32)
        return Result(**arrays, **numbers)


def faces(side: int) -> list[np.ndarray]:
    """Pictures (side, side, 3) uint8 that compress like photographs."""
    from pulse_jax.generators.generator import load_generator
    from pulse_jax.images.rounding import to_uint8
    from pulse_jax.search.interpolation import enlarge
    from pulse_jax.system.keys import random_key

    rng, pictures = np.random.default_rng(0), []
    for face in np.clip(np.asarray(load_generator().sample(random_key(3), 8)), 0, 1):
        fine = 0.012 * rng.standard_normal((side, side, 1))
        coarse = np.kron(0.01 * rng.standard_normal((side // 4, side // 4, 1)), np.ones((4, 4, 1)))
        pictures.append(to_uint8(np.clip(enlarge(face.astype(np.float32), side, "bicubic") + fine + coarse, 0, 1)))
    return pictures


def memory(stop: threading.Event, seen: list[float]) -> None:
    """Note the megabytes that this process holds, five times a second."""
    page = os.sysconf("SC_PAGE_SIZE")
    while not stop.wait(0.2):
        seen.append(int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * page / 1e6)


def run(options: Options, home: pathlib.Path, name: str) -> str:
    """Run once, in this process, and tell."""
    from pulse_jax.cli import main as command
    from pulse_jax.engine import stream

    device = StandIn(options)
    stream.solve_stream = device.solve_stream
    stop, seen = threading.Event(), []
    thread = threading.Thread(target=memory, args=(stop, seen))
    kind, *more = name.split(",")
    words = ["--format", kind, *(word for option in more for word in f"--{option}".split("="))]
    output = home / name
    line = ["upsample", str(home / "inputs"), "--generator", str(home / "generator"), "--output", str(output)]
    line += ["--restarts", "1", "--no-sheets", "--quiet", "--eps", "1"]
    before, began = os.times(), time.monotonic()
    thread.start()
    code = command([*line, *words])
    seconds, after = time.monotonic() - began, os.times()
    stop.set()
    thread.join()
    if code:
        raise SystemExit(f"{name}: exit code {code}")
    used = (after.user + after.system - before.user - before.system) / options.count
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / options.count / 1e6
    third = max(1, len(seen) // 3)
    return (
        f"{name}: {options.count / seconds:.1f} pictures/s, the device idle {device.idle:.1f} of "
        f"{seconds:.1f} s; {1000 * used:.0f} ms of processor a picture, {options.rate * used:.1f} cores for "
        f"{options.rate:g}/s; {size:.2f} MB a picture; memory {max(seen[:third]):.0f}, then {max(seen[-third:]):.0f} MB"
    )


def prepare(options: Options, home: pathlib.Path) -> None:
    """Write inputs, and a generator whose noise inputs have the sizes of StyleGAN2's."""
    from pulse_jax.generators.architectures import StyleGAN2Config
    from pulse_jax.generators.random_weights import random_generator

    (home / "inputs").mkdir()
    rng = np.random.default_rng(1)
    for number in range(options.count):
        pixels = rng.integers(0, 256, (options.side // 32, options.side // 32, 3), np.uint8)
        Image.fromarray(pixels).save(home / "inputs" / f"{number:05}.png")
    blocks = options.side.bit_length() - 2
    random_generator(StyleGAN2Config(resolution=options.side, channels=(2,) * blocks)).save(home / "generator")


def alone(function: Any, *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def lines(options: Options) -> Iterator[str]:
    """Yield what each run came to."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        alone(prepare, options, home)
        for name in options.formats:
            yield alone(run, options, home, name)


def main(options: Options) -> None:
    """Measure all and print a line for each."""
    for line in lines(options):
        print(line, flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(tyro.cli(Options, description=__doc__))
