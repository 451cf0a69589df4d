"""The command `fit-start`: a surrogate of D∘G for starts of searches, fitted and put into the generator folder."""

import dataclasses
import functools
import json
import math

from pulse_jax.cli import generators
from pulse_jax.cli.fitting import Bars, Fitted, UnderWay, carry_out
from pulse_jax.cli.options.fit_start import FitStart
from pulse_jax.engine.checkpoints import digest
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import what_is_missing
from pulse_jax.generators.priors.surrogate_fitting import SurrogateFit, SurrogateFitState, fit_surrogate
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.keys import random_key
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_fit_start"]


def run_fit_start(options: FitStart, screen: Screen) -> int:
    """Fit a surrogate, tell its errors and put it into the generator folder.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 128 plus the signal's number if one ended the fit.

    Raises:
        UsageError: The folder holds a surrogate already, or an unfinished fit with other settings, or a number does not
            suit the generator.
        RunError: The generator or the disk cannot be used, or nothing can be fitted.
    """
    folder = options.generator
    generator = generators.open_generator(folder)
    if generator.surrogate is not None and not options.overwrite:
        raise UsageError(f"{printable(folder)}: holds a surrogate already; --overwrite replaces it")
    generators.check_mapping(generator, folder)
    if generator.gaussian_fit is None:
        missing = what_is_missing("gaussian_fit").replace("GENERATOR", printable(folder))
        raise RunError(f"{printable(folder)}: starts need {missing}")
    factor = _factor(options, generator)

    def work(under_way: UnderWay) -> Fitted:
        fit = _fit(options, generator, factor, under_way, screen)
        fitted = dataclasses.replace(generator, surrogate=fit.surrogate)
        report = (json.dumps(_numbers(fit, factor), indent=1) + "\n").encode()
        return Fitted(fitted, {"start.json": report}, functools.partial(_tell, fit, screen))

    names = ("samples", "directions", "coordinates", "hidden", "steps", "seed")
    settings = {name: getattr(options, name) for name in names} | {
        "factor": factor,
        "gaussian_fit": digest(generator.gaussian_fit),
    }
    if code := carry_out(folder, "fit-start", settings, generator, screen, work):
        return code
    screen.result(f"surrogate and report in {printable(folder)}", "bold")
    return 0


def _factor(options: FitStart, generator: Generator) -> int:
    resolution = generator.resolution
    if options.factor is None:
        # The root of the resolution, rounded up to a power of two, is a usual input's side.
        return max(1, resolution // 2 ** math.ceil(math.log2(resolution) / 2))
    sides = Bicubic.low_sides(resolution)
    if resolution % options.factor or resolution // options.factor not in sides:
        factors = ", ".join(str(resolution // side) for side in reversed(sides))
        raise UsageError(f"--factor: expected one of {factors}, got {options.factor}")
    return options.factor


def _fit(options: FitStart, generator: Generator, factor: int, under_way: UnderWay, screen: Screen) -> SurrogateFit:
    bars = Bars(screen)

    def advance(what: str, state: SurrogateFitState, done: int, total: int) -> None:
        bars.tell(what, done, total)
        under_way.keep(state)

    if under_way.saved is not None:
        screen.note("going on with an earlier fit")
    screen.note(f"{options.directions + options.samples:,} evaluations, then or between them {options.steps:,} steps")
    with bars:
        return fit_surrogate(
            generator,
            random_key(options.seed),
            factor=factor,
            coordinates=min(options.coordinates, generator.num_layers * generator.latent_dim),
            hidden=options.hidden,
            directions=options.directions,
            samples=options.samples,
            steps=options.steps,
            state=under_way.saved,
            on_progress=advance,
        )


def _numbers(fit: SurrogateFit, factor: int) -> dict[str, float | int]:
    numbers = {field.name: getattr(fit, field.name) for field in dataclasses.fields(fit) if field.name != "surrogate"}
    return {"factor": factor, **numbers}


def _tell(fit: SurrogateFit, screen: Screen) -> None:
    screen.result(f"evaluations             {fit.evaluations:,}")
    screen.result(
        f"held-out values         root mean squared error {fit.value_error:.4f}, {fit.value_share:.1%} of variance"
    )
    screen.result(
        f"held-out products       squared error {fit.product_share:.1%} of their squares, "
        f"{fit.training_product_share:.1%} of those learned"
    )
    screen.result(f"seen by coordinates     {fit.kept:.1%} of the products' squares")
