"""Which samplers of the posterior mix, and what an effective sample costs: `python -m examples.benchmarks.samplers`.

Report faces at 8x; of each, eight chains from their own random starts, with the σ that the first sampler found. R-hat
and effective sample sizes are of the ten principal components of what the input does not show, as `pulse-jax
sample-posterior` tells them. Results are kept as they come, one line of JSON each; the same command goes on where it
was stopped.
"""

import dataclasses
import json
import pathlib
import time

import numpy as np
import tyro

import pulse_jax
from pulse_jax.engine.posterior import Sampling, drawn_pictures, sample_posterior
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.reports.mixing import MIXED, mixing
from pulse_jax.search.config import LatentSpace
from pulse_jax.search.diversity import unseen_parts
from pulse_jax.search.posterior import posterior_config

FACES = pathlib.Path(__file__).parents[1] / "heldout" / "report"
FACTOR = 8


@dataclasses.dataclass(frozen=True)
class Options:
    """What is sampled.

    Attributes:
        output: File of the results.
        runs: Samplers, each with its number of draws of each chain and of faces, such as `geodesic_hmc,80,10`.
        chains: Chains of each face.
        warm_up: Looks of each chain before it draws.
        space: Space of the latents.
    """

    output: pathlib.Path = pathlib.Path("samplers.jsonl")
    runs: tuple[str, ...] = (
        "geodesic_hmc,80,10",
        "geodesic_slice,40,10",
        "elliptical_slice,40,10",
        "riemannian_langevin,40,10",
        "parallel_tempering,8,1",
    )
    chains: int = 8
    warm_up: int = 800
    space: LatentSpace = "w+"


def measured(options: Options, sampler: str, draws: int, face: pathlib.Path, sigma: float | None) -> dict:
    """Sample one face's posterior; return what came of it."""
    generator = pulse_jax.load_generator()
    config = posterior_config(sampler, space=options.space)
    low_res = Bicubic(FACTOR).apply_float64(read_image(face).pixels).astype(np.float32)
    sampling = Sampling(sampler=sampler, chains=options.chains, draws=draws, warm_up=options.warm_up, sigma=sigma)
    began, spent = time.monotonic(), time.process_time()
    posterior = sample_posterior(generator, low_res, config, sampling)
    seconds, spent = time.monotonic() - began, time.process_time() - spent
    pictures = (picture / 255 for picture in drawn_pictures(generator, config, posterior))
    judged = mixing(unseen_parts(pictures, FACTOR, None), options.chains)
    return {
        "r_hat": judged.r_hat,
        "effective": judged.effective,
        "sigma": posterior.sigma,
        "error": float(posterior.errors.mean()),
        "acceptance": posterior.acceptance,
        "exchanges": posterior.exchanges,
        "temperatures": posterior.temperatures,
        "step": posterior.steps[0],
        "looks": posterior.looks,
        "warm_up_looks": posterior.warm_up_looks,
        "seconds": seconds,
        "processor_seconds": spent,
    }


def main(options: Options) -> None:
    """Measure what is missing, and print a line for each sampler."""
    done = {}
    if options.output.exists():
        for line in options.output.read_text().splitlines():
            row = json.loads(line)
            done[row["sampler"], row["draws"], row["face"]] = row
    faces, sigmas = sorted(FACES.glob("*.png")), {}
    for run in options.runs:
        sampler, draws, count = run.split(",")
        rows = []
        for face in faces[: int(count)]:
            key = (sampler, int(draws), face.stem)
            if key not in done:
                row = dict(zip(("sampler", "draws", "face"), key, strict=True))
                row |= measured(options, sampler, int(draws), face, sigmas.get(face.stem))
                with options.output.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                done[key] = row
            rows.append(done[key])
            # All sample the same posterior: that of the first.
            sigmas.setdefault(face.stem, done[key]["sigma"])
        worst = [max(row["r_hat"]) for row in rows]
        least = [min(row["effective"]) for row in rows]
        costs = [row["looks"] / size for row, size in zip(rows, least, strict=True)]
        print(
            f"{sampler}: {len(rows)} faces, {draws} draws of {options.chains} chains; R-hat {np.median(worst):.2f}, "
            f"at worst {max(worst):.2f}, {sum(one <= MIXED for one in worst)} have mixed; effective sample size "
            f"{np.median(least):.0f}, least {min(least):.0f}; evaluations each {np.median(costs):,.0f}, at worst "
            f"{max(costs):,.0f}; acceptance {np.median([row['acceptance'][0] for row in rows]):.2f}; sigma "
            f"{np.median([row['sigma'] for row in rows]):.3f}, error {np.mean([row['error'] for row in rows]):.1e}; "
            f"{sum(row['processor_seconds'] for row in rows):,.0f} s of processor",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
