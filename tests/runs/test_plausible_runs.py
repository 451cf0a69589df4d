"""Plausibilities in a run's files: entries, counts, order, sheet and page; and a generator that has none."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.networks.oddness import oddness
from pulse_jax.generators.priors.plausibility import QUANTILES, PlausibilityFit
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.inputs import Quota
from pulse_jax.runs.records import read_record
from pulse_jax.runs.run_page import page_passing
from pulse_jax.runs.sheets import tile
from pulse_jax.search.plausibility import PlausibilityJudge
from tests.runs.small_plan import SIZE, small_plan, solution_of
from tests.runs.test_writer import begun, written


def judged_plan(home, odder=0.0, **changes):
    """A plan whose generator's samples are as odd as random pictures at most, or by so much less."""
    plan = small_plan(home, **changes)
    some = [oddness(np.random.default_rng(k).integers(0, 256, (SIZE, SIZE, 3), np.uint8)) for k in range(20)]
    known = jnp.linspace(min(some) - 30 - odder, max(some) + 30 - odder, QUANTILES, dtype=jnp.float32)
    generator = dataclasses.replace(plan.generator, plausibility=PlausibilityFit(known))
    return dataclasses.replace(plan, generator=generator, plausibility=PlausibilityJudge(generator))


def test_entries_say_how_plausible_the_written_pictures_are(tmp_path):
    plan = judged_plan(tmp_path)
    folder = begun(plan)
    writer = written(plan, folder)
    entries = [entry for record in writer.records() for entry in record["solutions"]]
    known = plan.generator.plausibility.oddness
    for entry in entries:
        odd = oddness(to_uint8(read_image(plan.output / entry["image"]).pixels))
        expected = 100 * np.clip((known[-1] - odd) / (known[-1] - known[0]), 0, 1)
        assert entry["plausibility"] == pytest.approx(float(expected), abs=1e-2)
        assert "latent_plausibility" not in entry  # there is no flow
    assert writer.tally.compared == 4
    assert writer.tally.unusual == sum(entry["plausibility"] < 1 for entry in entries)
    assert writer.tally.delivered["unusual"] == writer.tally.unusual
    folder.close()


def test_without_a_fit_nothing_is_said_and_older_files_are_read(tmp_path):
    plan = small_plan(tmp_path)
    folder = begun(plan)
    writer = written(plan, folder)
    entries = [entry for record in writer.records() for entry in record["solutions"]]
    assert not any("plausibility" in entry for entry in entries)
    assert writer.tally.delivered == {"solutions": 4, "feasible": 1}
    folder.close()


@pytest.mark.parametrize("rank", ["loss", "plausible"])
def test_the_order_is_by_loss_or_by_plausibility_and_feasible_ones_come_first(tmp_path, rank):
    plan = judged_plan(tmp_path, count=1, rank=rank, quota=Quota(count=6, searches=6, stops=False))
    folder = begun(plan)
    writer = written(plan, folder, restarts=range(6))
    (record,) = writer.records()
    entries = record["solutions"]
    feasible = [entry["feasible"] for entry in entries]
    assert feasible == sorted(feasible, reverse=True) and sum(feasible) == 5
    good = [entry for entry in entries if entry["feasible"]]
    key = "loss" if rank == "loss" else "plausibility"
    assert [one[key] for one in good] == sorted((one[key] for one in good), reverse=rank == "plausible")
    assert [one["restart"] for one in good] != [1, 2, 3, 4, 5] or rank == "loss"
    folder.close()


def test_the_choice_of_fewer_is_of_the_most_plausible(tmp_path):
    shares = {}
    for count in (6, 2):
        home = tmp_path / str(count)
        home.mkdir()
        plan = judged_plan(home, count=1, rank="plausible", quota=Quota(count=count, searches=6, stops=False))
        folder = begun(plan)
        writer = written(plan, folder, restarts=range(6))
        (record,) = writer.records()
        shares[count] = [entry["plausibility"] for entry in record["solutions"]]
        folder.close()
    assert shares[2] == shares[6][:2]


def test_a_run_that_goes_on_writes_the_same_files(tmp_path):
    found = []
    for parts in ([(0, 1)], [(0,), (1,)]):
        home = tmp_path / str(len(parts))
        home.mkdir()
        plan = judged_plan(home, count=1)
        folder = begun(plan)
        for restarts in parts:
            written(plan, folder, restarts) if len(parts) == 1 else _go_on(plan, folder, restarts)
        record = read_record(plan.output, "0")
        assert record is not None
        found.append([{k: v for k, v in entry.items() if k != "command"} for entry in record["solutions"]])
        folder.close()
    assert found[0] == found[1] and all("plausibility" in entry for entry in found[0])


def _go_on(plan, folder, restarts):
    from pulse_jax.runs.writer import InputWriter
    from pulse_jax.system.screen import Screen

    with InputWriter(plan, 2, folder, Screen()) as writer:
        (one,) = plan.read(plan.inputs)
        writer.recall(one)
        for restart in restarts:
            writer.take(one, solution_of(plan, one, restart))


def test_what_is_unusual_is_marked_on_sheet_and_page(tmp_path):
    plan = judged_plan(tmp_path, odder=1e4)
    folder = begun(plan)
    writer = written(plan, folder)
    records = list(writer.records())
    entry = records[0]["solutions"][0]
    assert entry["plausibility"] == 0
    picture, small = np.zeros((SIZE, SIZE, 3)), np.zeros((4, 4, 3))
    assert tile(entry, picture, small, 0.1).detail.endswith(", unusual")
    assert "unusual" not in tile({**entry, "plausibility": 1.0}, picture, small, 0.1).detail
    older = {key: value for key, value in entry.items() if key != "plausibility"}
    assert "unusual" not in tile(older, picture, small, 0.1).detail
    summary = {
        "preset": "pulse",
        "config": {"eps": 0.1, "steps": 1, "loss": "L2"},
        "generator": {"folder": "somewhere", "sha256": "0" * 64},
        "command": "upsample",
        "seed": 0,
        "versions": {},
        "finished": True,
        "failed": [],
    }
    assert list(page_passing(plan.output, summary, writer.tally, records)) == records
    text = (plan.output / "index.html").read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    # 0 is a plausibility too.
    assert all(one["plausibility"] == 0 for item in data["items"] for one in item["solutions"])
    assert "<dt>Unusual</dt><dd>4</dd>" in text
    folder.close()
