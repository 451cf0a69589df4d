"""One small picture in, four large ones out, each with the proof that it downscales to the input."""

import importlib.resources
from pathlib import Path

import tyro

import pulse_jax
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.metrics import downscaling_error

INPUT = Path(str(importlib.resources.files("pulse_jax"))) / "data" / "demo" / "head_8.png"
EPS = 1e-3  # the largest error that counts as feasible


def main(output: Path = Path("quickstart-output")) -> None:
    """Search for pictures that downscale to the input.

    Args:
        output: Folder for the pictures.
    """
    output.mkdir(parents=True, exist_ok=True)
    low_res = read_image(INPUT).pixels  # (8, 8, 3), floats in [0, 1]
    generator = pulse_jax.load_generator()  # the one that comes with the package, 64×64
    solutions = pulse_jax.upsample(generator, low_res, restarts=4, config=pulse_jax.presets.fast(eps=EPS))
    for number, image in enumerate(solutions.images[0], 1):  # of the first and only input, best first
        path = output / f"one_picture_{number}.png"
        save_png(path, image)
        # The proof needs nothing but the two files: read, downscale, compare.
        error = float(downscaling_error(read_image(path).pixels, low_res))
        print(f"{path}: error {error:.1e}, {'feasible' if error <= EPS else 'not feasible'}")
    print(f"Look at them beside the input, {INPUT}: different people, the same 8×8 pixels.")


if __name__ == "__main__":
    tyro.cli(main)
