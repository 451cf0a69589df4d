"""Which method reaches ε in the fewest looks, and what it brings: `python -m examples.benchmarks.optimizer_race`.

Every method, with the step that the tuning faces chose, searches once for each of the report faces and the unusual
people, and where they are given for faces that another program drew (`--others DIR`, PNGs at the generator's size), 8
and 16 times smaller. Printed per method and set, and kept as `race.md`: searches that are feasible, evaluations until
then, the start's cost, wall seconds, diversity, realism. `profiles.png` shows, at the first factor, how often a method
needs so many times the evaluations of the best one (Dolan and Moré 2002). The same command goes on where it was.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tyro

from examples.benchmarks.compare_optimizers import geocross_of
from examples.benchmarks.compare_presets import latent_norms, step_seconds
from examples.benchmarks.comparison_inputs import HELDOUT, InputSet, read_pictures
from examples.benchmarks.comparison_report import patch_distance
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports import metrics
from pulse_jax.reports.line_plots import Line, Panel, draw_panels
from pulse_jax.reports.picture_grid import picture_grid
from pulse_jax.reports.tables import markdown, print_table
from pulse_jax.search import presets, step
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Solution, as_problems

_LESS = "100*L2+0.02*GEOCROSS"
_RESTARTS = 4  # solutions of an input whose diversity is measured
_RATIOS = (1, 2, 4, 8, 16)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is raced.

    Attributes:
        output: Folder of the results, gone on with if it holds some.
        methods: Names with semicolons between them; all by default.
        factors: Downscaling factors.
        truths: Folder of the faces; those that settings were not chosen on.
        unusual: Whether people as the training set never shows them take part.
        others: Folder of faces that another program drew; none by default.
        count: Inputs of each set at most; all by default.
        diverse: How many inputs' diversity is measured, of the first set at each factor.
        most: Evaluations of a search at most; one that misses counts as more than that.
        eps: The largest error that is feasible.
        lanes: Searches that run at once.
    """

    output: pathlib.Path = pathlib.Path("raced")
    methods: str = ""
    factors: tuple[int, ...] = (8, 16)
    truths: pathlib.Path = HELDOUT / "report"
    unusual: bool = True
    others: pathlib.Path | None = None
    count: int | None = None
    diverse: int = 25
    most: int = 100
    eps: float = 1e-3
    lanes: int = 2


def methods(eps: float, most: int) -> Mapping[str, SearchConfig]:
    """Return what takes part, by name; a look more than `most` is none."""
    common: dict[str, Any] = {"eps": eps, "steps": most}
    return {
        "pulse": presets.pulse(**common),
        "pulse, GEOCROSS 0.02": presets.pulse(**common, loss=_LESS),
        "pulse_2020": presets.pulse_2020(**common, stop="feasible"),
        "L-BFGS": presets.fast(**common, start="tiled"),
        "L-BFGS, GEOCROSS 0.05": presets.fast(**common, start="tiled", loss=presets.pulse().loss),
        "fast": presets.fast(**common),
        "pulse, repulsion 0.3": presets.pulse(**common, repulsion=0.3),
        "fast, repulsion 2": presets.fast(**common, repulsion=2.0),
        "fast, repulsion 6": presets.fast(**common, repulsion=6.0),
    }


def input_sets(options: Options) -> Iterator[InputSet]:
    """Yield the inputs of every kind at every factor."""
    folders = {options.truths.name: options.truths}
    folders |= {"unusual": HELDOUT / "unusual"} if options.unusual else {}
    folders |= {"others": options.others} if options.others else {}
    for factor in options.factors:
        for name, folder in folders.items():
            names, truths = read_pictures(folder)
            low_res = from_uint8(to_uint8(Bicubic(factor).apply_float64(truths)))
            yield InputSet(f"{name}, {factor}x", "", names, truths, low_res, [""] * len(names)).some(options.count)


def search(
    generator: Generator, config: SearchConfig, inputs: InputSet, options: Options, restarts: int
) -> tuple[list[Solution], float]:
    """Return all solutions, in order, and the seconds of a look of one lane."""
    standing: list[Progress] = []
    problems = as_problems(inputs.low_res, restarts=restarts)
    found = list(solve_stream(problems, generator, config=config, lanes=options.lanes, on_chunk=standing.append))
    seconds = step_seconds(standing, options.lanes) or float("nan")
    return sorted(found, key=lambda one: (one.index, one.restart)), seconds / options.lanes


def start_seconds(generator: Generator, config: SearchConfig, low_res: np.ndarray) -> float:
    """Return what the start of a search costs, once compiled."""
    begin = jax.jit(functools.partial(step.init, generator, config))
    key = jax.random.key(0)
    jax.block_until_ready(begin(low_res, key))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(begin(low_res, key))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def judged(
    generator: Generator, config: SearchConfig, inputs: InputSet, found: Sequence[Solution], others: np.ndarray
) -> dict[str, Any]:
    """Return the numbers of single searches, one of each input."""
    pictures = np.stack([one.image for one in found])
    norms = latent_norms(generator, config, found)
    psnr = [float(metrics.psnr(one.image, truth)) for one, truth in zip(found, inputs.truths, strict=True)]
    return {
        "evaluations": [one.evaluations if one.feasible else None for one in found],
        "error": float(np.median([one.downscaling_error for one in found])),
        "psnr": float(np.median(psnr)),
        "patches": patch_distance(pictures, others),
        "flow_norm": norms.get("flow", {}).get("mean"),
        "geocross": float(np.median([geocross_of(one, generator) for one in found])),
    }


def race(options: Options, generator: Generator) -> list[dict[str, Any]]:
    """Search what is missing and return the records of all."""
    options.output.mkdir(parents=True, exist_ok=True)
    ledger = options.output / "race.jsonl"
    records = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    done = {(record["method"], record["set"]) for record in records}
    known = methods(options.eps, options.most)
    names = [name.strip() for name in options.methods.split(";") if name.strip()] or list(known)
    _, others = read_pictures(HELDOUT / ("report" if options.truths.name == "tune" else "tune"))
    for number, inputs in enumerate(input_sets(options)):
        for name in names:
            if (name, inputs.name) in done:
                continue
            config = known[name]
            # Those that repel each other cannot be searched one by one: of each input the first is raced.
            together = _RESTARTS if config.repulsion else 1
            every, seconds = search(generator, config, inputs, options, together)
            found = every[::together]
            record = {"method": name, "set": inputs.name, "inputs": len(inputs), "look_seconds": seconds}
            record |= judged(generator, config, inputs, found, others)
            record["start_seconds"] = start_seconds(generator, config, inputs.low_res[0])
            if inputs.name.startswith(options.truths.name):
                few = inputs.some(options.diverse)
                several = [one for one in every if inputs.names[one.index] in few.names]
                if together == 1:
                    several, _ = search(generator, config, few, options, _RESTARTS)
                factor = inputs.truths.shape[1] // inputs.low_res.shape[1]
                record |= diversity(several, factor)
            save_sheet(options.output / f"{number}_{inputs.name}_{name}.png", inputs, found)
            records.append(record)
            with ledger.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{name}, {inputs.name}: {row(record, {}, options.most)}", flush=True)
    return records


def diversity(found: Sequence[Solution], factor: int) -> dict[str, float]:
    """Return how much an input's solutions differ in what it does not show, and the inputs with a feasible one."""
    groups = [list(found[k : k + _RESTARTS]) for k in range(0, len(found), _RESTARTS)]
    differences = [metrics.pairwise_diversity(np.stack([one.image for one in group]), factor) for group in groups]
    return {
        "diversity": float(np.mean(differences)),
        "any_feasible": float(np.mean([any(one.feasible for one in group) for group in groups])),
    }


def save_sheet(path: pathlib.Path, inputs: InputSet, found: Sequence[Solution]) -> None:
    """Write ten truths above their solutions, and the ten that took longest beside them."""
    cost = [one.evaluations if one.feasible else 10**6 for one in found]
    worst = np.argsort(cost, kind="stable")[::-1][:10]
    shown = [*np.linspace(0, len(found) - 1, min(10, len(found))).round().astype(int), *worst]
    images = [*(inputs.truths[i] for i in shown), *(found[i].image for i in shown)]
    save_png(path, picture_grid(images, columns=len(shown), side=inputs.truths.shape[1]))


def quantile(evaluations: Sequence[int | None], share: float, most: int) -> str:
    """Return a quantile of the evaluations until feasible; more than `most` where that share never was."""
    ordered = sorted(most + 1 if one is None else one for one in evaluations)
    value = ordered[int(np.ceil(share * len(ordered))) - 1]
    return str(value) if value <= most else f"> {most}"


COLUMNS = (
    "method",
    "feasible",
    "evaluations, median",
    "90 %",
    "the start, in evaluations",
    "seconds",
    "diversity, `pulse` = 1",
    "4 restarts: inputs feasible",
    "PSNR",
    "patches",
    "flow norm",
    "GEOCROSS",
)


def row(record: Mapping[str, Any], base: Mapping[str, Any], most: int) -> list[str]:
    """Return a record's cells; diversity is relative to that of `base`."""
    evaluations = record["evaluations"]
    feasible = [one for one in evaluations if one is not None]
    start = record["start_seconds"] / record["look_seconds"]
    seconds = (statistics.median(feasible) + start) * record["look_seconds"] if feasible else None

    def shown(name: str, form: str) -> str:
        value = record.get(name)
        return "–" if value is None else f"{value:{form}}"

    relative = record["diversity"] / base["diversity"] if "diversity" in record and "diversity" in base else None
    return [
        record["method"],
        f"{len(feasible) / len(evaluations):.2f}",
        quantile(evaluations, 0.5, most),
        quantile(evaluations, 0.9, most),
        f"{start:.1f}",
        "–" if seconds is None else f"{seconds:.2g}",
        "–" if relative is None else f"{relative:.2f}",
        shown("any_feasible", ".2f"),
        shown("psnr", ".1f"),
        shown("patches", ".1f"),
        shown("flow_norm", ".2f"),
        shown("geocross", ".1f"),
    ]


def profile(records: Sequence[Mapping[str, Any]], most: int) -> list[Line]:
    """Return of each method the share of inputs that it solves within so many times the fewest evaluations."""
    costs = np.array([[np.inf if one is None else one for one in record["evaluations"]] for record in records])
    fewest = costs.min(axis=0)
    solved = np.isfinite(fewest)
    # Another weight of GEOCROSS has the colour of its method, dashed.
    colours = list(dict.fromkeys(record["method"].split(", ")[0] for record in records))
    lines = []
    for record, cost in zip(records, costs, strict=True):
        name, *weight = record["method"].split(", ")
        shares = [float(np.mean(solved & (cost <= ratio * np.where(solved, fewest, 1)))) for ratio in _RATIOS]
        points = list(zip(_RATIOS, shares, strict=True))
        lines.append(Line(record["method"], points, colours.index(name), dashed=bool(weight)))
    return lines


def report(options: Options, records: Sequence[Mapping[str, Any]]) -> None:
    """Print the tables and write `race.md` and `profiles.png`."""
    panels, text = [], []
    for name in dict.fromkeys(record["set"] for record in records):
        some = [record for record in records if record["set"] == name]
        base = next((record for record in some if record["method"] == "pulse"), {})
        rows = [row(record, base, options.most) for record in some]
        print_table(name, COLUMNS, rows)
        text.append(f"## {name}\n\n{markdown(COLUMNS, rows)}\n")
        if name.endswith(f", {options.factors[0]}x"):
            panels.append(Panel(name, profile(some, options.most)))
    (options.output / "race.md").write_text("\n".join(text), encoding="utf-8")
    plot = draw_panels(
        panels,
        title="Evaluations until feasible, beside the fewest of any method",
        subtitle=f"Share of inputs, one search each, at most {options.most} evaluations, ε {options.eps:g}",
        x_label="times the fewest evaluations",
        footer="",
    )
    save_png(options.output / "profiles.png", plot)


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    report(chosen, race(chosen, load_generator()))
