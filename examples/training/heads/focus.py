"""Depth of field: the lens is focused on the eyes, what lies nearer or further is softer."""

import jax
import jax.numpy as jnp

from .functions import smooth


def circle_of_confusion(aperture: jax.Array, distance: jax.Array, depth: jax.Array) -> jax.Array:
    """Diameter of the disc to which a point at a depth is blurred, measured at the eyes.

    aperture: diameter of the lens's opening; distance: of the eyes from it; depth: (...) behind the eyes. All in
    decimetres.
    """
    return aperture * jnp.abs(depth) / (distance + depth)


def defocus(picture: jax.Array, circle: jax.Array) -> jax.Array:
    """Return a picture (n, n, 3) whose pixels are blurred to discs of the diameters `circle` (n, n), in pixels.

    It is a blend of the picture and two blurred ones with the disc's variance, up to a diameter of about 6 pixels.
    """
    variance = circle[..., None] ** 2 / 16
    soft, softer = jnp.clip(variance / 0.5, 0, 1), jnp.clip((variance - 0.5) / 2, 0, 1)
    # what is sharp does not spread into its blurred surroundings
    weight = soft + 1e-3
    once = smooth(jnp.concatenate([picture * weight, weight], -1), 1)
    twice = smooth(once, 2)
    picture = picture + soft * (once[..., :3] / once[..., 3:] - picture)
    return picture + softer * (twice[..., :3] / twice[..., 3:] - picture)
