"""The command `sample-posterior`: draws from all pictures that an input could have come from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.fitting import Bars, UnderWay, go_on
from pulse_jax.cli.options.sample_posterior import SamplePosterior
from pulse_jax.engine.checkpoints import fingerprint
from pulse_jax.engine.posterior import Posterior, Sampling, drawn_pictures, sample_posterior
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, read_image, save_png
from pulse_jax.images.inputs import fit_low_res
from pulse_jax.images.rounding import to_uint8
from pulse_jax.reports.mixing import MIXED, Mixing, mixing
from pulse_jax.reports.posterior import deviation_picture, moments, posterior_sheet
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.diversity import unseen_parts
from pulse_jax.search.posterior import posterior_config
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_sample_posterior"]

_MEAN, _DEVIATION, _SHEET, _ARRAYS = "mean.png", "deviation.png", "posterior.png", "posterior.npz"


def run_sample_posterior(options: SamplePosterior, screen: Screen) -> int:
    """Draw pictures, judge whether the chains have mixed, and write all of it.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 128 plus the signal's number if one ended the sampling.

    Raises:
        UsageError: A setting does not suit, the output folder cannot be used, or an unfinished run has other settings.
        RunError: The input, the generator or the disk cannot be used.
    """
    try:
        config = posterior_config(
            options.sampler, space=options.space, degradation=options.degradation, eps=options.eps
        )
    except ValueError as error:
        raise UsageError(f"--{error}") from error
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, (options.input,))
    generator = generators.with_label(generators.open_generator(options.generator), options.label)
    if config.space == "z":
        generators.check_mapping(generator, options.generator)
    generator = generators.with_fit(generator, options.generator, config, options.label, screen)
    low_res, notes = _read(options, generator, config)
    for note in notes:
        screen.note(f"{printable(options.input.name)}: {note}")
    sampling = Sampling(
        sampler=options.sampler,
        chains=options.chains,
        draws=-(-options.samples // options.chains),
        thinning=options.thinning,
        warm_up=options.warm_up,
        sigma=options.sigma,
        seed=options.seed,
    )

    def work(under_way: UnderWay) -> None:
        posterior = _sampled(generator, low_res, config, sampling, under_way, screen)
        under_way.interrupt.searched()
        _write(options, folder, generator, low_res, config, sampling, posterior, screen)

    device = jax.devices()[0]
    settings = fingerprint(generator, config, sampling.chains, device) | {
        "sampling": vars(sampling),
        "input": low_res.tolist(),
    }
    place = options.output.absolute().with_name(f".{options.output.absolute().name}.sample-posterior")
    return go_on(place, options.output, settings, generator, screen, work)


def _read(options: SamplePosterior, generator: Generator, config: SearchConfig) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        picture = read_image(options.input)
        sizes = admissible_sizes(generator.resolution, config)
        pixels, notes = fit_low_res(
            picture.pixels, generator.resolution, options.fit, sizes=sizes, source=options.input
        )
    except ImageError as error:
        raise RunError(printable(error, 600)) from error
    return np.asarray(pixels, np.float32), (*picture.notes, *notes)


def _sampled(
    generator: Generator,
    low_res: np.ndarray,
    config: SearchConfig,
    sampling: Sampling,
    under_way: UnderWay,
    screen: Screen,
) -> Posterior:
    if under_way.saved is not None:
        screen.note("going on with an earlier run")

    with Bars(screen) as bars:
        return sample_posterior(
            generator,
            low_res,
            config,
            sampling,
            saved=under_way.saved,
            keep=under_way.keep,
            on_progress=bars.tell,
        )


def _write(
    options: SamplePosterior,
    folder: RunFolder,
    generator: Generator,
    low_res: np.ndarray,
    config: SearchConfig,
    sampling: Sampling,
    posterior: Posterior,
    screen: Screen,
) -> None:
    count = posterior.errors.size
    names = [f"draw_{number:04}.png" for number in range(1, count + 1)]
    summary: dict[str, Any] = {
        "command": "sample-posterior",
        "input": str(options.input.absolute()),
        "options": {name: _plain(value) for name, value in vars(options).items()},
        "generator": generators.generator_record(generator, options.generator),
        "versions": versions(),
        "device": device_summary(),
    }
    degradation = degradation_of(config, generator.resolution, len(low_res))
    with folder.write_once([*names, _MEAN, _DEVIATION, _SHEET, _ARRAYS], summary) as part:
        errors = np.empty(count)

        def kept() -> Iterator[np.ndarray]:
            for place, picture in enumerate(drawn_pictures(generator, config, posterior)):
                save_png(part / names[place], picture)
                pixels = picture / 255
                errors[place] = np.mean(np.square(degradation.apply_float64(pixels) - low_res))
                yield pixels

        parts = unseen_parts(kept(), degradation, folder=part)
        # From the files: all of them at once might be more than memory holds.
        mean, deviation = moments(to_uint8(read_image(part / name).pixels) for name in names)
        judged = mixing(parts, sampling.chains)
        told = _told(posterior, sampling, judged, errors, options)
        summary["posterior"] = {
            "sigma": posterior.sigma,
            "mean_error": float(errors.mean()),
            # JSON has no other numbers.
            "r_hat": [one if np.isfinite(one) else None for one in judged.r_hat],
            "effective_samples": [one if np.isfinite(one) else None for one in judged.effective],
            "variance_shares": judged.shares,
            "acceptance": posterior.acceptance,
            "exchanges": posterior.exchanges,
            "temperatures": posterior.temperatures,
            "steps": posterior.steps,
            "transitions": posterior.transitions,
            "evaluations": posterior.looks,
            "warm_up_evaluations": posterior.warm_up_looks,
        }
        save_png(part / _MEAN, to_uint8(mean))
        save_png(part / _DEVIATION, to_uint8(deviation_picture(deviation)))
        shown = [
            (f"draw {place + 1}, error {errors[place]:.1e}", to_uint8(read_image(part / names[place]).pixels))
            for place in _spread(count)
        ]
        sheet = posterior_sheet(
            low_res, mean, deviation, shown, title=f"What {options.input.name} could have come from", lines=told
        )
        save_png(part / _SHEET, sheet)
        np.savez(
            part / _ARRAYS,
            allow_pickle=False,
            latents=posterior.draws["latent"].reshape(count, *posterior.draws["latent"].shape[2:]),
            chain=np.repeat(np.arange(sampling.chains), sampling.draws),
            error=errors,
            sigma=posterior.sigma,
            components=judged.components.reshape(count, -1),
            mean=mean.astype(np.float32),
            deviation=deviation.astype(np.float32),
            **{f"noise_{place:02}": one for place, one in enumerate(posterior.noise) if one is not None},
        )
    for line in told:
        screen.result(line)
    screen.result(f"{count} draws; look at {printable(options.output / _SHEET)}", "bold")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _spread(count: int, most: int = 10) -> list[int]:
    """Places that are evenly spread, so that all chains are seen."""
    return sorted({round(place) for place in np.linspace(0, count - 1, most)})


def _told(
    posterior: Posterior, sampling: Sampling, judged: Mixing, errors: np.ndarray, options: SamplePosterior
) -> Sequence[str]:
    """What a user should know, a line each."""
    first = f"sigma {posterior.sigma:.3g}; draws have a mean squared error of {errors.mean():.1e} on average"
    if sampling.sigma is None and errors.mean() > 1.2 * options.eps:
        first += ", more than eps: what this generator draws, or this warm-up, comes no nearer"
    accepted = ", ".join(f"{one:.0%}" for one in posterior.acceptance)
    what = "looks on the slice" if sampling.sampler.endswith("slice") else "acceptance"
    second = f"{errors.size} draws of {sampling.chains} chains by {sampling.sampler}; {what} {accepted}"
    if posterior.exchanges:
        second += f"; exchanges {', '.join(f'{one:.0%}' for one in posterior.exchanges)}"
    lines = [first, second]
    if sampling.draws < 4:
        lines.append("fewer than 4 draws of each chain: nothing is known of how they have mixed")
        return lines
    if not np.all(np.isfinite(judged.r_hat)):
        lines.append("The chains stand still: nothing was sampled; more --warm-up, or another --sampler")
        return lines
    least, worst = min(judged.effective), max(judged.r_hat)
    lines.append(
        f"R-hat {worst:.2f}; effective sample size {least:.0f}, {posterior.looks / least:,.0f} evaluations each "
        "(the worst of ten principal components of what the input does not show)"
    )
    if not judged.has_mixed:
        lines.append(
            f"The chains have not mixed (R-hat above {MIXED:g}): the spread is not yet the posterior's; "
            "more --samples, --warm-up or --thinning"
        )
    return lines
