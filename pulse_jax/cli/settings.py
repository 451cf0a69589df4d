"""What the options of a run stand for: the config of its searches, the size of its pictures, the given starts."""

from pathlib import Path

from pulse_jax.cli.options import Upsample
from pulse_jax.generators.generator import Generator
from pulse_jax.runs.solution_files import read_solutions
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.search.presets import INTERPOLATIONS, PRESETS
from pulse_jax.search.problems import Start
from pulse_jax.search.requirements import output_size
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["given_config", "given_size", "given_start"]


def given_config(options: Upsample) -> UpsamplingConfig:
    """The preset with all that is given otherwise; raises `UsageError` for what is out of range."""
    names = ["steps", "eps", "output_size"] + ([] if options.preset in INTERPOLATIONS else ["precision"])
    overrides = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.perceptual is not None:
        overrides["perceptual"] = True
    try:
        return PRESETS[options.preset](**overrides)
    except ValueError as error:
        raise _of_flag(error) from error


def given_size(generator: Generator, config: UpsamplingConfig) -> int:
    """The side of the delivered pictures; raises `UsageError` if the generator cannot make such ones."""
    try:
        return output_size(generator, config)
    except ValueError as error:
        raise _of_flag(error) from error


def _of_flag(error: ValueError) -> UsageError:
    """A setting's error, which begins with its name, as its flag's."""
    return UsageError(f"--{str(error).replace('_', '-', 1)}")


def given_start(
    path: Path | None, searches: int, config: UpsamplingConfig, generator: Generator, sha256: str, screen: Screen
) -> Start | None:
    """The first solutions of a `solutions.npz`, checked against the run that is to start from them.

    Args:
        path: of the file; None if searches draw their starts.
        searches: of each input, one for each solution.
        config, generator: of the run.
        sha256: of the generator's description; if the file has another, the user is told.
        screen: where.

    Raises:
        UsageError: there are too few solutions.
        RunError: the file cannot be used, or was searched in another way or in a generator of another shape.
    """
    if path is None:
        return None
    name = printable(path)
    stored = read_solutions(path)
    if len(stored.latents) < searches:
        raise UsageError(
            f"{name}: holds {len(stored.latents)} solutions to start from, expected one for each of the "
            f"{searches} restarts; use --restarts {len(stored.latents)}"
        )
    for setting in ("space", "start"):
        theirs, ours = getattr(stored.config, setting), getattr(config, setting)
        if theirs != ours:
            raise RunError(f"{name}: searched with {setting} {theirs!r}, expected {ours!r}; use the same --preset")
    stored.check(generator, name)
    if stored.generator != sha256:
        screen.note(f"{name} was made with another generator of the same shape, or another label.")
    return Start(stored.latents[:searches], tuple(noise[:searches] for noise in stored.noise))
