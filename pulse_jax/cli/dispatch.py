"""From the options of a command to the function that does it: options and a screen in, the exit code out."""

from pulse_jax.cli.benchmark import run_benchmark
from pulse_jax.cli.convert import run_convert
from pulse_jax.cli.demo import run_demo
from pulse_jax.cli.downscale import run_downscale
from pulse_jax.cli.fit_prior import run_fit_prior
from pulse_jax.cli.info import run_info
from pulse_jax.cli.options import Benchmark, Command, Convert, Demo, Downscale, FitPrior, Info, Sample, Upsample
from pulse_jax.cli.sample import run_sample
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.system import devices
from pulse_jax.system.screen import Screen

__all__ = ["run"]


def run(options: Command) -> int:
    """Runs one command; the exit code.

    Raises:
        UsageError: a setting is out of range or the output folder cannot be used; nothing was written.
        RunError: a generator or another file cannot be used, or writing failed.
    """
    devices.use_compilation_cache()
    screen = Screen()
    match options:
        case Upsample():
            return run_upsample(options, screen)
        case Downscale():
            return run_downscale(options, screen)
        case Demo():
            return run_demo(options, screen)
        case Sample():
            return run_sample(options, screen)
        case Convert():
            return run_convert(options, screen)
        case FitPrior():
            return run_fit_prior(options, screen)
        case Benchmark():
            return run_benchmark(options, screen)
        case Info():
            return run_info(options, screen)
