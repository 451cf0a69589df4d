"""Every preset on the same inputs, side by side: `python -m examples.benchmarks.compare_presets --output compared`.

Inputs are held-out renders reduced 8 and 16 times, people as the training set never shows them, and blurred and noisy
inputs (see comparison_inputs.py). All presets search with the same ε and the embedded generator. Results come as
`compared.json`, tables in `compared.md`, a sheet of some inputs in `compared.png`, and a page of all, `index.html`.

What has been searched is kept, input by input: the same command goes on where it was stopped, and `--presets a,b` adds
to what is there. A preset that this generator cannot serve is left out, and told.
"""

import dataclasses
import itertools
import json
import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
import tyro

from examples.benchmarks import comparison_report
from examples.benchmarks.comparison_inputs import HELDOUT, InputSet, input_sets, read_pictures
from pulse_jax.engine.checkpoints import fingerprint
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.priors import flow, gaussian
from pulse_jax.images.files import save_png
from pulse_jax.reports import metrics
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import Problem, Solution, rank
from pulse_jax.search.space import mapped, split_features
from pulse_jax.system.text import differences

_DIVERSE = 4  # solutions whose differences are measured
_TELL_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared, and where the results go.

    Attributes:
        output: Folder of the results, gone on with if it holds some.
        presets: Names with commas between them; all by default.
        split: Which held-out renders are searched for; the other ones are what solutions' patches are compared with.
        inputs: Inputs of each kind at most; all by default.
        restarts: Searches of the first held-out renders, whose solutions' diversity is measured; of the others one.
        diverse: How many these first inputs are.
        steps: Steps of a search at most; a preset's own number where that is less.
        eps: The largest error that is feasible.
        seed: What starts are drawn from.
        lanes: Searches that run at once.
        shown: Inputs of each kind on the sheet.
        generator: Generator folder; the embedded one by default.
    """

    output: pathlib.Path = pathlib.Path("compared")
    presets: str = ""
    split: Literal["tune", "report"] = "tune"
    inputs: int | None = None
    restarts: int = 4
    diverse: int = 25
    steps: int | None = None
    eps: float = 1e-3
    seed: int = 0
    lanes: int = 8
    shown: int = 3
    generator: pathlib.Path | None = None


def configuration(name: str, options: Options) -> UpsamplingConfig:
    """Return the preset at the common ε, with no more steps than asked for."""
    preset = presets.PRESETS[name]
    steps = preset().steps
    return preset(eps=options.eps, steps=steps if options.steps is None else min(steps, options.steps))


class Ledger:
    """What is finished of one preset, a JSON line for each input below a line with the settings.

    Args:
        path: Path of the file, made if missing.
        settings: What must not have changed, JSON values by name.

    Attributes:
        records: Records by set and input.

    Raises:
        SystemExit: The file was made with other settings.
    """

    def __init__(self, path: pathlib.Path, settings: Mapping[str, Any]) -> None:
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self._path = path
        wanted = json.loads(json.dumps(settings))
        whole = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        # A line that a killed process did not finish is dropped.
        path.write_bytes(b"".join(line + b"\n" for line in whole) or self._line(wanted))
        for number, line in enumerate(whole):
            record = json.loads(line)
            if number == 0 and (told := differences(record, wanted)):
                raise SystemExit(f"{path}: made with other settings ({'; '.join(told)}); choose another --output")
            if number:
                self.records[record["set"], record["input"]] = record

    def add(self, record: dict[str, Any]) -> None:
        """Keep one input's record."""
        self.records[record["set"], record["input"]] = record
        with open(self._path, "ab") as file:
            file.write(self._line(record))

    @staticmethod
    def _line(record: Mapping[str, Any]) -> bytes:
        return json.dumps(record, allow_nan=False).encode() + b"\n"


def rows_of_w(generator: Generator, config: UpsamplingConfig, solution: Solution) -> np.ndarray | None:
    """Return the different rows of w (n, d) that a solution was drawn from; None of an interpolation."""
    if not isinstance(config, SearchConfig):
        return None
    latent, _ = split_features(generator, config, jax.numpy.asarray(solution.latent))
    rows, _ = mapped(generator, config, latent)
    return np.asarray(rows)


def latent_norms(generator: Generator, config: UpsamplingConfig, solutions: Sequence[Solution]) -> dict[str, Any]:
    """Return `metrics.norm_statistics` of w, made nearly Gaussian by PULSE's whitening and by the flow, if any."""
    rows = [rows for solution in solutions if (rows := rows_of_w(generator, config, solution)) is not None]
    if not rows or not all(np.isfinite(row).all() for row in rows):
        return {}
    w = jax.numpy.asarray(np.concatenate(rows))
    spaces: dict[str, Any] = {}
    if generator.gaussian_fit is not None:
        spaces["whitened"] = gaussian.w_to_whitened(w, generator.gaussian_fit)
    if generator.flow is not None:
        spaces["flow"] = flow.forward(generator.flow, w)[0]
    return {name: dataclasses.asdict(metrics.norm_statistics(np.asarray(u))) for name, u in spaces.items()}


def judged(
    generator: Generator,
    config: UpsamplingConfig,
    truth: np.ndarray,
    factor: int,
    ranked: Sequence[Solution],
    step_seconds: float | None,
) -> dict[str, Any]:
    """Return one input's numbers; `ranked` are its solutions, best first. Fidelity is that of the first search's."""
    ordered = sorted(ranked, key=lambda solution: solution.restart)
    first = ordered[0].image
    sets = {"made": ranked, "feasible": [solution for solution in ranked if solution.feasible]}
    diversity = {
        name: metrics.pairwise_diversity(np.stack([s.image for s in some[:_DIVERSE]]), factor)
        for name, some in sets.items()
        if len(some) >= _DIVERSE
    }
    psnr = float(metrics.psnr(first, truth))
    return {
        "psnr": psnr if np.isfinite(psnr) else None,
        "ssim": metrics.ssim(first, truth),
        "diversity": diversity,
        "norms": latent_norms(generator, config, ranked),
        "step_seconds": step_seconds,
        "searches": [
            {
                "restart": solution.restart,
                "feasible": solution.feasible,
                "error": solution.downscaling_error,
                "steps": solution.steps,
                "feasible_at": solution.feasible_at,
                "status": solution.status.name,
            }
            for solution in ordered
        ],
    }


def search(
    name: str, generator: Generator, config: UpsamplingConfig, inputs: InputSet, ledger: Ledger, options: Options
) -> None:
    """Make all searches of one set that are still to be made, and keep each input when it has all of them."""
    problems = [
        Problem(low_res=low_res, index=index, restarts=_restarts(config, inputs, index, options), seed=options.seed)
        for index, low_res in enumerate(inputs.low_res)
        if (inputs.name, inputs.names[index]) not in ledger.records
    ]
    if not problems:
        return
    folder = options.output / name / inputs.name
    folder.mkdir(parents=True, exist_ok=True)
    standing: list[Progress] = []
    made: dict[int, list[Solution]] = {}
    done, told = 0, time.monotonic()
    for solution in solve_stream(problems, generator, config=config, lanes=options.lanes, on_chunk=standing.append):
        group = made.setdefault(solution.index, [])
        group.append(solution)
        if len(group) < _restarts(config, inputs, solution.index, options):
            continue
        ranked, label = rank(made.pop(solution.index)), inputs.names[solution.index]
        save_png(folder / f"{label}.png", next(one.image for one in ranked if one.restart == 0))
        truth, factor = inputs.truths[solution.index], len(ranked[0].image) // inputs.low_res.shape[1]
        numbers = judged(generator, config, truth, factor, ranked, step_seconds(standing, options.lanes))
        ledger.add({"set": inputs.name, "input": label, **numbers})
        done += 1
        if done == len(problems) or time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            print(f"{name}, {inputs.name}: {done} of {len(problems)} inputs", flush=True)


def _restarts(config: UpsamplingConfig, inputs: InputSet, index: int, options: Options) -> int:
    """How often an input is searched for: an interpolation has one solution."""
    several = isinstance(config, SearchConfig) and inputs.name == "8x" and index < options.diverse
    return options.restarts if several else 1


def step_seconds(standing: Sequence[Progress], lanes: int) -> float | None:
    """Return the seconds of a step of all lanes, compilation aside; None before the first chunk has ended.

    The median of the chunks, because other work on the machine must not count.
    """
    costs = []
    for before, after in itertools.pairwise([Progress(0, 0, 0, 0, 0.0, 0.0, 0.0), *standing]):
        if after.lane_steps > before.lane_steps:
            seconds = (after.seconds - after.compile_seconds) - (before.seconds - before.compile_seconds)
            costs.append(seconds / ((after.lane_steps - before.lane_steps) / lanes))
    return statistics.median(costs) if costs else None


def compare(options: Options, generator: Generator) -> dict[str, Any]:
    """Search what is missing, write the report and return its numbers."""
    names = [name.strip() for name in options.presets.split(",") if name.strip()] or list(presets.PRESETS)
    unknown = sorted(set(names) - set(presets.PRESETS))
    if unknown:
        raise SystemExit(f"--presets: expected some of {', '.join(presets.PRESETS)}, got {', '.join(unknown)}")
    sets = input_sets(options.split, options.inputs)
    if generator.resolution != sets[0].truths.shape[1]:
        raise SystemExit(f"--generator: expected one of {sets[0].truths.shape[1]} pixels, got {generator.resolution}")
    options.output.mkdir(parents=True, exist_ok=True)
    configs = {name: configuration(name, options) for name in names}
    ledgers = {
        name: Ledger(options.output / f"{name}.jsonl", settings(generator, config, options))
        for name, config in configs.items()
    }
    left_out = {}
    for inputs in sets:
        for name in names:
            if name in left_out:
                continue
            try:
                search(name, generator, configs[name], inputs, ledgers[name], options)
            except ValueError as error:
                left_out[name] = str(error)
    _, others = read_pictures(HELDOUT / ("report" if options.split == "tune" else "tune"))
    compared = comparison_report.write(options.output, sets, others, options.eps, options.shown)
    for name, why in left_out.items():
        print(f"{name}: left out ({why})")
    print(f"Look at {options.output / 'compared.png'} and {options.output / 'index.html'}")
    return compared


def settings(generator: Generator, config: UpsamplingConfig, options: Options) -> dict[str, Any]:
    """Return what must be the same for a preset's results to belong together."""
    plain = {name: getattr(options, name) for name in ("split", "restarts", "diverse", "seed")}
    return {**fingerprint(generator, config, options.lanes, jax.local_devices()[0]), **plain}


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    compare(chosen, load_generator(chosen.generator))
