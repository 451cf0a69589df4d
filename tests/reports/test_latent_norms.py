"""Norms of solutions' latents under the priors: 1 on the whitened sphere, near 1 for the generator's own samples."""

import jax
import numpy as np

from pulse_jax.generators.generator import load_generator
from pulse_jax.generators.priors.gaussian import whitened_to_w
from pulse_jax.manifold import sphere
from pulse_jax.reports.latent_norms import relative_norms
from pulse_jax.system.keys import random_key


def test_norms_of_spheres_and_samples():
    generator = load_generator()
    assert generator.gaussian_fit is not None
    d = generator.latent_dim
    u = sphere.random_uniform(random_key(0), (5, 4, d), radius=d**0.5)
    found = relative_norms(generator, np.asarray(whitened_to_w(u, generator.gaussian_fit)))
    np.testing.assert_allclose(found["norm_whitened"], 1, rtol=1e-4)
    samples = generator.map(jax.random.normal(random_key(1), (400, d)))
    own = relative_norms(generator, np.asarray(samples)[:, None])
    assert own.keys() == {"norm_flow", "norm_whitened"} and own["norm_flow"].shape == (400,)
    assert 0.9 < own["norm_flow"].mean() < 1.1 and own["norm_flow"].mean() < found["norm_flow"].mean()
