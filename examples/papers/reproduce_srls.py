"""SRLS's table and figures beside what this package finds: `python -m examples.papers.reproduce_srls`.

On the embedded generator and held-out renders by default; `--data` and `--generator` take photographs of faces, such as
CelebA-HQ's, and converted weights with a flow (`pulse-jax fit-prior --kind srls`, or `pulse-jax convert --flow`). Every
number of the paper stands beside ours, with what differs in setting. Results come as `report.md` with pictures, and
`numbers.json`; the same command goes on where it was stopped.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from examples.papers import quoted
from examples.papers.ablations import ablated, limited, strengths, variant_tile
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
from examples.papers.variants import Variant, searched
from pulse_jax.cli.generators import generator_record, open_generator
from pulse_jax.generators.generator import Generator
from pulse_jax.reports.contact_sheet import SheetRow, contact_sheet
from pulse_jax.reports.evaluation import Estimate
from pulse_jax.reports.prior_plots import draw_norms
from pulse_jax.reports.prior_quality import measure_priors
from pulse_jax.reports.statistics import bootstrap_interval
from pulse_jax.search import presets
from pulse_jax.system import devices
from pulse_jax.system.keys import random_key

_METHODS = {"Bicubic": "bicubic", "PULSE": "pulse", "BRGM": "brgm", "Ours": "srls"}
_MEASURES = {"FID": "fid", "NIQE": "niqe", "PSNR": "psnr", "SSIM": "ssim"}
_ROBUST = ("srls_robust", "pulse")
_DIVERSE = ("pulse", "srls")


@dataclasses.dataclass(frozen=True)
class Options(PaperOptions):
    """What is measured, on what, and where the results go; see `PaperOptions`."""

    output: Path = Path("reproduced-srls")
    factors: str = "8"


def main(options: Options) -> None:
    """Measure what is missing, and write the report."""
    devices.start_jax()
    generator = open_generator(options.generator)
    size, factors = generator.resolution, options.factor_numbers
    identity = generator_record(generator, options.generator)["sha256"]
    report = PaperReport(options.output, "SRLS's table and figures, and what was found here")
    run = evaluated(
        options, "evaluation", presets=("srls", "pulse", "brgm", "bicubic"), factors=factors, count=options.count
    )
    disturbed = evaluated(
        options,
        "disturbed",
        presets=(*_ROBUST, "bicubic"),
        factors=factors[:1],
        degradations=[*quoted.DISTURBANCES],
        count=options.few,
    )
    many = evaluated(
        options, "many", presets=_DIVERSE, factors=factors[:1], count=options.few, restarts=options.restarts
    )
    name = "the embedded generator" if options.generator is None else f"the generator in {options.generator}"
    ours = f"{name}, {size}×{size}; {len(run.pictures())} pictures of {named_data(options.data)}"
    report.numbers["setting"] = {"paper": quoted.SRLS_DATA, "ours": ours, "size": size, "factors": factors}
    weights = ", ".join(f"{name} {weight:g}" for name, weight in quoted.SRLS_WEIGHTS.items())
    report.section(
        "Setting",
        f"The paper: {quoted.SRLS_DATA}; bicubic 64×; {weights}; Adam 0.5, 500 steps, from the mean of w. "
        f"Here: {ours}. `srls` has its program's weights, `10*MAE+0.001*FLOW+0.002*NORM+0.1*CROSS`, which are the "
        "paper's ten times over but for the rows' distance, which is not squared. The generator's own flow is the "
        "prior. Intervals are of 95 %, by a bootstrap over pictures.",
    )
    _norms(options, generator, run, report)
    _table(options, run, report, ours, size)
    _robust(disturbed, report, size)
    _diverse(options, generator, many, report, identity)
    ablated(options, generator, run, report, identity)
    strengths(options, generator, run, report, identity)
    report.write()


def _norms(options: Options, generator: Generator, run: Evaluation, report: PaperReport) -> None:
    """Figure 2: squared norms of z, of w, and of w made Gaussian by PULSE's whitening and by the flow."""
    # Not the key of anything that was fitted: these samples are new.
    measured = measure_priors(generator, random_key(options.seed + 1))
    numbers = measured.numbers
    d, samples = numbers["width"], numbers["samples_of_norms"]
    case = run.case(options.factor_numbers[0])
    titles = {
        "z": "z, a Gaussian itself",
        "w": "w as it is",
        "whitening": "w by PULSE's whitening",
        "principal": "w by principal components (not in the paper)",
        "flow": "w by the flow",
    }
    rows = []
    found: dict[str, Any] = {}
    for name, vectors in measured.vectors.items():
        if name in titles:
            squares = np.square(np.asarray(vectors[:samples], np.float64)).sum(axis=1)
            distance = numbers["vectors"][name]["wasserstein_of_squared_norms"]
            found[name] = {"mean": float(squares.mean()), "deviation": float(squares.std()), "wasserstein": distance}
            rows.append([titles[name], f"{squares.mean():.1f}", f"{squares.std():.1f}", f"{distance:.2f}"])
    rows.append([f"chi-squared, {d} degrees of freedom", f"{d:.1f}", f"{(2 * d) ** 0.5:.1f}", "0"])
    paper = quoted.SRLS_NORMS
    report.section(
        "Figure 2: how Gaussian w becomes",
        f"The paper draws histograms of {paper['samples']} squared norms in {paper['dimensions']} dimensions, and no "
        f"number; here are {samples} in {d}. The Wasserstein distance to the chi-squared distribution puts a number on "
        "what it says: that PULSE's whitening leaves a wider distribution than the flow.",
    )
    report.table("Figure 2: squared norms", ["", "mean", "deviation", "Wasserstein distance to chi-squared"], rows)
    report.picture("figure_2.png", draw_norms(measured), "Figure 2: squared norms")
    solutions = {}
    for preset in ("srls", "pulse", "brgm"):
        kinds = {name: run.number(case, preset, name) for name in ("norm_flow", "norm_whitened")}
        solutions[preset] = {name: one["mean"] for name, one in kinds.items() if one is not None}
    report.numbers["figure_2"] = {"paper": paper, "ours": found, "norms_of_solutions": solutions}
    if "flow" in found and "whitening" in found:
        holds = found["flow"]["wasserstein"] < found["whitening"]["wasserstein"]
        told_norms = "; ".join(
            f"`{preset}` " + ", ".join(f"{one[n]:.2f} {word}" for n, word in _WORDS.items() if n in one)
            for preset, one in solutions.items()
        )
        report.say(
            f"The paper's claim {'holds' if holds else 'does not hold'}: {found['flow']['wasserstein']:.2f} by the "
            f"flow, {found['whitening']['wasserstein']:.2f} by the whitening. Norms of solutions relative to √d, at "
            f"{case.factor}×: {told_norms}."
        )


_WORDS = {"norm_flow": "under the flow", "norm_whitened": "whitened"}


def _table(options: Options, run: Evaluation, report: PaperReport, ours: str, size: int) -> None:
    """Table 1, each number beside ours; what lacks weights or pixels says so."""
    factors = options.factor_numbers
    columns = ["", "paper, 64×", *(f"here, {factor}×" for factor in factors)]
    rows = [["setting", quoted.SRLS_DATA, ours, *("the same" for _ in factors[1:])]]
    numbers: dict[str, Any] = {}
    lacking = niqe_lacks(options, size)
    for method, printed in quoted.SRLS_TABLE.items():
        for measure, name in _MEASURES.items():
            if measure not in printed:
                continue
            cells = []
            for factor in factors:
                case = run.case(factor)
                estimate = None if method == "GT" else run.number(case, _METHODS[method], name)
                if method == "GT" and not lacking:
                    estimate = Estimate(mean=niqe_of_truths(options, run), count=len(run.pictures()))
                form = ".1f" if measure == "PSNR" else ".3f" if measure == "SSIM" else ".2f"
                why = lacking if name == "niqe" else _why(run, name)
                cells.append(told(estimate, form, why))
                if estimate is not None:
                    numbers.setdefault(f"{method}, {factor}x", {})[measure] = estimate["mean"]
            shown = "SRLS" if method == "Ours" else method
            rows.append([f"{shown}: {measure}", f"{printed[measure]:.2f}", *cells])
    report.section(
        "Table 1: measures",
        "FID and NIQE: lower is better; PSNR in dB and SSIM: higher is better. BRGM is there without the perceptual "
        "network that is its main term, unless `--perceptual` brings it.",
    )
    report.table("Table 1: measures", columns, rows)
    report.numbers["table_1"] = {"paper": quoted.SRLS_TABLE, "ours": numbers}
    beside: list[list[str]] = []
    for factor in factors:
        case = run.case(factor)
        for preset in ("srls", "pulse", "brgm", "bicubic"):
            feasible, error, patches = (
                run.number(case, preset, name) for name in ("feasible", "downscaling_error", "sliced_wasserstein")
            )
            patch = "–" if patches is None else f"{1000 * patches['mean']:.0f}"
            beside.append([f"{preset}, {factor}×", told(feasible, ".2f"), told(error, ".2g"), patch])
            report.numbers.setdefault("beside_table_1", {})[f"{preset}, {factor}x"] = {
                "feasible": feasible and feasible["mean"],
                "error": error and error["mean"],
                "patches": patches and patches["mean"],
            }
    report.say("Measures that the paper does not print; they stand for none of the table's:")
    report.table("Beside table 1", ["", "feasible at 1e-3", "error", "patches ×1000"], beside)
    sheet_rows = []
    case = run.case(factors[0])
    for picture in run.pictures()[: options.shown]:
        tiles = []
        for preset in ("srls", "pulse", "brgm"):
            row = next(row for row in run.best(case, preset) if row["picture"] == picture)
            tiles.append(tile(run, case, row, f"{float(row['psnr']):.1f} dB"))
        sheet_rows.append(
            SheetRow(picture, run.given(case, picture), [*tiles, truth_tile(run, case, picture)], f"{case.factor}x")
        )
    sheet = contact_sheet(
        sheet_rows,
        title="Enlargements side by side",
        subtitle="As figures 1 and 5 of the paper; small: what pictures downscale to.",
        columns=["srls", "pulse", "brgm", "the truth"],
    )
    report.picture("figure_5.png", sheet, "Figures 1 and 5: an input, bicubic, `srls`, `pulse`, `brgm` and the truth")


def _why(run: Evaluation, name: str) -> str:
    """A missing measure in a cell: what it needs, without what that is."""
    reason = run.why(name)
    return "not measured: needs --inception" if "needs --inception" in reason else f"not measured: {reason}"


def _robust(run: Evaluation, report: PaperReport, size: int) -> None:
    """Figures 3 and 6: inputs that were disturbed."""
    cases = run.cases
    found = {
        (case.degradation, preset): robustness(run, case, preset) for case in cases for preset in (*_ROBUST, "bicubic")
    }
    report.section(
        "Figures 3 and 6: inputs that were disturbed",
        "The paper shows pictures, names no disturbance but motion of length 100, and prints no number; it says that "
        "what results downscale to is near the clean input. Here are the disturbances of PULSE's figure 6. "
        f"{motion_told(size)} `srls_robust` has the weights of the authors' program for disturbed inputs.",
    )
    report.table(f"Figures 3 and 6, {cases[0].factor}×", DISTURBED_COLUMNS, disturbed_table(found))
    report.say(disturbed_verdict(found, _ROBUST))
    report.numbers["figure_3"] = {f"{chain}, {preset}": one for (chain, preset), one in found.items()}
    for number, picture in enumerate(run.pictures()[:2]):
        sheet = disturbed_sheet(run, cases, _ROBUST, picture, "Disturbed inputs")
        report.picture(f"figure_3_{number + 1}.png", sheet, f"Figures 3 and 6: {picture}")


def _diverse(options: Options, generator: Generator, run: Evaluation, report: PaperReport, identity: str) -> None:
    """Figures 4 and 7: how much solutions of an input differ, SRLS's and PULSE's."""
    case, pictures = run.case(options.factor_numbers[0]), run.pictures()
    far = Variant(
        "srls_from_styles",
        "`srls` from random styles",
        limited(options, presets.srls(start_ways=(1.0, 1.0))),
    )
    (searches,) = searched(
        options.output / "variants",
        generator,
        run,
        case,
        [far],
        pictures,
        identity=identity,
        seed=options.seed,
        restarts=options.restarts,
    )
    images: dict[str, dict[str, list[np.ndarray]]] = {}
    feasible: dict[str, list[bool]] = {}
    psnr: dict[str, float] = {}
    for preset in _DIVERSE:
        rows = run.rows(case, preset)
        images[preset] = {p: [run.image(row) for row in rows if row["picture"] == p] for p in pictures}
        feasible[preset] = [row["feasible"] == "True" for row in rows]
        psnr[preset] = float(values(rows, "psnr").mean())
    title = far.title.replace("`", "")
    per = options.restarts
    images[title] = {p: [searches.image(i * per + k) for k in range(per)] for i, p in enumerate(pictures)}
    feasible[title], psnr[title] = [row["feasible"] for row in searches.rows], searches.mean("psnr")
    rows, numbers = [], {}
    for name, by_picture in images.items():
        apart = [diversity_of(some, case.factor) for some in by_picture.values() if len(some) > 1] or [0.0]
        low, high = bootstrap_interval(apart)
        numbers[name] = {"mean": float(np.mean(apart)), "low": low, "high": high, "inputs": len(apart)}
        share = f"{sum(feasible[name])} of {len(feasible[name])}"
        rows.append([name, f"{np.mean(apart):.4f} [{low:.4f}, {high:.4f}]", share, f"{psnr[name]:.1f}"])
    report.section(
        "Figures 4 and 7: many solutions of an input",
        "The paper shows pictures and prints no number; it says that its solutions differ more than PULSE's. Here: the "
        f"mean root mean square difference of {per} solutions of each of {len(pictures)} inputs, in what the input "
        "does not show. Of `srls` the first search of an input starts at the mean of w, others 0.4 of the way to a "
        "random style, as in its program; the last row starts them at the styles themselves.",
    )
    report.table("Figures 4 and 7: diversity", ["", "difference", "feasible", "PSNR [dB]"], rows)
    ours, theirs = numbers["srls"], numbers["pulse"]
    verdict = (
        "The paper's claim holds here"
        if ours["low"] > theirs["high"]
        else "**The opposite of the paper's claim is found here**"
        if ours["high"] < theirs["low"]
        else "The paper's claim is neither shown nor refuted here"
    )
    third = f"{title} {numbers[title]['mean']:.3f}"
    report.say(f"{verdict}: `srls` {ours['mean']:.3f}, `pulse` {theirs['mean']:.3f}; {third}.")
    report.numbers["figure_4"] = numbers
    sheet_rows = []
    for picture in pictures[: options.shown]:
        for name in images:
            if name in _DIVERSE:
                tiles = [tile(run, case, row) for row in run.rows(case, name) if row["picture"] == picture]
            else:
                first = pictures.index(picture) * per
                tiles = [variant_tile(searches, first + k, case.factor) for k in range(per)]
            note = f"{name}, {case.factor}x"
            sheet_rows.append(
                SheetRow(picture, run.given(case, picture), [*tiles, truth_tile(run, case, picture)], note)
            )
    sheet = contact_sheet(
        sheet_rows,
        title="Many solutions of one input",
        subtitle="As figures 4 and 7 of the paper: solutions of an input by PULSE and by SRLS.",
        columns=[*(f"solution {number + 1}" for number in range(per)), "the truth"],
    )
    report.picture("figure_4.png", sheet, "Figures 4 and 7: solutions of one input by `pulse` and `srls`")


if __name__ == "__main__":
    run_program(main, tyro.cli(Options, description=__doc__))
