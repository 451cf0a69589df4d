"""All commands: a row says where a command's options and its work are (no JAX)."""

from typing import NamedTuple

from pulse_jax.cli.options.align import Align
from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.cli.options.convert import Convert
from pulse_jax.cli.options.demo import Demo
from pulse_jax.cli.options.downscale import Downscale
from pulse_jax.cli.options.evaluate import Evaluate
from pulse_jax.cli.options.export import Export
from pulse_jax.cli.options.fit_niqe import FitNiqe
from pulse_jax.cli.options.fit_prior import FitPrior
from pulse_jax.cli.options.fit_start import FitStart
from pulse_jax.cli.options.info import Info
from pulse_jax.cli.options.latents import Latents
from pulse_jax.cli.options.merge import Merge
from pulse_jax.cli.options.paste import Paste
from pulse_jax.cli.options.sample import Sample
from pulse_jax.cli.options.sample_posterior import SamplePosterior
from pulse_jax.cli.options.selfcheck import Selfcheck
from pulse_jax.cli.options.serve import Serve
from pulse_jax.cli.options.study import StudyAnalyse, StudyMake
from pulse_jax.cli.options.upsample import Upsample

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """One command of `pulse-jax`.

    Attributes:
        options: Dataclass of its options, with a method `check` that raises `UsageError`.
        function: `module:name` of the function that does it: options and a screen in, the exit code out. Its module
            is imported when the command runs and not before.
    """

    options: type
    function: str


COMMANDS = {
    "upsample": Command(Upsample, "pulse_jax.cli.upsample:run_upsample"),
    "serve": Command(Serve, "pulse_jax.cli.serve:run_serve"),
    "merge": Command(Merge, "pulse_jax.cli.merge:run_merge"),
    "downscale": Command(Downscale, "pulse_jax.cli.downscale:run_downscale"),
    "align": Command(Align, "pulse_jax.cli.align:run_align"),
    "paste": Command(Paste, "pulse_jax.cli.paste:run_paste"),
    "demo": Command(Demo, "pulse_jax.cli.demo:run_demo"),
    "evaluate": Command(Evaluate, "pulse_jax.cli.evaluate:run_evaluate"),
    "sample": Command(Sample, "pulse_jax.cli.sample:run_sample"),
    "sample-posterior": Command(SamplePosterior, "pulse_jax.cli.sample_posterior:run_sample_posterior"),
    "latents": Command(Latents, "pulse_jax.cli.latents:run_latents"),
    "convert": Command(Convert, "pulse_jax.cli.convert:run_convert"),
    "export": Command(Export, "pulse_jax.cli.export:run_export"),
    "fit-prior": Command(FitPrior, "pulse_jax.cli.fit_prior:run_fit_prior"),
    "fit-start": Command(FitStart, "pulse_jax.cli.fit_start:run_fit_start"),
    "fit-niqe": Command(FitNiqe, "pulse_jax.cli.fit_niqe:run_fit_niqe"),
    "benchmark": Command(Benchmark, "pulse_jax.cli.benchmark:run_benchmark"),
    "study make": Command(StudyMake, "pulse_jax.cli.study_make:run_study_make"),
    "study analyse": Command(StudyAnalyse, "pulse_jax.cli.study_analyse:run_study_analyse"),
    "selfcheck": Command(Selfcheck, "pulse_jax.cli.selfcheck:run_selfcheck"),
    "info": Command(Info, "pulse_jax.cli.info:run_info"),
}
"""By name, one word or two, in the order in which `--help` lists them."""
