"""PULSE's tables and figures beside what this package finds: `python -m examples.papers.reproduce_pulse`.

On the embedded generator and held-out renders by default; `--data` and `--generator` take photographs of faces, such as
CelebA-HQ's, and converted weights. Every number of the paper stands beside ours, with what differs in setting. Results
come as `report.md` with pictures, and `numbers.json`; the same command goes on where it was stopped.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from examples.papers import quoted
from examples.papers.evaluated import (
    Evaluation,
    PaperOptions,
    evaluated,
    named_data,
    niqe_lacks,
    niqe_of_truths,
    run_program,
    told,
    values,
)
from examples.papers.paper_report import PaperReport
from examples.papers.solutions import (
    DISTURBED_COLUMNS,
    disturbed_sheet,
    disturbed_table,
    disturbed_verdict,
    diversity_of,
    motion_told,
    robustness,
    tile,
    truth_tile,
)
from pulse_jax.cli.generators import open_generator
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.reports import metrics
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet
from pulse_jax.reports.statistics import bootstrap_interval
from pulse_jax.search import presets
from pulse_jax.search.animations import replay
from pulse_jax.search.problems import Problem
from pulse_jax.system import devices
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.text import short

_METHODS = {"Nearest": "nearest", "Bicubic": "bicubic", "PULSE": "pulse"}
_PRESETS = ("pulse", "pulse_2020", "bicubic", "nearest")
_WAY = 7  # pictures of a search's way
_REDRAWN = 4


@dataclasses.dataclass(frozen=True)
class Options(PaperOptions):
    """What is measured, on what, and where the results go; see `PaperOptions`."""

    output: Path = Path("reproduced-pulse")
    restarts: int = 6


def main(options: Options) -> None:
    """Measure what is missing, and write the report."""
    devices.start_jax()
    generator = open_generator(options.generator)
    size, factors = generator.resolution, options.factor_numbers
    first = factors[0]
    report = PaperReport(options.output, "PULSE's tables and figures, and what was found here")
    main_run = evaluated(
        options,
        "evaluation",
        presets=_PRESETS,
        factors=factors,
        degradations=("bicubic", *quoted.DISTURBANCES),
        count=options.count,
    )
    many = evaluated(options, "many", presets=("pulse",), factors=[first], count=options.few, restarts=options.restarts)
    pictures = main_run.pictures()
    name = "the embedded generator" if options.generator is None else f"the generator in {options.generator}"
    ours = f"{name}, {size}×{size}; {len(pictures)} pictures of {named_data(options.data)}"
    report.numbers["setting"] = {"paper": quoted.PULSE_DATA, "ours": ours, "size": size, "factors": factors}
    report.section(
        "Setting",
        f"The paper: {quoted.PULSE_DATA}; 100 steps of projected gradients with rate 0.4. Here: {ours}. `pulse` is "
        "this package's form of the paper's method, `pulse_2020` its authors' program with its own ε of 2e-3 set to "
        "1e-3. Intervals are of 95 %, by a bootstrap over pictures.",
    )
    _opinions(options, main_run, report, ours)
    _niqe(options, main_run, report, ours, size)
    _instead(main_run, report, factors)
    _many(options, generator, many, report)
    _way(options, generator, main_run, report)
    _compared(options, main_run, report)
    _robust(options, main_run, report, size)
    report.write()


def _opinions(options: Options, run: Evaluation, report: PaperReport, ours: str) -> None:
    """Table 1: the numbers as the paper has them, and the study that would find ours."""
    case = run.case(options.factor_numbers[0])
    folders = {}
    for method in ("HR", *_METHODS):
        folders[method] = options.output / "study" / method
        folders[method].mkdir(parents=True, exist_ok=True)
    for picture in run.pictures():
        save_png(folders["HR"] / f"{picture}.png", run.truth(picture))
        for method, preset in _METHODS.items():
            row = next(row for row in run.best(case, preset) if row["picture"] == picture)
            save_png(folders[method] / f"{picture}.png", run.image(row))
    rows = [["setting", "8×, to 128×128", f"{case.factor}×: {ours}"]]
    rows += [
        [method, f"{score:.2f}", "not measured" if method in folders else "not measured: no program here"]
        for method, score in quoted.PULSE_OPINIONS.items()
    ]
    report.section("Table 1: mean opinion scores, from 1 to 5")
    report.table("Table 1: mean opinion scores", ["", "paper", "here"], rows)
    study = quoted.PULSE_STUDY
    command = " ".join(["pulse-jax study make", *map(str, folders.values())])
    report.say(
        f"People have to be asked: the paper asked {study['raters']} about {study['pictures']} pictures, after "
        f"{study['examples']} examples of a 1 and of a 5. The page for that is made by `{command} --anchors DIR "
        f"--examples {study['examples']} --output {options.output / 'rating'}`, DIR being high-resolution pictures "
        "that are not rated, and `pulse-jax study analyse` makes the table of what raters save."
    )
    report.numbers["table_1"] = {"paper": quoted.PULSE_OPINIONS, "ours": None, "command": command}


def _niqe(options: Options, run: Evaluation, report: PaperReport, ours: str, size: int) -> None:
    """Table 2, as far as the pictures are large enough and the model is there."""
    found: dict[str, dict[str, float]] = {}
    columns = ["", "paper", *(f"here, {factor}×" for factor in options.factor_numbers)]
    rows = [["setting", "64×, to 1024×1024", ours, *("the same" for _ in options.factor_numbers[1:])]]
    why = niqe_lacks(options, size)
    if not why:
        truths = niqe_of_truths(options, run)
        for factor in options.factor_numbers:
            numbers = {n: run.number(run.case(factor), preset, "niqe") for n, preset in _METHODS.items()}
            found[str(factor)] = {"HR": truths, **{n: one["mean"] for n, one in numbers.items() if one}}
    for method, paper in quoted.PULSE_NIQE.items():
        cells = [found.get(str(factor), {}).get(method) for factor in options.factor_numbers]
        rows.append([method, f"{paper:.2f}", *(why if cell is None else f"{cell:.2f}" for cell in cells)])
    report.section("Table 2: NIQE, lower is better")
    report.table("Table 2: NIQE", columns, rows)
    report.numbers["table_2"] = {"paper": quoted.PULSE_NIQE, "ours": found or None, "why": why}


def _instead(run: Evaluation, report: PaperReport, factors: list[int]) -> None:
    """What is known of the tables' pictures without raters and models; none of it is the papers' measure."""
    columns = ["", "pictures", "feasible", "error", "PSNR [dB]", "SSIM", "patches ×1000"]
    rows: list[list[str]] = []
    numbers: dict[str, Any] = {}
    for factor in factors:
        case = run.case(factor)
        for preset in _PRESETS:
            error, psnr, ssim, patches = (
                run.number(case, preset, name) for name in ("downscaling_error", "psnr", "ssim", "sliced_wasserstein")
            )
            feasible = run.number(case, preset, "feasible")
            count = len(run.best(case, preset))
            rows.append(
                [
                    f"{preset}, {factor}×",
                    str(count),
                    told(feasible, ".2f"),
                    told(error, ".2g"),
                    told(psnr, ".1f"),
                    told(ssim, ".2f"),
                    "–" if patches is None else f"{1000 * patches['mean']:.0f}",
                ]
            )
            given = {"feasible": feasible, "error": error, "psnr": psnr, "ssim": ssim, "patches": patches}
            numbers[f"{preset}, {factor}x"] = {name: one and one["mean"] for name, one in given.items()}
    report.section(
        "Beside the tables",
        f"Of the paper's pictures all were within ε {quoted.PULSE_EPS:g}; nearest and bicubic enlargements nearly are "
        "by construction. PSNR, SSIM and patches (sliced Wasserstein distance of 7×7 patches to the truths', lower is "
        "better) are measures that the paper does not print: they stand for neither table.",
    )
    report.table("The tables' pictures by other measures", columns, rows)
    report.numbers["beside_the_tables"] = numbers


def _many(options: Options, generator: Generator, run: Evaluation, report: PaperReport) -> None:
    """Figure 3, many solutions of one input; the average of figure 2; and section 4.4, noise drawn anew."""
    case = run.case(options.factor_numbers[0])
    rows: list[SheetRow] = []
    found: dict[str, list[float]] = {name: [] for name in ("apart", "single", "average", "error", "sharp")}
    feasible = total = 0
    for number, picture in enumerate(run.pictures()):
        some = [row for row in run.rows(case, "pulse") if row["picture"] == picture]
        images, truth = [np.asarray(run.image(row), np.float64) for row in some], run.truth(picture)
        low_res = run.given(case, picture)
        average = np.mean(images, axis=0)
        feasible, total = feasible + sum(row["feasible"] == "True" for row in some), total + len(some)
        found["apart"].append(diversity_of(images, case.factor) if len(images) > 1 else 0.0)
        found["single"].append(float(values(some, "psnr").mean()))
        found["average"].append(float(metrics.psnr(average, np.asarray(truth, np.float64))))
        found["error"].append(float(Bicubic(case.factor).error(average, low_res)))
        found["sharp"].append(
            _detail(average, case.factor) / np.mean([_detail(one, case.factor) for one in images]).item()
        )
        if number < options.shown:
            small = np.clip(Bicubic(case.factor).apply_float64(average), 0, 1)
            mean = SheetTile(average, short(found["error"][-1]), "no solution: blurred", None, small)
            tiles = [*(tile(run, case, row) for row in some), mean, truth_tile(run, case, picture)]
            rows.append(SheetRow(picture, low_res, tiles, f"{case.factor}x"))
    mean = {name: float(np.mean(some)) for name, some in found.items()}
    numbers = {"solutions": total, "feasible": feasible, "pictures": len(run.pictures()), **mean}
    numbers["apart_interval"] = [*bootstrap_interval(found["apart"])]
    report.numbers["figure_3"] = numbers
    report.section(
        "Figures 1, 2 and 3: many solutions of one input",
        "The paper shows pictures and prints no number. Under every solution stands what it downscales to.",
    )
    columns = [f"start {number + 1}" for number in range(options.restarts)]
    sheet = contact_sheet(
        rows,
        title="Many solutions of one input",
        subtitle="Searches of pulse from random starts, best first; their average downscales as well, but is blurred "
        "(figure 2 of the paper); small: what they downscale to.",
        columns=[*columns, "their average", "the truth"],
    )
    report.picture("figure_3.png", sheet, "Figure 3: solutions of one input, their average, and the truth")
    report.say(
        f"{feasible} of {total} solutions of {len(run.pictures())} inputs are feasible; two solutions of an input "
        f"differ by {mean['apart']:.3f} (root mean square, of what the input does not show). Their average is blurred "
        f"(it keeps {mean['sharp']:.0%} of a solution's detail), downscales with an error of {short(mean['error'])}, "
        f"and has the higher PSNR: {mean['average']:.1f} dB against {mean['single']:.1f} dB of single ones. So much "
        "of the paper's argument against pixelwise averages holds here."
    )
    _redrawn(options, generator, run, report)


def _detail(image: np.ndarray, factor: int) -> float:
    """The root mean square of what D does not see of a picture."""
    return float(np.sqrt(np.mean(np.square(Bicubic(factor).unseen(np.asarray(image, np.float64))))))


def _redrawn(options: Options, generator: Generator, run: Evaluation, report: PaperReport) -> None:
    """Section 4.4: the same styles with other noise inputs."""
    case = run.case(options.factor_numbers[0])
    if not generator.noise_shapes:
        report.say("The generator has no noise inputs that could be drawn anew (section 4.4).")
        return
    draw = jax.jit(lambda w, key: generator.synthesize(w, _noise(generator, key)))
    rows, apart, within = [], [], []
    for number, picture in enumerate(run.pictures()):
        row = next(row for row in run.best(case, "pulse") if row["picture"] == picture)
        with opened_arrays((run.folder / row["image"]).parent / "solutions.npz") as arrays:
            w = arrays["w"][0]
        images = [np.clip(np.asarray(draw(w, jax.random.key(seed)), np.float64), 0, 1) for seed in range(_REDRAWN)]
        low_res = run.given(case, picture)
        errors = [float(Bicubic(case.factor).error(image, low_res)) for image in images]
        apart.append(float(metrics.pairwise_differences(np.stack(images)).mean()))
        within += [error <= quoted.PULSE_EPS for error in errors]
        if number < options.shown:
            tiles = [tile(run, case, row)]
            tiles += [
                SheetTile(one, f"{short(e)} {'feasible' if e <= quoted.PULSE_EPS else 'missed'}", "", ok)
                for one, e, ok in zip(images, errors, within[-_REDRAWN:], strict=True)
            ]
            rows.append(SheetRow(picture, low_res, tiles))
    columns = ["a solution", *(f"draw {number + 1}" for number in range(_REDRAWN))]
    sheet = contact_sheet(rows, title="The same solution with other noise", columns=columns)
    report.picture("section_4_4.png", sheet, "Section 4.4: the noise inputs of a solution drawn anew")
    report.say(
        f"With the noise drawn anew {sum(within)} of {len(within)} pictures stay feasible, and differ by "
        f"{np.mean(apart):.3f}."
    )
    report.numbers["section_4_4"] = {
        "pictures": len(within),
        "feasible": int(sum(within)),
        "apart": float(np.mean(apart)),
    }


def _noise(generator: Generator, key: Any) -> tuple[Any, ...]:
    keys = jax.random.split(key, len(generator.noise_shapes))
    return tuple(jax.random.normal(k, shape) for k, shape in zip(keys, generator.noise_shapes, strict=True))


def _way(options: Options, generator: Generator, run: Evaluation, report: PaperReport) -> None:
    """Figure 4: pictures on the way from a search's start to its end."""
    case = run.case(options.factor_numbers[0])
    steps = presets.pulse().steps
    config = presets.pulse(steps=steps if options.steps is None else min(steps, options.steps))
    rows, ways = [], []
    for picture in run.pictures()[: options.shown]:
        low_res = run.given(case, picture)
        row = next(row for row in run.best(case, "pulse") if row["picture"] == picture)
        problem = Problem(low_res=low_res, restarts=1, seed=options.seed)
        frames = replay(generator, config, problem, 0, max(1, int(row["steps"]))) / 255.0
        looks = np.rint(np.linspace(1, max(1, int(row["steps"])), len(frames))).astype(int)
        kept = np.rint(np.linspace(0, len(frames) - 1, _WAY)).astype(int)
        errors = [float(Bicubic(case.factor).error(frames[i], low_res)) for i in kept]
        ways.append(errors)
        tiles = [
            SheetTile(
                frames[i],
                short(error),
                f"look {looks[i]}",
                error <= config.eps,
                np.clip(Bicubic(case.factor).apply_float64(frames[i]), 0, 1),
            )
            for i, error in zip(kept, errors, strict=True)
        ]
        rows.append(SheetRow(picture, low_res, tiles))
    sheet = contact_sheet(
        rows,
        title="From a random start to a solution",
        subtitle="Looks of a search of pulse; below, the error of what they downscale to (small).",
        columns=["start", *("" for _ in range(_WAY - 2)), "end"],
    )
    report.section("Figure 4: the way of a search", "The paper draws it; here it is as searches took it.")
    report.picture("figure_4.png", sheet, "Figure 4: pictures on the way of a search")
    report.numbers["figure_4"] = {"errors": ways}


def _compared(options: Options, run: Evaluation, report: PaperReport) -> None:
    """Figure 5: enlargements side by side, without the two networks that there is no program of."""
    rows = []
    for factor in options.factor_numbers:
        case = run.case(factor)
        for picture in run.pictures()[: options.shown]:
            tiles = []
            for preset in ("pulse", "pulse_2020"):
                row = next(row for row in run.best(case, preset) if row["picture"] == picture)
                tiles.append(tile(run, case, row, f"{float(row['psnr']):.1f} dB"))
            tiles.append(truth_tile(run, case, picture))
            rows.append(SheetRow(picture, run.given(case, picture), tiles, f"{factor}x"))
    sheet = contact_sheet(
        rows,
        title="Enlargements side by side",
        subtitle="As figure 5 of the paper, without FSRNet and FSRGAN; small: what pictures downscale to.",
        columns=["pulse", "pulse_2020", "the truth"],
    )
    report.section(
        "Figure 5: enlargements side by side",
        f"The paper at 8× and 64×, here at {' and '.join(f'{f}×' for f in options.factor_numbers)}.",
    )
    report.picture("figure_5.png", sheet, "Figure 5: an input, bicubic, `pulse`, `pulse_2020` and the truth")


def _robust(options: Options, run: Evaluation, report: PaperReport, size: int) -> None:
    """Figure 6: inputs that were disturbed in ways that no search knows of."""
    report.section(
        "Figure 6: inputs that were disturbed",
        "The paper shows pictures at 32× (inputs of 32×32) and prints no number; it says that results downscale to "
        "the clean input rather than to the given one. Errors are mean squared; bicubic enlargement, which searches "
        f"nothing, is there to compare with. {motion_told(size)}",
    )
    searched = ("pulse", "pulse_2020")
    for factor in options.factor_numbers:
        cases = [run.case(factor, chain) for chain in quoted.DISTURBANCES]
        found = {
            (case.degradation, preset): robustness(run, case, preset)
            for case in cases
            for preset in (*searched, "bicubic")
        }
        report.table(f"Figure 6, {factor}×", DISTURBED_COLUMNS, disturbed_table(found))
        report.say(f"At {factor}×: {disturbed_verdict(found, searched)}")
        report.numbers[f"figure_6, {factor}x"] = {f"{chain}, {preset}": one for (chain, preset), one in found.items()}
        for number, picture in enumerate(run.pictures()[: 1 if factor != options.factor_numbers[0] else 2]):
            sheet = disturbed_sheet(run, cases, searched, picture, f"Disturbed inputs, {factor}x")
            report.picture(f"figure_6_{factor}x_{number + 1}.png", sheet, f"Figure 6 at {factor}×: {picture}")


if __name__ == "__main__":
    run_program(main, tyro.cli(Options, description=__doc__))
