"""SRLS's figures 8 and 9: its loss without each of its priors, and with one of them alone."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from examples.papers.evaluated import Evaluation, PaperOptions
from examples.papers.paper_report import PaperReport
from examples.papers.solutions import truth_tile
from examples.papers.variants import Searched, Variant, searched
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet
from pulse_jax.reports.metrics import patch_distances
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.text import short

__all__ = ["ABLATIONS", "ablated", "limited", "strengths", "variant_tile"]

ABLATIONS = (
    Variant("all", "all", presets.srls()),
    Variant("without_gaussian", "w/o P_gaussian", presets.srls(loss="10*MAE+0.001*FLOW+0.1*CROSS")),
    Variant("without_w", "w/o P_w", presets.srls(loss="10*MAE+0.002*NORM+0.1*CROSS")),
    Variant("without_cross", "w/o P_cross", presets.srls(loss="10*MAE+0.001*FLOW+0.002*NORM")),
    # One row for all layers, which has no distance to itself.
    Variant("without_w_plus", "w/o W+", presets.srls(space="w", loss="10*MAE+0.001*FLOW+0.002*NORM")),
)
"""Figure 8: the whole loss, without each of its priors, and in W."""
# Weights of figure 9, from none that counts to one that is all that counts.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_COLUMNS = ("feasible", "error", "PSNR [dB]", "SSIM", "norm", "rows apart")


def limited(options: PaperOptions, config: SearchConfig) -> SearchConfig:
    """Return settings with no more steps than asked for."""
    steps = config.steps if options.steps is None else min(config.steps, options.steps)
    return dataclasses.replace(config, steps=steps)


def ablated(options: PaperOptions, generator: Generator, run: Evaluation, report: PaperReport, identity: str) -> None:
    """Figure 8: SRLS without each of its priors, and in W."""
    case, pictures = run.case(options.factor_numbers[0]), run.pictures()[: options.few]
    found = _searched(options, generator, run, ABLATIONS, pictures, identity)
    truths = np.stack([run.truth(picture) for picture in pictures])
    rows, numbers = [], {}
    for one in found:
        images = np.stack([one.image(number) for number in range(len(pictures))])
        patches = 1000 * float(np.mean(patch_distances(images, truths)))
        numbers[one.variant.name] = {**_means(one), "patches": patches}
        rows.append([one.variant.title, *_cells(one), f"{patches:.0f}"])
    report.section(
        "Figure 8: without each of the priors",
        f"The paper shows pictures and prints no number. It finds the whole best and next to it the loss without "
        f"P_gaussian, W too poor to reach the truth, and faces less realistic without P_cross. "
        f"Here: {len(pictures)} inputs at {case.factor}×, a search each. "
        "*Rows apart*: the root mean square by which rows of w leave their mean; *norm*: of w under the flow, relative "
        "to √d; patches as above, of few pictures.",
    )
    report.table("Figure 8: ablations", ["", *_COLUMNS, "patches ×1000"], rows)
    whole, no_cross, in_w = (numbers[name] for name in ("all", "without_cross", "without_w_plus"))
    report.say(
        f"In W the truth is {'farther' if in_w['psnr'] < whole['psnr'] else 'not farther'} than in W+ "
        f"({in_w['psnr']:.1f} dB against {whole['psnr']:.1f} dB). Without P_cross rows are "
        f"{no_cross['rows_apart']:.2f} apart against {whole['rows_apart']:.2f}. The highest PSNR has "
        f"“{max(found, key=lambda one: one.mean('psnr')).variant.title}”."
    )
    report.numbers["figure_8"] = numbers
    sheet_rows = []
    for number, picture in enumerate(pictures[: options.shown]):
        tiles = [variant_tile(one, number, case.factor) for one in found]
        sheet_rows.append(SheetRow(picture, run.given(case, picture), [*tiles, truth_tile(run, case, picture)]))
    sheet = contact_sheet(
        sheet_rows,
        title="SRLS without each of its priors",
        subtitle="As figure 8 of the paper.",
        columns=[*(one.variant.title for one in found), "the truth"],
    )
    report.picture("figure_8.png", sheet, "Figure 8: SRLS without each of its priors")


def _searched(
    options: PaperOptions,
    generator: Generator,
    run: Evaluation,
    variants: Sequence[Variant],
    pictures: Sequence[str],
    identity: str,
) -> list[Searched]:
    shorter = [dataclasses.replace(one, config=limited(options, one.config)) for one in variants]
    return searched(
        options.output / "variants",
        generator,
        run,
        run.case(options.factor_numbers[0]),
        shorter,
        pictures,
        identity=identity,
        seed=options.seed,
    )


def _means(one: Searched) -> dict[str, float | None]:
    names = ("feasible", "downscaling_error", "psnr", "ssim", "norm_flow", "rows_apart")
    return {name: mean if math.isfinite(mean := one.mean(name)) else None for name in names}


def _cells(one: Searched) -> list[str]:
    means = _means(one)
    forms = {"feasible": ".2f", "psnr": ".1f", "ssim": ".3f", "norm_flow": ".2f", "rows_apart": ".2f"}
    return [
        "–" if mean is None else short(mean) if name == "downscaling_error" else format(mean, forms[name])
        for name, mean in means.items()
    ]


def variant_tile(one: Searched, number: int, factor: int) -> SheetTile:
    """Return a variant's solution for a sheet, with what it downscales to."""
    row, image = one.rows[number], one.image(number)
    error, feasible = short(row["downscaling_error"]), row["feasible"]
    detail = "" if row["psnr"] is None else f"{row['psnr']:.1f} dB"
    small = np.clip(Bicubic(factor).apply_float64(image), 0, 1)
    return SheetTile(image, f"{error} {'feasible' if feasible else 'missed'}", detail, feasible, small)


def strengths(options: PaperOptions, generator: Generator, run: Evaluation, report: PaperReport, identity: str) -> None:
    """Figure 9: one prior alone, from weak to strong."""
    kinds = {"λ_w": "FLOW", "λ_g": "NORM"}
    variants = [
        Variant(
            f"{term.lower()}_{strength:g}",
            f"{symbol} = {strength:g}",
            presets.srls(loss=f"10*MAE+{strength:.6f}*{term}"),
        )
        for symbol, term in kinds.items()
        for strength in _STRENGTHS
    ]
    case, pictures = run.case(options.factor_numbers[0]), run.pictures()[: max(1, options.few // 2)]
    found = _searched(options, generator, run, variants, pictures, identity)
    report.section(
        "Figure 9: one prior alone, from weak to strong",
        "The paper shows pictures and prints neither weights nor numbers. It finds the truth nearer with the flow's "
        f"density alone than with the norm alone. Here: {len(pictures)} inputs at {case.factor}×, beside 10*MAE.",
    )
    report.table("Figure 9: one prior alone", ["", *_COLUMNS], [[one.variant.title, *_cells(one)] for one in found])
    per = len(_STRENGTHS)
    groups = {symbol: found[i * per : (i + 1) * per] for i, symbol in enumerate(kinds)}
    best = {symbol: max(group, key=lambda one: one.mean("psnr")) for symbol, group in groups.items()}
    densities, norms = (one.mean("psnr") for one in best.values())
    report.say(
        f"The best PSNR with the density alone is {densities:.1f} dB ({best['λ_w'].variant.title}), with the norm "
        f"alone {norms:.1f} dB ({best['λ_g'].variant.title})."
    )
    report.numbers["figure_9"] = {one.variant.name: _means(one) for one in found}
    picture = pictures[0]
    rows = []
    for symbol in kinds:
        tiles = [variant_tile(one, 0, case.factor) for one in groups[symbol]]
        label = {"λ_w": "the flow's density alone", "λ_g": "the norm alone"}[symbol]
        rows.append(SheetRow(label, run.given(case, picture), [*tiles, truth_tile(run, case, picture)], picture))
    sheet = contact_sheet(
        rows,
        title="One prior alone, from weak to strong",
        subtitle="As figure 9 of the paper: weights beside 10 MAE.",
        columns=[*(f"{strength:g}" for strength in _STRENGTHS), "the truth"],
    )
    report.picture("figure_9.png", sheet, "Figure 9: one prior alone, from weak to strong")
