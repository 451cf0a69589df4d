"""Samplers by name: the one row that a new sampler adds."""

from collections.abc import Callable

from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.samplers.protocol import Sampler
from pulse_jax.search.samplers.slices import elliptical_slice, geodesic_slice
from pulse_jax.search.samplers.tempering import parallel_tempering
from pulse_jax.search.samplers.trajectories import geodesic_hmc, riemannian_langevin

__all__ = ["SAMPLERS"]

SAMPLERS: dict[str, Callable[[Setting], Sampler]] = {
    "geodesic_hmc": geodesic_hmc,
    "riemannian_langevin": riemannian_langevin,
    "geodesic_slice": geodesic_slice,
    "elliptical_slice": elliptical_slice,
    "parallel_tempering": parallel_tempering,
}
"""What makes a sampler for a setting, by its name."""
