"""What tests of commands share: a run that costs nothing, inputs, and one real run."""

from dataclasses import asdict

import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.cli import generators
from pulse_jax.engine import stream
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.files import save_png
from tests.cli.fake_engine import DIM, LAYERS, NOISE, RESOLUTION, FakeEngine, paint, run
from tests.tiny_networks import searchable_generator


@pytest.fixture
def fake(monkeypatch, tmp_path):
    generator = Generator.from_function(
        paint,
        {},
        resolution=RESOLUTION,
        latent_dim=DIM,
        num_layers=LAYERS,
        noise_shapes=NOISE,
        gaussian_fit=GaussianFit(jnp.zeros(DIM), jnp.ones(DIM)),
    )
    package = tmp_path / "package"
    (package / "data" / "heads64").mkdir(parents=True)
    (package / "data" / "heads64" / "config.json").write_text("{}")
    fake = FakeEngine()
    monkeypatch.setattr("importlib.resources.files", lambda name: package)
    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: generator)
    monkeypatch.setattr(generators, "architecture_to_dict", lambda config: {"family": "x", **asdict(config)})
    monkeypatch.setattr(stream, "solve_stream", fake.solve_stream)
    return fake


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with a tiny generator and inputs that it can nearly draw, and a run on them."""
    home = tmp_path_factory.mktemp("real")
    searchable_generator().save(home / "generator")
    for i, level in enumerate((0.4, 0.6)):
        save_png(home / f"head_{i}.png", np.full((4, 4, 3), level))
    words = ["--generator", home / "generator", "--lanes", 2, "--steps", 60, "--eps", 0.03]
    # A folder of its own: each module that asks makes another generator.
    out = tmp_path_factory.mktemp("run") / "out"
    assert run("upsample", home, "--output", out, *words) == 0
    return home, out
