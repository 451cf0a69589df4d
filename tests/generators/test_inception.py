"""Inception against what pytorch-fid's own class made of the same random weights."""

import json

import jax
import numpy as np
import pytest

from pulse_jax.generators.networks import inception
from tests.golden_weights import GOLDENS
from tests.inception_weights import network_of, pictures_of, state_of

RECORDED = json.loads((GOLDENS / "l_inception.json").read_text())


def test_layers_are_those_of_the_programs_class_in_its_order():
    assert [[name, list(shape)] for name, shape in inception.layer_shapes().items()] == [
        [name, shape] for name, shape in RECORDED["shapes"].items()
    ]
    shape = jax.eval_shape(inception.inception_features, network_of(state_of(inception.layer_shapes())), pictures_of(8))
    assert shape.shape == (2, inception.FEATURES)


def test_means_leave_the_border_out():
    found = inception._mean(jax.numpy.ones((1, 4, 5, 2)))
    np.testing.assert_allclose(found, 1, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 400])
def test_features_are_those_of_the_programs_class(side):
    network = network_of(state_of(inception.layer_shapes()))
    found = np.asarray(jax.jit(inception.inception_features)(network, pictures_of(side)))
    expected = RECORDED["values"][str(side)]
    np.testing.assert_allclose(found[:, ::16], expected["every_16th"], atol=1e-4)
    np.testing.assert_allclose(found.mean(axis=1), expected["mean"], atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), expected["deviation"], atol=1e-5)
