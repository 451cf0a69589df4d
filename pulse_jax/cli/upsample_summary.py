"""What a run writes down of itself: its summary, the settings that must stay the same, and commands that repeat it."""

import dataclasses
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pulse_jax.cli.live import Live
from pulse_jax.cli.options import Upsample
from pulse_jax.images.files import ImageError
from pulse_jax.runs.inputs import Input, Wanted
from pulse_jax.runs.writer import Outputs
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import image_number
from pulse_jax.system import devices
from pulse_jax.system.text import duration, printable

__all__ = ["Records"]


class Records:
    """Of one run of `pulse-jax upsample`, once it is known how many lanes it has.

    Args:
        options: of the run.
        command: as which it goes down.
        config: of the searches.
        generator: its `devices.generator_summary`.
        wanted: solutions of each input.
        size: side of the delivered pictures.
        paths: all inputs.

    Attributes:
        settings: what decides the results, JSON values by name; a killed run goes on only if they are the same.
    """

    def __init__(
        self,
        options: Upsample,
        command: str,
        config: UpsamplingConfig,
        generator: dict[str, Any],
        wanted: Wanted,
        size: int,
        paths: Sequence[Path],
    ) -> None:
        self._options = options
        self._command = command
        self._config = config
        self._generator = generator
        self._wanted = wanted
        self._size = size
        self._surroundings = {"versions": devices.versions(), "device": devices.device_summary()}
        listed = "".join(f"{path.absolute()}\0" for path in paths)
        device = self._surroundings["device"]
        self.settings: dict[str, Any] = {
            "inputs": f"{len(paths)} files, {hashlib.sha256(listed.encode(errors='replace')).hexdigest()}",
            "solutions": dataclasses.asdict(wanted),
            "seed": options.seed,
            "lanes": 0,
            "fit": options.fit,
            "init": _sha256(options.init),
            "perceptual": _sha256(options.perceptual),
            "label": options.label,
            "noise_samples": options.noise_samples,
            "save_intermediate": options.save_intermediate,
            "config": dataclasses.asdict(config),
            "generator": generator["sha256"],
            "versions": self._surroundings["versions"],
            "device": f"{device['platform']} {device['kind']}",
        }

    @property
    def lanes(self) -> int:
        """How many searches run at once on each device; 0 before it is decided."""
        return self.settings["lanes"]

    @lanes.setter
    def lanes(self, lanes: int) -> None:
        self.settings["lanes"] = lanes

    @property
    def footer(self) -> str:
        """What stands at the foot of every sheet."""
        options, config = self._options, self._config
        differences = f"Differences are mean squared errors of [0, 1] pictures; eps {config.eps:g}, "
        if not isinstance(config, SearchConfig):
            return differences + f"enlarged by {options.preset} interpolation, without a search."
        return (
            differences + f"preset {options.preset}, at most {config.steps} steps, seed {options.seed}, "
            f"generator {Path(self._generator['folder']).name}. "
            "The people in the solutions are imagined; they do not exist."
        )

    def of_input(self, one: Input) -> dict[str, Any]:
        """What an input's record holds beside its solutions' files."""
        side = len(one.low_res)
        return {
            "input": str(one.path.absolute()),
            "notes": list(one.notes),
            "size": side,
            "factor": self._size // side,
            "image_number": image_number(one.low_res),
        }

    def command(self, one: Input, restart: int) -> str:
        """What makes an input's solution of one restart again, among others: it is the one of the same `restart`."""
        options, config = self._options, self._config
        source = options.output.absolute() / one.name / "input.png"
        words: list[object] = ["pulse-jax", "upsample", source, "--output", "again", "--restarts"]
        words += [restart + 1]
        words += ["--seed", options.seed, "--lanes", self.lanes, "--preset", options.preset]
        words += ["--steps", config.steps, "--eps", config.eps, "--precision", options.precision]
        words += [] if options.output_size is None else ["--output-size", options.output_size]
        words += [] if options.label is None else ["--label", options.label]
        words += ["--noise-samples", options.noise_samples] if options.noise_samples else []
        for name in ("generator", "init", "perceptual"):
            path = getattr(options, name)
            words += [] if path is None else [f"--{name}", path.absolute()]
        return shlex.join(map(str, words))

    def summary(
        self, outputs: Outputs, live: Live, failures: Sequence[ImageError], *, finished: bool
    ) -> dict[str, Any]:
        """The entries of `summary.json`, its inputs left to be filled in."""
        options, standing = self._options, live.standing
        return {
            "command": self._command,
            "finished": finished,
            "solutions": outputs.solutions,
            "feasible": outputs.feasible,
            "seed": options.seed,
            "restarts": self._wanted.searches,
            "solutions_per_input": self._wanted.count,
            "lanes": self.lanes,
            "preset": options.preset,
            "config": dataclasses.asdict(self._config),
            "init": None if options.init is None else str(options.init.absolute()),
            "perceptual": None if options.perceptual is None else str(options.perceptual.absolute()),
            "label": options.label,
            "generator": self._generator,
            **self._surroundings,
            "settings": self.settings,
            "speed": {
                "steps": standing.steps,
                "seconds": standing.seconds,
                "compile_seconds": standing.compile_seconds,
                "idle_seconds": standing.idle_seconds,
                "steps_per_second": live.steps_per_second,
                "peak_memory_bytes": devices.peak_memory(),
            },
            "inputs": [],
            "failed": [{"input": failure.source, "message": failure.message} for failure in failures],
        }

    def verdict(self, outputs: Outputs, live: Live) -> Iterator[tuple[str, str]]:
        """What to tell of a finished run, as lines and their styles."""
        speed = live.steps_per_second
        yield (
            f"{outputs.feasible} of {outputs.solutions} solutions are feasible (error at most {self._config.eps:g}); "
            f"{duration(live.standing.seconds)}" + ("" if speed is None else f", {speed:.0f} steps/s"),
            "",
        )
        if outputs.missed:
            names = ", ".join(printable(name) for name in outputs.missed[:5])
            names += f" and {len(outputs.missed) - 5} more" if len(outputs.missed) > 5 else ""
            advice = " The generator may not be able to draw such pictures; more --restarts or --steps may help."
            yield f"Not feasible: {names}." + (advice if isinstance(self._config, SearchConfig) else ""), "yellow"


def _sha256(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
