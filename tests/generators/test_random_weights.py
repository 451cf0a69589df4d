"""Generators of random weights."""

import jax
import numpy as np
import pytest

from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.random_weights import random_generator


@pytest.mark.slow
@pytest.mark.parametrize("kind", [StyleGAN1Config, StyleGAN2Config])
def test_random_weights_draw_pictures_that_can_be_searched(kind):
    generator = random_generator(kind(resolution=8, latent_dim=4, mapping_layers=1, channels=(4, 3)))
    images = np.asarray(generator.sample(jax.random.key(3), 8))
    assert generator.gaussian_fit is not None
    assert 0.05 < images.std() < 0.5
    assert np.mean((images > 0) & (images < 1)) > 0.8
