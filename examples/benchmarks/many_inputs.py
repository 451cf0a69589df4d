"""How fast a folder of many tiny inputs is enlarged, and in how much memory.

Draws 8x8 pictures, enlarges them with `--preset bicubic --no-sheets` in processes of their own, and prints inputs per
second and the largest memory, for several numbers of inputs: memory must not grow with them. With `--other`, a checkout
of another version is timed in turn with this one, without its own sheets where it has the option.
"""

import dataclasses
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import tyro
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed.

    Attributes:
        counts: Numbers of inputs.
        other: Checkout of another version, timed with the least of them.
    """

    counts: tuple[int, ...] = (2_000, 20_000)
    other: pathlib.Path | None = None


def draw(folder: pathlib.Path, count: int) -> None:
    """Write so many pictures of noise."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number:05}.png")


def enlarge(checkout: pathlib.Path, inputs: pathlib.Path, output: pathlib.Path, more: list[str]) -> tuple[float, float]:
    """Return seconds and the child's largest memory in MB."""
    program = "import sys; from pulse_jax.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["upsample", str(inputs), "--output", str(output), "--preset", "bicubic", *more]
    began = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words], cwd=checkout, stdout=nowhere, stderr=nowhere, env=os.environ
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout}: exit code {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def main(options: Options) -> None:
    """Time all and print a line for each."""
    here = pathlib.Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        for count in options.counts:
            inputs = home / f"inputs_{count}"
            draw(inputs, count)
            seconds, memory = enlarge(here, inputs, home / f"here_{count}", ["--no-sheets"])
            print(f"{count} inputs: {count / seconds:.0f} a second, {memory:.0f} MB", flush=True)
            if options.other is not None and count == min(options.counts):
                theirs, memory = enlarge(options.other, inputs, home / f"other_{count}", [])
                ratio = theirs / seconds
                print(
                    f"  {options.other.name}: {count / theirs:.0f} a second, {memory:.0f} MB; {ratio:.1f} times slower"
                )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(tyro.cli(Options, description=__doc__))
