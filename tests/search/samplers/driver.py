"""Samplers driven by hand on densities whose moments are known."""

import functools

import jax
import jax.numpy as jnp

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.posterior import posterior_config
from pulse_jax.search.samplers.protocol import as_method
from pulse_jax.search.samplers.registry import SAMPLERS
from pulse_jax.system.keys import random_key

SPHERES = ("geodesic_hmc", "riemannian_langevin", "geodesic_slice")
"""Samplers of one replica on spheres."""


def setting_of(name, manifold, step=0.3, temperature=1.0, leapfrogs=8) -> Setting:
    numbers = {"temperature": temperature, "learning_rate": step, "leapfrogs": leapfrogs}
    architecture = StyleGAN2Config(resolution=8, latent_dim=4, channels=(4, 4))
    return Setting(posterior_config(name), numbers, manifold, architecture)


def manifold_of(name):
    return {"latent": Euclidean() if name == "elliptical_slice" else Sphere()}


def look_at(loss, point) -> Evaluation:
    value, gradient = jax.value_and_grad(lambda point: loss(point["latent"]))(point)
    none = jnp.zeros((1, 1, 3))
    return Evaluation(value, none, value, value, {}, none.astype(jnp.uint8), point, gradient)


@functools.partial(jax.jit, static_argnames=("name", "loss", "transitions", "looks"))
def run(name, loss, starts, transitions, looks, seed=0, step=0.3, temperature=1.0, leapfrogs=8, data=None, keys=None):
    """Where chains (chains, …) stand after so many transitions, of which `looks` must be enough, else NaN.

    Not after so many looks: places that are long left would be seen more often.
    """
    setting = setting_of(name, manifold_of(name), step, temperature, leapfrogs)
    method = as_method(SAMPLERS[name](setting), setting)
    of_point = loss if data is None else functools.partial(loss, data)

    def chain(start, key):
        def look(carry, number):
            point, state, end = carry
            point, state = method.update(jax.random.fold_in(key, number), state, look_at(of_point, point))
            chain = state.chain
            return (point, state, jnp.where(chain.transitions <= transitions, chain.point["latent"], end)), None

        first = {"latent": start}
        (_, state, end), _ = jax.lax.scan(look, (first, method.init(first, key), start), jnp.arange(looks))
        return jnp.where(state.chain.transitions >= transitions, end, jnp.nan)

    return jax.vmap(chain)(starts, jax.random.split(random_key(seed), len(starts)) if keys is None else keys)
