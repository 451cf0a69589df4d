"""The command `fit-prior`: a prior of w, fitted, measured and put into the generator folder; a killed fit goes on."""

import dataclasses
import functools
import io
import json
import time
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray
from PIL import Image

from pulse_jax.cli import generators
from pulse_jax.cli.fitting import Bars, Fitted, UnderWay, carry_out
from pulse_jax.cli.options.fit_prior import FitPrior
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.flow_fitting import FitState, fit_flow
from pulse_jax.generators.priors.plausibility_fitting import fit_plausibility
from pulse_jax.generators.priors.principal import fit_principal
from pulse_jax.reports.prior_plots import draw_coordinates, draw_norms
from pulse_jax.reports.prior_quality import PriorReport, measure_priors
from pulse_jax.system.errors import UsageError
from pulse_jax.system.keys import random_key
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import duration, printable

__all__ = ["run_fit_prior"]

_FIELDS = {
    "flow": "flow",
    "srls": "flow",
    "pca": "principal",
    "gaussian": "gaussian_fit",
    "plausibility": "plausibility",
}
_NAMES = {
    "flow": "flow",
    "srls": "flow",
    "pca": "principal components",
    "gaussian": "Gaussian fit",
    "plausibility": "plausibility fit",
}
_ROWS = {
    "whitening": "whitening",
    "principal": "principal components",
    "flow": "flow",
    "gaussian_of_w": "Gaussian of w",
}


def run_fit_prior(options: FitPrior, screen: Screen) -> int:
    """Fit a prior, measure it and put it into the generator folder.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 128 plus the signal's number if one ended the fit.

    Raises:
        UsageError: The folder holds such a prior already, or an unfinished fit with other settings.
        RunError: The generator or the disk cannot be used, or nothing can be fitted.
    """
    folder = options.generator
    generator = generators.open_generator(folder)
    if getattr(generator, _FIELDS[options.kind]) is not None and not options.overwrite:
        raise UsageError(f"{printable(folder)}: holds a {_NAMES[options.kind]} already; --overwrite replaces it")
    generators.check_mapping(generator, folder)

    def work(under_way: UnderWay) -> Fitted:
        fitted = _Fit(options, generator, under_way, screen).run()
        if options.kind == "plausibility":  # no prior of w: there is nothing to hold against other priors
            return Fitted(fitted, {}, lambda: None)
        with Count(screen, "measuring") as count:
            # Not the key of the fits: these samples are new to them.
            report = measure_priors(fitted, random_key(options.seed + 1), on_progress=count.update)
        return Fitted(fitted, _reports(report), functools.partial(_tell, report, screen))

    settings = {
        name: value for name, value in dataclasses.asdict(options).items() if name not in ("generator", "overwrite")
    }
    if code := carry_out(folder, "fit-prior", settings, generator, screen, work):
        return code
    what = _NAMES[options.kind] + ("" if options.kind == "plausibility" else " and reports")
    screen.result(f"{what} in {printable(folder)}", "bold")
    return 0


class _Fit:
    """One fit under way, and what is shown and saved of it."""

    def __init__(self, options: FitPrior, generator: Generator, under_way: UnderWay, screen: Screen) -> None:
        self._options, self._generator = options, generator
        self._under_way, self._screen = under_way, screen
        self._bars = Bars(screen)
        self._told: int | None = None
        self._began = time.monotonic()

    def run(self) -> Generator:
        """The generator with the prior."""
        options = self._options
        mapping, width = self._generator.latent_sampler()
        key = random_key(options.seed)
        with self._bars:
            if options.kind == "gaussian":
                self._bars.show("fitting")
                return self._generator.fitted(samples=options.draws, seed=options.seed, on_progress=self._advance)
            if options.kind == "pca":
                self._bars.show("fitting")
                found = fit_principal(mapping, key, width, samples=options.draws, on_progress=self._advance)
                return dataclasses.replace(self._generator, principal=found)
            if options.kind == "plausibility":
                return self._fit_plausibility(key)
            principal, program = self._generator.principal, options.kind == "srls"
            starts_from_components = options.standardize == "principal" and not program
            if starts_from_components and principal is None:
                self._bars.show("principal components")
                principal = fit_principal(mapping, key, width, on_progress=self._advance)
            saved = self._under_way.saved
            if saved is not None:
                self._screen.note("going on with an earlier fit")
            found = fit_flow(
                mapping,
                key,
                width,
                principal=principal if starts_from_components else None,
                program=program,
                hidden=options.hidden,
                blocks=options.blocks,
                samples=options.draws,
                batch=options.batch,
                learning_rate=options.learning_rate,
                patience=options.patience,
                epochs=options.epochs,
                noise=0.0 if program else options.noise,
                state=saved,
                on_progress=self._learned,
            )
        return dataclasses.replace(self._generator.with_flow(found.flow), principal=principal)

    def _fit_plausibility(self, key: PRNGKeyArray) -> Generator:
        if self._under_way.saved is not None:
            self._screen.note("going on with an earlier fit")
        self._bars.show("drawing samples")

        def advance(state: Any, done: int, total: int) -> None:
            self._bars.update(done, total)
            self._under_way.keep(state)

        found = fit_plausibility(
            self._generator, key, samples=self._options.draws, state=self._under_way.saved, on_progress=advance
        )
        return dataclasses.replace(self._generator, plausibility=found)

    def _advance(self, done: int, total: int) -> None:
        self._bars.update(done, total)
        self._under_way.interrupt.check()

    def _learned(self, state: FitState, steps: int) -> None:
        epoch, step = len(state.history), int(state.step)
        if self._told is None:
            self._told = epoch
            self._bars.show(f"epoch {epoch + 1}")
        if epoch > self._told:
            training, held_out = (float(value) for value in state.history[-1])
            gained = "the best" if int(state.best_epoch) == epoch else f"best in epoch {int(state.best_epoch)}"
            spent = duration(time.monotonic() - self._began)
            self._screen.note(
                f"epoch {epoch}: log likelihood {training:.2f}, held out {held_out:.2f} ({gained}), {spent}"
            )
            self._told = epoch
            self._bars.show(f"epoch {epoch + 1}")
        else:
            self._bars.update(step - epoch * steps, steps)
        self._under_way.keep(state)


def _reports(report: PriorReport) -> dict[str, bytes]:
    def png(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="PNG")
        return buffer.getvalue()

    return {
        "prior.json": (json.dumps(report.numbers, indent=1) + "\n").encode(),
        "norms.png": png(draw_norms(report)),
        "coordinates.png": png(draw_coordinates(report)),
    }


def _tell(report: PriorReport, screen: Screen) -> None:
    """A table: for every prior, how far its squared norms are from chi-squared, and its log likelihood."""
    vectors, likelihoods = report.numbers["vectors"], report.numbers["log_likelihood"]
    screen.result(f"{'':22}{'distance of norms':>18}{'rescaled':>10}{'log likelihood':>16}")
    for name, title in _ROWS.items():
        if name in vectors or name in likelihoods:
            measured = vectors.get(name, {})
            cells = (
                _number(measured.get("wasserstein_of_squared_norms"), 18),
                _number(measured.get("wasserstein_of_rescaled_squared_norms"), 10),
                _number(likelihoods.get(name), 16),
            )
            screen.result(f"{title:22}{''.join(cells)}")


def _number(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:,.2f}':>{width}}"
