"""The rows that make the toys known; to be imported before the command line is."""

# ruff: isort: off
import tests.toys.presets as presets  # first, since the command line's choices are made from the presets
from pulse_jax.cli.commands import COMMANDS, Command
from pulse_jax.generators.architectures import FAMILIES, Family
from pulse_jax.images.degradations.registry import DEGRADATIONS
from pulse_jax.objectives.terms import TERMS, Term
from pulse_jax.optimizers.registry import OPTIMIZERS
from pulse_jax.search.methods.registry import METHODS
from tests.toys.degradation import Blocks
from tests.toys.methods import random_walk
from tests.toys.option import ToyUpsample
from tests.toys.optimizer import riemannian_sign
from tests.toys.term import fourth_power

__all__ = ["presets"]

OPTIMIZERS["riemannian_sign"] = riemannian_sign
TERMS["FOURTH"] = Term(fourth_power)
FAMILIES["toy"] = Family("tests.toys.family:ToyConfig", "tests.toys.family")
METHODS["random_walk"] = random_walk
DEGRADATIONS["blocks"] = Blocks
COMMANDS["upsample"] = Command(ToyUpsample, "tests.toys.option:greet")
