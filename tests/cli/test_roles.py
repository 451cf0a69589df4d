"""Options say what they are, and commands are rows."""

import dataclasses
import importlib
import inspect
from pathlib import Path
from typing import Annotated

import pytest

from pulse_jax.cli.commands import COMMANDS
from pulse_jax.cli.options.roles import Role, roles
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.runs.formats import Settings, UpsampleSummary
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.errors import UsageError

FIELDS = {field.name: field for field in dataclasses.fields(Upsample)}


def test_every_option_of_upsample_says_what_it_is():
    assert roles(Upsample).keys() == FIELDS.keys()


def test_an_option_that_says_nothing_is_refused():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class More(Upsample):
        loud: Annotated[bool, Role(decides="nothing")] = False
        silent: bool = False

    with pytest.raises(TypeError, match=r"More\.silent: expected a Role in its annotation"):
        roles(More)


def test_what_options_decide_and_report_stands_in_the_formats():
    named = roles(Upsample)
    deciding = {name for name, role in named.items() if role.decides in ("value", "contents")}
    made = {"solutions", "lanes", "config", "generator", "versions", "device"}
    assert Settings.__annotations__.keys() == deciding | made
    assert {name for name, role in named.items() if role.reported} <= UpsampleSummary.__annotations__.keys()
    configured = {name for name, role in named.items() if role.decides == "config"} - {"preset"}
    assert configured <= {field.name for field in dataclasses.fields(SearchConfig)}


def test_what_a_command_may_not_leave_out_has_no_other_way_into_it():
    """Whatever decides results is repeated, or is in input.png already, or concerns more than one solution."""
    left_out = {
        name for name, role in roles(Upsample).items() if role.decides != "nothing" and role.repeated == "never"
    }
    assert left_out == {
        "inputs",
        "shard",
        "fit",
        "input_size",
        "factor",
        "align",
        "at",
        "landmarks",
        "solutions",
        "max_restarts",
        "diverse",
        "no_noise",
        "rank",
        "save_intermediate",
    }


SOMETHING = {
    "restarts": 3,
    "solutions": 2,
    "max_restarts": 3,
    "diverse": True,
    "init": Path("x.npz"),
    "repulsion": 1.0,
    "precision": "bfloat16",
    "no_noise": True,
    "rank": "plausible",
    "degradation": "gray",
    "noise_samples": 1,
    "save_intermediate": True,
    "ray": "auto",
    "seed": 3,
    "steps": 4,
    "eps": 0.1,
    "lanes": 2,
    "fit": "crop",
    "output_size": 8,
    "label": 0,
    "generator": Path("g"),
    "overwrite": True,
    "strict": True,
    "other_device": True,
}


def test_what_is_for_searches_only_is_refused_with_an_interpolation_and_nothing_else_is():
    named = roles(Upsample)
    assert {name for name, role in named.items() if role.search_only} <= SOMETHING.keys()
    for name, value in SOMETHING.items():
        options = Upsample(inputs=(Path("a"),), output=Path("o"), preset="bicubic", **{name: value})
        if named[name].search_only:
            with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')}: has no meaning with --preset bicubic"):
                options.check()
        else:
            options.check()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_row_leads_to_a_function_that_takes_its_options(name):
    command = COMMANDS[name]
    module, _, function = command.function.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    assert list(parameters)[:2] == ["options", "screen"]
    assert parameters["options"].annotation is command.options
    assert callable(command.options.check) and command.options.__doc__
    assert len({one.options for one in COMMANDS.values()}) == len(COMMANDS)
