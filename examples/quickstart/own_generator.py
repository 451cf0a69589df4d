"""Any differentiable function from latents to pictures takes part in the search: here seven numbers draw a sunset."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import pulse_jax
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.reports.picture_grid import picture_grid


def sunset(colours, w, noise):
    """Draw a picture (64, 64, 3) from w (1, 7): the sun's place and size, the horizon, and three colours."""
    x, y, size, horizon, *shades = jax.nn.sigmoid(1.5 * w[0])
    down, across = jnp.mgrid[0:1:64j, 0:1:64j]
    sky, sea, sun = (a + s * (b - a) for (a, b), s in zip(colours, shades, strict=True))
    inside = 0.08 + 0.1 * size - jnp.hypot(across - 0.1 - 0.8 * x, down - 0.1 - 0.5 * y)
    picture = sky + jax.nn.sigmoid(60 * inside)[..., None] * (sun - sky)
    return picture + jax.nn.sigmoid(80 * (down - 0.55 - 0.3 * horizon))[..., None] * (sea - picture)


def main(output: Path = Path("quickstart-output")) -> None:
    """Draw a sunset, shrink it to 8×8 pixels, and search for it."""
    colours = jnp.asarray(np.random.default_rng(3).uniform(size=(3, 2, 3)), jnp.float32)
    generator = pulse_jax.Generator.from_function(sunset, colours, resolution=64, latent_dim=7)
    truth = np.asarray(generator.sample(jax.random.key(1), 1))[0]
    low_res = Bicubic(8).apply_float64(truth).astype(np.float32)
    config = pulse_jax.presets.pulse(space="z", loss="100*L2", steps=300, eps=1e-4)  # z: no fit of w is needed
    solutions = pulse_jax.upsample(generator, low_res, restarts=7, config=config)
    output.mkdir(parents=True, exist_ok=True)
    save_png(output / "own_generator.png", picture_grid([low_res, truth, *solutions.images[0]], columns=9))
    print(f"{solutions.feasible.sum()} of 7 are feasible; {output / 'own_generator.png'} shows input, truth, solutions")


if __name__ == "__main__":
    tyro.cli(main)
