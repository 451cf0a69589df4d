"""The race of methods: its quantiles and profiles by hand, and a small one from end to end, gone on with."""

import json

import numpy as np
import pytest

from examples.benchmarks import optimizer_race
from pulse_jax.images.files import save_png
from pulse_jax.search import presets
from tests.tiny_networks import searchable_generator


def test_searches_that_miss_come_last():
    assert [optimizer_race.quantile([5, None, 3, 9], share, 100) for share in (0.25, 0.5, 0.75)] == ["3", "5", "9"]
    assert optimizer_race.quantile([5, None, 3, 9], 0.9, 100) == "> 100"


def test_profiles_are_shares_of_inputs_within_a_multiple_of_the_fewest():
    records = [
        {"method": "a", "evaluations": [2, 9, None, None]},
        {"method": "b", "evaluations": [5, 3, 8, None]},
    ]
    a, b = optimizer_race.profile(records, 100)
    # a is best once, and takes three times the fewest once; b is best twice; nobody solves the last.
    assert [share for _, share in a.points] == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert [share for _, share in b.points] == [0.5, 0.5, 0.75, 0.75, 0.75]


def test_everybody_but_one_has_the_default_weight_or_the_papers():
    methods = optimizer_race.methods(1e-3, 100)
    assert methods["fast"] == presets.fast() and methods["pulse"] == presets.pulse()
    assert {config.steps for config in methods.values()} == {100}


@pytest.fixture
def options(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for name in ("report", "tune", "unusual"):
        (tmp_path / "heldout" / name).mkdir(parents=True)
        for number in range(4):
            save_png(tmp_path / "heldout" / name / f"{number}.png", random.uniform(size=(8, 8, 3)))
    monkeypatch.setattr(optimizer_race, "HELDOUT", tmp_path / "heldout")
    return optimizer_race.Options(
        output=tmp_path / "raced",
        methods="pulse; L-BFGS",
        factors=(2,),
        truths=tmp_path / "heldout" / "report",
        count=2,
        diverse=1,
        most=2,
    )


@pytest.mark.slow
def test_a_race_prints_its_tables_and_goes_on_where_it_was(options, capsys, monkeypatch):
    generator = searchable_generator()
    records = optimizer_race.race(options, generator)
    optimizer_race.report(options, records)
    assert [(record["method"], record["set"]) for record in records] == [
        ("pulse", "report, 2x"),
        ("L-BFGS", "report, 2x"),
        ("pulse", "unusual, 2x"),
        ("L-BFGS", "unusual, 2x"),
    ]
    assert all(len(record["evaluations"]) == 2 and record["start_seconds"] > 0 for record in records)
    assert ["diversity" in record for record in records] == [True, True, False, False]
    assert (options.output / "profiles.png").exists() and len(list(options.output.glob("*.png"))) == 5
    assert "L-BFGS" in capsys.readouterr().out
    stored = [json.loads(line) for line in (options.output / "race.jsonl").read_text().splitlines()]
    assert stored == records
    monkeypatch.setattr(optimizer_race, "search", None)  # nothing is left to search
    assert optimizer_race.race(options, generator) == records
