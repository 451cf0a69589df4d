"""Whether searches in TF32 are as good as in float32, without a device that has it.

`python -m examples.benchmarks.emulated_tf32` runs the form of the embedded generator that GPUs run (on any machine),
in float32 and with what its convolutions multiply rounded to TF32's 11 bits, forwards and backwards; products and sums
stay exact to float32, as a GPU's do. The report faces and the unusual people are searched, 8 and 16 times smaller.
Printed for each: numbers of float32 with the 95 % interval of a bootstrap over the inputs, the number in TF32, and
whether it lies inside.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from examples.benchmarks import optimizer_race
from examples.benchmarks.comparison_inputs import HELDOUT, read_pictures
from examples.benchmarks.comparison_report import patch_distance
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.networks import accelerated
from pulse_jax.generators.priors import flow
from pulse_jax.reports.tables import print_table
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Solution

_STORED_BITS = 10  # of a fraction of 11 bits; the exponent is float32's


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared.

    Attributes:
        presets: Presets to search with.
        factors: Downscaling factors.
        count: Inputs of each set at most; all by default.
        lanes: Searches that run at once.
        resamples: Resamples of the bootstrap.
    """

    presets: tuple[str, ...] = ("fast", "pulse")
    factors: tuple[int, ...] = (8, 16)
    count: int | None = None
    lanes: int = 2
    resamples: int = 1000


def round_to_tf32() -> None:
    """Have convolutions of the accelerators' form round what they multiply wherever TF32 is asked for."""
    convolve = accelerated._conv  # pyright: ignore[reportPrivateUsage]

    def rounded(x: jax.Array, kernel: jax.Array, *static: object) -> jax.Array:
        if static[-1] == jax.lax.Precision.HIGH:
            x, kernel = (jax.lax.reduce_precision(one, 8, _STORED_BITS) for one in (x, kernel))
        return convolve(x, kernel, *static)

    accelerated._conv = jax.custom_vjp(rounded, nondiff_argnums=(2, 3, 4, 5))  # pyright: ignore
    backward = accelerated._conv_backward  # pyright: ignore[reportPrivateUsage]
    accelerated._conv.defvjp(lambda x, kernel, *static: (rounded(x, kernel, *static), kernel), backward)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What single searches came to, an entry for each input: evaluations (`inf` where ε was missed), rows, pictures."""

    evaluations: np.ndarray
    errors: np.ndarray
    norms: np.ndarray
    pictures: np.ndarray

    def some(self, chosen: np.ndarray) -> "Measured":
        """Those of the chosen inputs."""
        return Measured(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def measured(generator: Generator, found: Sequence[Solution]) -> Measured:
    """Return what solutions came to."""
    assert generator.flow is not None
    w = jnp.stack([one.w for one in found])
    norms = np.asarray(jnp.linalg.norm(flow.forward(generator.flow, w)[0], axis=-1)).mean(-1)
    return Measured(
        np.array([one.evaluations if one.feasible else np.inf for one in found]),
        np.array([one.downscaling_error for one in found]),
        norms / generator.latent_dim**0.5,
        np.stack([one.image for one in found]),
    )


def numbers(others: np.ndarray) -> Mapping[str, Callable[[Measured], float]]:
    """Return what is compared, by name; patches are compared with those of other renders."""
    return {
        "feasible": lambda one: float(np.mean(np.isfinite(one.evaluations))),
        "evaluations, median": lambda one: float(np.quantile(one.evaluations, 0.5, method="higher")),
        "90 %": lambda one: float(np.quantile(one.evaluations, 0.9, method="higher")),
        "error, median": lambda one: float(np.median(one.errors)),
        "norm under the flow ÷ √d": lambda one: float(np.mean(one.norms)),
        "patches": lambda one: patch_distance(one.pictures, others),
    }


def rows(found: Sequence[Measured], others: np.ndarray, resamples: int) -> list[list[str]]:
    """Return a line for each number: float32's, its interval, TF32's, whether that is inside."""
    single, rounded = found
    rng, lines = np.random.default_rng(0), []
    draws = [rng.integers(0, len(single.errors), len(single.errors)) for _ in range(resamples)]
    for name, number in numbers(others).items():
        # A distance of patches takes a second; a bootstrap of fewer resamples does for it.
        some = draws[:50] if name == "patches" else draws
        low, high = np.quantile([number(single.some(draw)) for draw in some], [0.025, 0.975], method="nearest")
        other = number(rounded)
        inside = "yes" if low <= other <= high else "no"
        lines.append([name, f"{number(single):.3g}", f"{low:.3g} to {high:.3g}", f"{other:.3g}", inside])
    return lines


def main(options: Options) -> None:
    """Search in both and print a table for each preset and set."""
    round_to_tf32()
    generator = load_generator().prepared("gpu")
    _, others = read_pictures(HELDOUT / "tune")
    race = optimizer_race.Options(factors=options.factors, count=options.count, lanes=options.lanes)
    for inputs in optimizer_race.input_sets(race):
        for name in options.presets:
            found = []
            for precision in ("float32", "tf32"):
                config = presets.PRESETS[name](precision=precision)
                assert isinstance(config, SearchConfig)
                found.append(measured(generator, optimizer_race.search(generator, config, inputs, race, 1)[0]))
            pictures = 255 * np.sqrt(np.mean(np.square(found[0].pictures - found[1].pictures), axis=(1, 2, 3)))
            title = f"{name}, {inputs.name}: {len(inputs)} inputs, pictures {np.median(pictures):.2g} levels apart"
            heads = ("", "float32", "95 % of a bootstrap", "TF32", "inside")
            print_table(title, heads, rows(found, others, options.resamples))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
