"""The table of namings: whole, with one default per architecture, and open to a new one."""

import numpy as np
import pytest

import convert
from convert import detect, exporting
from convert.accounting import Change, Entry, Family, Plan
from convert.families import FAMILIES
from convert.inference import Inference
from convert.safetensors_file import save_safetensors
from pulse_jax.generators import architectures
from pulse_jax.generators.architectures import FAMILIES as GENERATORS
from pulse_jax.generators.generator import Generator
from tests.tiny_networks import tiny_generator
from tests.toys.family import ToyConfig

CONFIG = ToyConfig(resolution=4, latent_dim=3)


@pytest.fixture
def toy(monkeypatch):
    """The toy family, known to `pulse_jax`, with arrays whose values are told apart."""
    row = architectures.Family("tests.toys.family:ToyConfig", "tests.toys.family")
    monkeypatch.setitem(GENERATORS, "toy", row)
    kernels = {"mapping": np.arange(9.0).reshape(3, 3), "synthesis": np.arange(9.0).reshape(3, 3) / 10}
    params = {name: {"kernel": kernel.astype(np.float32)} for name, kernel in kernels.items()}
    return Generator(config=CONFIG, params=params)


def _entries(config):
    return Entry("m.weight", "mapping/kernel", Change("oi->io")), Entry("s.weight", "synthesis/kernel")


def _plan(state, clamp):
    width = Inference(state, "Toy program").size("m.weight", 0, 2)
    config = Inference(state, "Toy program").architecture(ToyConfig, resolution=4, latent_dim=width)
    return Plan("Toy program", config, _entries(config))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_family_of_generators_has_one_default_naming(name):
    known = [family for family in FAMILIES if family.architecture == name]
    assert sum(family.default for family in known) == 1
    assert len({family.name for family in known}) == len(known)


def test_no_naming_is_of_an_unknown_family():
    assert {family.architecture for family in FAMILIES} == set(GENERATORS)


@pytest.mark.parametrize(
    ("architecture", "theirs"), [("stylegan1-16", "dense0.weight"), ("stylegan2-8", "mapping.fc0.weight")]
)
def test_what_is_written_by_default_is_pulses_and_adas_pytorch_naming(architecture, theirs):
    generator = tiny_generator(architecture)
    written = convert.export(generator)
    np.testing.assert_array_equal(written[theirs], np.asarray(generator.params["mapping"]["dense0_weight"]).T)


def test_a_family_without_a_naming_cannot_be_written(toy):
    with pytest.raises(ValueError, match="generator: no other program's naming is known for toy"):
        convert.export(toy)


def test_a_new_naming_is_recognised_converted_and_written(toy, monkeypatch, tmp_path):
    naming = Family("Toy program", "toy", (r"[ms]\.weight",), _plan, _entries)
    for module in (exporting, detect):
        monkeypatch.setattr(module, "FAMILIES", (*FAMILIES, naming))
    theirs = convert.export(toy)
    np.testing.assert_array_equal(theirs["m.weight"], np.arange(9.0).reshape(3, 3).T)
    save_safetensors(tmp_path / "toy.safetensors", theirs)
    facts = convert.inspect(tmp_path / "toy.safetensors").facts
    assert (facts["family"], facts["latents"], facts["labels"]) == ("Toy program", "2 rows of 3", "none")
    converted = convert.convert(tmp_path / "toy.safetensors", tmp_path / "toy", samples=16)
    loaded = Generator.load(tmp_path / "toy")
    for generator in (converted, loaded):
        assert generator.config == CONFIG
        for network in ("mapping", "synthesis"):
            np.testing.assert_array_equal(generator.params[network]["kernel"], toy.params[network]["kernel"])
