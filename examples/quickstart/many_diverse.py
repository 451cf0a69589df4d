"""Of many solutions of one input, the four that differ most in what the input cannot show."""

import importlib.resources
from pathlib import Path

import numpy as np
import tyro

import pulse_jax
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.metrics import pairwise_diversity
from pulse_jax.reports.picture_grid import picture_grid

INPUT = Path(str(importlib.resources.files("pulse_jax"))) / "data" / "demo" / "head_4.png"
FACTOR = 8  # from 64×64 pixels to 8×8


def main(output: Path = Path("quickstart-output")) -> None:
    """Search 24 times and choose four.

    Args:
        output: Folder for the picture.
    """
    output.mkdir(parents=True, exist_ok=True)
    low_res = read_image(INPUT).pixels
    solutions = pulse_jax.upsample(pulse_jax.load_generator(), low_res, restarts=24)
    kept = solutions.feasible[0]  # feasible ones come first, and among them the lowest loss
    images, errors = solutions.images[0][kept], solutions.downscaling_error[0][kept]
    print(f"{len(images)} of 24 solutions are feasible, with errors from {errors.min():.1e} to {errors.max():.1e}")
    # Farthest points in the null space of the downscaling: what D does not see of a picture.
    chosen = pulse_jax.diversity.choose(images, 4, FACTOR)
    for name, picked in (("the four best", [0, 1, 2, 3]), ("the four most different", chosen)):
        apart = pairwise_diversity(np.stack([images[i] for i in picked]), FACTOR)
        print(f"{name}: {apart:.4f} apart, errors {', '.join(f'{errors[i]:.1e}' for i in picked)}")
    save_png(output / "many_diverse.png", picture_grid([*images[:4], *(images[i] for i in chosen)], columns=4))
    print(f"Look at {output / 'many_diverse.png'}: above the four best, below the four most different")


if __name__ == "__main__":
    tyro.cli(main)
