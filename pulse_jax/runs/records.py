"""What a run writes down: its summary and settings, and the entries of inputs, solutions and variations."""

import dataclasses
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import jax

from pulse_jax.engine.lanes import groups
from pulse_jax.engine.progress import Progress
from pulse_jax.images.files import ImageError
from pulse_jax.images.formats import suffix_of
from pulse_jax.runs.formats import FORMAT, InputRecord, Settings, SolutionRecord, SolutionsFile, VariationRecord
from pulse_jax.runs.inputs import Input, title_of
from pulse_jax.runs.names import ALIGNMENT_FILE, FACES_SHEET, ORIGINAL, RUN_FILE, RUN_PAGE, RUN_SHEET
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.solution_files import KeptSolution, file_names
from pulse_jax.search.plausibility import UNUSUAL, Plausibility
from pulse_jax.search.problems import Solution, image_number
from pulse_jax.system import devices
from pulse_jax.system.checks import conforms
from pulse_jax.system.errors import RunError
from pulse_jax.system.json_text import json_text, parse_json
from pulse_jax.system.text import printable

__all__ = [
    "SOLUTIONS_FILE",
    "Tally",
    "input_record",
    "moved_command",
    "note_plausibility",
    "read_record",
    "record_bytes",
    "result_files",
    "run_settings",
    "run_summary",
    "solution_record",
    "variation_record",
]

SOLUTIONS_FILE = "solutions.json"
"""The record in an input's folder."""
_DECIMALS = 3  # of percentages
_DIGITS = 4  # of errors on a curve
# What a picture may be called: nothing that leads elsewhere, or that no file can be called.
_FILE = re.compile(r"[\w-][\w.-]{0,99}")


@dataclass
class Tally:
    """What finished inputs of a run come to.

    Attributes:
        inputs: Finished inputs.
        searches: Searches that were made of them.
        solutions: Solutions that were delivered.
        feasible: Feasible ones among these.
        missed: File names of the inputs without any feasible solution, and the lowest error of each.
        moved: The most by which any solution was moved away from what the generator draws.
        compared: Solutions whose plausibility is known.
        unusual: Those among these that are less plausible than 99 % of the generator's own samples.
    """

    inputs: int = 0
    searches: int = 0
    solutions: int = 0
    feasible: int = 0
    missed: list[tuple[str, float]] = field(default_factory=list)
    moved: float = 0.0
    compared: int = 0
    unusual: int = 0

    @property
    def delivered(self) -> dict[str, int]:
        """What `summary.json` counts of the solutions."""
        unusual = {"unusual": self.unusual} if self.compared else {}
        return {"solutions": self.solutions, "feasible": self.feasible, **unusual}

    def add(self, record: InputRecord) -> None:
        """Count one more finished input."""
        feasible = sum(entry["feasible"] for entry in record["solutions"])
        self.inputs += 1
        self.searches += record["searches"]
        self.solutions += len(record["solutions"])
        self.feasible += feasible
        self.moved = max([self.moved, *(entry.get("moved", 0.0) for entry in record["solutions"])])
        known = [entry["plausibility"] for entry in record["solutions"] if "plausibility" in entry]
        self.compared += len(known)
        self.unusual += sum(share < UNUSUAL for share in known)
        if not feasible:
            errors = [entry["downscaling_error"] for entry in record["solutions"]]
            lowest = min((e for e in errors if e is not None), default=math.inf)
            self.missed.append((title_of(Path(record["input"]), record.get("face", 0)), lowest))


def result_files(plan: RunPlan) -> list[str]:
    """Return every file that a run may write but its summary; not all variations and animations come to be."""
    pairs = file_names(plan.quota.count, suffix_of(plan.format))
    variations, animations = plan.additions.variations, plan.additions.animations
    if variations is not None:
        draws = range(1, variations.draws + 1)
        pairs += [variations.picture_names(pair, number) for pair in pairs for number in draws]
    moving = () if animations is None else animations.names
    pictures = [file for pair in pairs for file in pair]
    sheet = [RUN_SHEET] if plan.sheets else []
    each = ["input.png", *pictures, *moving, "solutions.npz", SOLUTIONS_FILE, *sheet]
    files = [f"{plan.names[path]}/{file}" for path in plan.inputs for file in each]
    files += [f"{name}/{ORIGINAL}" for name in sorted({*plan.names.values()} & {*plan.originals})]
    faces = [] if plan.alignment is None else [ALIGNMENT_FILE, *([FACES_SHEET] if plan.sheets else [])]
    return files + [RUN_PAGE] + sheet + faces + ([RUN_FILE] if plan.options else [])


def run_settings(plan: RunPlan, lanes: int) -> Settings:
    """Return what decides the results of a run: an unfinished one goes on only if all of it is the same.

    Args:
        plan: Plan of the run.
        lanes: Searches at once on each device, as was decided; how many share a program is what counts.
    """
    device = jax.local_devices()[0]
    settings: dict[str, Any] = {
        "solutions": dataclasses.asdict(plan.quota),
        "lanes": groups(device, lanes, strict=plan.strict)[0],
        **plan.deciding,
        "config": dataclasses.asdict(plan.config),
        "generator": plan.generator_record["sha256"],
        "versions": plan.versions,
        "device": devices.kind_of_device(device),
    }
    return cast(Settings, settings)


def run_summary(
    plan: RunPlan,
    lanes: int,
    settings: Settings,
    tally: Tally,
    failures: Sequence[ImageError],
    standing: Progress,
    *,
    finished: bool = False,
) -> dict[str, Any]:
    """Return the entries of `summary.json` that a run has by itself, its inputs left to be filled in.

    Args:
        plan: Plan of the run.
        lanes: Searches at once on each device, as was decided.
        settings: What `run_settings` returns.
        tally: What finished inputs come to.
        failures: What is wrong with inputs that cannot be used.
        standing: Where the searches stand.
        finished: Whether nothing is left to do.
    """
    return {
        "command": plan.command,
        "finished": finished,
        **tally.delivered,
        "restarts": plan.quota.searches,
        "solutions_per_input": plan.quota.count,
        "lanes": lanes,
        **plan.reported,
        "config": settings["config"],
        "generator": plan.generator_record,
        "versions": plan.versions,
        "device": plan.device,
        "selfcheck": plan.selfcheck,
        "position_independent": standing.position_independent,
        "settings": settings,
        "speed": {
            "steps": standing.steps,
            "seconds": standing.seconds,
            "compile_seconds": standing.compile_seconds,
            "idle_seconds": standing.idle_seconds,
            "steps_per_second": standing.steps_per_second,
            "peak_memory_bytes": devices.peak_memory(),
        },
        **({} if plan.shard_record is None else {"shard": plan.shard_record}),
        "inputs": [],
        "failed": [{"input": failure.source, "message": failure.message} for failure in failures],
    }


def input_record(plan: RunPlan, one: Input, solutions: list[SolutionRecord]) -> InputRecord:
    """Return the entry of a finished input.

    Args:
        plan: Plan of the run.
        one: Input, of which all searches have ended.
        solutions: Entries of its solutions, best first.
    """
    record: InputRecord = {
        "input": str(one.path.absolute()),
        "notes": list(one.notes),
        "size": len(one.low_res),
        "factor": plan.factor(one),
        "image_number": image_number(one.low_res),
        "solved": f"{one.name}/input.png",
        "latents": f"{one.name}/solutions.npz",
        "sheet": f"{one.name}/sheet.png" if plan.sheets else None,
        "searches": len(one.ended),
        "solutions": solutions,
    }
    if one.name in plan.originals:
        record["original"] = f"{one.name}/{ORIGINAL}"
    if one.face:
        record["face"] = one.face
    return record


def read_record(run: Path, name: str) -> InputRecord | None:
    """Return the record in an input's folder; None if it is not there.

    Args:
        run: Folder of the run.
        name: Name of the input's folder.

    Raises:
        RunError: It is damaged, or none of this format.
    """
    file = run / name / SOLUTIONS_FILE
    try:
        record = parse_json(file.read_bytes())
        required = {"input", "searches", "solutions", "solved", "image_number"}
        if not conforms(record, SolutionsFile) or not required <= set(record):
            raise ValueError("not a record")
        if not all(_is_entry(entry, name) for entry in record["solutions"]):
            raise ValueError("not a record of solutions")
        # One without a number was written before there was any.
        if record.pop("format", FORMAT) != FORMAT:
            raise ValueError("another format")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{printable(file)}: damaged; remove its folder to solve that input again") from error
    return record


def record_bytes(record: InputRecord) -> bytes:
    """Return what the file of an input's record holds."""
    stored: SolutionsFile = {"format": FORMAT, **record}
    return f"{json_text(stored)}\n".encode()


def moved_command(command: str, source: Path) -> str:
    """Return the command that makes a solution again, of an input that now lies elsewhere.

    Args:
        command: Command of the solution, as `RunPlan.repeating` wrote it; another one stays as it is.
        source: The input.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    return shlex.join([*words[:2], str(source), *words[3:]]) if words[:2] == ["pulse-jax", "upsample"] else command


def _is_entry(entry: dict[str, Any], name: str) -> bool:
    """Whether what a record says of a solution, and of its variations, can be judged again."""
    error, (folder, _, file) = entry["downscaling_error"], entry["image"].partition("/")
    variations = entry.get("variations", ())
    return (
        isinstance(entry["feasible"], bool)
        and (error is None or isinstance(error, int | float))
        and folder == name
        and _FILE.fullmatch(file) is not None
        and all(_is_entry(variation, name) for variation in variations)
    )


def solution_record(solution: KeptSolution, files: tuple[str, str], command: str) -> SolutionRecord:
    """Return the entry of a solution.

    Args:
        solution: Solution that is delivered.
        files: Its picture and the downscaled version, relative to the output folder.
        command: What makes it again.
    """
    entry: SolutionRecord = {
        "image": files[0],
        "downscaled": files[1],
        "restart": solution.restart,
        "status": solution.status.name,
        "feasible": solution.feasible,
        "downscaling_error": _number(solution.downscaling_error),
        "search_error": _number(solution.search_error),
        "loss": _number(solution.loss),
        "steps": solution.steps,
        "feasible_at": solution.feasible_at,
        "evaluations": solution.evaluations,
        "moved": solution.moved,
        "command": command,
    }
    if len(solution.curve):
        entry["curve"] = [_number(float(f"{error:.{_DIGITS}g}")) for error in solution.curve]
    return entry


def note_plausibility(entry: SolutionRecord, known: Plausibility) -> None:
    """Note in the entry of a solution how plausible it is, in percent."""
    entry["plausibility"] = round(known.picture, _DECIMALS)
    if known.latent is not None:
        entry["latent_plausibility"] = round(known.latent, _DECIMALS)


def variation_record(variation: Solution, files: tuple[str, str]) -> VariationRecord:
    """Return the entry of a variation: the number of its draw, its files, and its own errors and verdict.

    Args:
        variation: Variation of a solution.
        files: Its picture and the downscaled version, relative to the output folder.
    """
    return {
        "variation": variation.variation,
        "image": files[0],
        "downscaled": files[1],
        "feasible": variation.feasible,
        "downscaling_error": _number(variation.downscaling_error),
        "search_error": _number(variation.search_error),
        "loss": _number(variation.loss),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
