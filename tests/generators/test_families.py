"""The table of families: every row is whole, and a new one is a file and a row."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.generators.architectures import (
    FAMILIES,
    ArchitectureConfig,
    Family,
    architecture_from_dict,
    architecture_to_dict,
)
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.random_weights import random_generator
from tests.toys.family import ToyConfig

TOY = Family("tests.toys.family:ToyConfig", "tests.toys.family")
HOME = Path(pulse_jax.__file__).parents[1]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy", TOY)
    return ToyConfig(resolution=4, latent_dim=3, scales=(1, 2, 4), gain=0.5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_row_has_a_config_of_its_name_and_networks(name):
    kind, networks = FAMILIES[name].load_config(), FAMILIES[name].load_networks()
    assert issubclass(kind, ArchitectureConfig) and kind.family == name
    assert {"Mapping", "Synthesis"} <= set(networks.__all__)


def test_what_a_generator_lacks_unless_its_family_tells():
    bare = ArchitectureConfig(resolution=4, latent_dim=2)
    assert (bare.num_layers, bare.noise_shapes, bare.label_dim) == (1, (), 0)
    assert (bare.blocks, bare.channels, bare.filters, bare.details()) == ((), (), (), {})
    with pytest.raises(ValueError, match="block: this generator has no block 0"):
        bare.rows_until(0)
    with pytest.raises(NotImplementedError, match="array_shapes: ArchitectureConfig does not tell"):
        bare.array_shapes()


def test_a_new_family_is_built_mapped_and_synthesised(toy):
    generator = random_generator(toy)
    assert (generator.num_layers, generator.noise_shapes, generator.num_filters) == (3, ((4, 4, 1),), 0)
    rng = np.random.default_rng(0)
    z, w, noise = (rng.standard_normal(shape, np.float32) for shape in ((2, 3), (2, 3, 3), (2, 4, 4, 1)))
    kernels = [np.asarray(generator.params[network]["kernel"]) for network in ("mapping", "synthesis")]
    np.testing.assert_allclose(generator.map(jnp.asarray(z)), z @ kernels[0], rtol=1e-5, atol=1e-6)
    colours = (w * np.asarray([1, 2, 4])[:, None]).sum(1) @ kernels[1]
    expected = 0.5 * (0.5 * (colours[:, None, None] + noise)) + 0.5
    for one in (generator, generator.prepared("cpu")):
        images = one.synthesize(jnp.asarray(w), (jnp.asarray(noise),))
        np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="block: this generator has no block 0"):
        generator.block_shape(0)


def test_a_new_family_is_saved_and_loaded(toy, tmp_path):
    generator = random_generator(toy)
    generator.save(tmp_path / "toy")
    loaded = pulse_jax.load_generator(tmp_path / "toy")
    assert loaded.config == toy
    for got, expected in zip(*map(jax.tree.leaves, (loaded, generator)), strict=True):
        np.testing.assert_array_equal(got, expected)
    key = jax.random.key(1)
    np.testing.assert_array_equal(loaded.sample(key, 2), generator.sample(key, 2))
    smaller = dataclasses.replace(generator, params=jax.tree.map(lambda a: a[:2], generator.params))
    with pytest.raises(GeneratorError, match=r"'networks/mapping/kernel': expected shape \(3, 3\), got \(2, 3\)"):
        smaller.save(tmp_path / "smaller")


def test_a_new_familys_settings_survive_json_and_are_checked(toy):
    fields = architecture_to_dict(toy)
    assert fields == {"family": "toy", "resolution": 4, "latent_dim": 3, "scales": (1, 2, 4), "gain": 0.5}
    assert architecture_from_dict(json.loads(json.dumps(fields))) == toy
    for changed, message in (
        ({"scales": [1.0]}, r"scales: expected a list of integers, got \[1.0\]"),
        ({"latent_dim": 3.0}, "latent_dim: expected an integer, got 3.0"),
        ({"depth": 1}, "toy settings: expected exactly gain, latent_dim, resolution, scales; .*: 'depth'"),
    ):
        with pytest.raises(ValueError, match=message):
            architecture_from_dict(fields | changed)


def test_a_family_that_is_no_longer_there_is_named(toy, tmp_path, monkeypatch):
    generator = random_generator(toy)
    generator.save(tmp_path / "toy")
    monkeypatch.delitem(FAMILIES, "toy")
    with pytest.raises(GeneratorError, match="architecture family: expected one of stylegan1, stylegan2, got 'toy'"):
        pulse_jax.load_generator(tmp_path / "toy")
    with pytest.raises(GeneratorError, match="only stylegan1, stylegan2 can be written to a folder, got ToyConfig"):
        generator.save(tmp_path / "again")


def test_the_command_line_offers_a_new_family():
    """In a program of its own, because the choices are made when the options are first imported, and without JAX."""
    program = """
import sys
from typing import get_args, get_type_hints
from pulse_jax.generators.architectures import FAMILIES, Family
FAMILIES["toy"] = Family("nowhere:Nothing", "nowhere")
from pulse_jax.cli.options.benchmark import Benchmark
choices, none = get_args(get_type_hints(Benchmark)["architecture"])
assert get_args(choices) == ("stylegan1", "stylegan2", "toy")
assert "jax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=HOME, check=True)


def test_configs_come_without_jax():
    program = """
import sys
from pulse_jax.generators.architectures import FAMILIES, architecture_from_dict, architecture_to_dict
for family in FAMILIES.values():
    config = family.load_config()(resolution=8)
    assert architecture_from_dict(architecture_to_dict(config)) == config and config.array_shapes()
assert not {"jax", "flax", "numpy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=HOME, check=True)


def test_random_weights_are_the_same_every_time(toy):
    first, second = random_generator(toy), random_generator(toy)
    assert isinstance(first, Generator)
    for one, other in zip(*map(jax.tree.leaves, (first, second)), strict=True):
        np.testing.assert_array_equal(one, other)
