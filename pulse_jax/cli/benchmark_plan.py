"""The plan of `benchmark`: what a lent card is asked in a few minutes, as `plan.json` and a table that can be kept."""

import datetime
import functools
import importlib.resources
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.generators.architectures import FAMILIES
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.random_weights import random_generator
from pulse_jax.images.files import read_image
from pulse_jax.reports.device_plan import EMBEDDED, Plan, planned_cells
from pulse_jax.reports.tables import markdown
from pulse_jax.runs.folder import RunFolder
from pulse_jax.search.problems import Problem
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.errors import UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_plan"]

# The program that times the original; it needs torch, and is part of this repository but not of the package.
_ORIGINAL = "examples.benchmarks.against_original"
_PATIENCE = 180


def run_plan(options: Benchmark, screen: Screen, make_problems: Callable[[Generator, int], Sequence[Problem]]) -> int:
    """Ask the device all that the plan has, for as long as there is time; print each answer as it comes.

    Args:
        options: Checked options, with a plan.
        screen: Screen to print on.
        make_problems: Function that makes so many problems for a generator.

    Returns:
        The exit code: 130 if the user has cut it short.

    Raises:
        UsageError: The plan is too large for a CPU, a setting is out of range, or the output folder cannot be used.
        RunError: The embedded generator is damaged, or writing failed.
    """
    assert options.plan is not None
    if jax.default_backend() == "cpu" and options.resolution is None:
        raise UsageError(
            f"--plan {options.plan}: this machine computes on a CPU; give a --resolution to try the plan at, such as 64"
        )
    resolution = options.resolution or 1024
    networks = {EMBEDDED: lambda: generators.open_generator(None)}
    for name, family in FAMILIES.items():
        kind: Any = family.load_config()
        try:
            architecture = kind(resolution=resolution, channels=options.channels)
        except ValueError as error:
            raise UsageError(f"--{error}") from error
        networks[f"{name}-{resolution}"] = functools.partial(random_generator, architecture)
    if options.original is not None and not Path(_ORIGINAL.replace(".", "/") + ".py").is_file():
        raise UsageError("--original: run this in a checkout of pulse_jax, whose examples time the original")
    folder = RunFolder(options.output, overwrite=options.overwrite, replaces=("benchmark",))
    embedded = generators.open_generator(None)
    described = generators.generator_record(embedded, None)
    report: dict[str, Any] = {
        "plan": options.plan,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "device": {**device_summary(), "cpus": os.cpu_count()},
    }
    settings = {
        "command": "benchmark",
        "generator": described,
        "versions": report["versions"],
        "device": report["device"],
    }
    plan = Plan(
        embedded=embedded,
        networks=networks,
        problems=make_problems,
        faces=_faces(),
        cells=planned_cells(options.plan, resolution, options.lanes, options.precision),
        minutes=options.minutes,
        say=screen.note,
    )
    report["finished"] = False

    def against_original() -> None:
        if options.original is not None:
            screen.note("the original program ...")
            plan.report["original"] = _original(options.original, report["plan"])
            _tell("original", plan.report, screen)

    with folder.write_once(["plan.json", "plan.md"], settings) as part:
        try:
            for section in plan.run(against_original):
                _tell(section, plan.report, screen)
            report["finished"] = not plan.report["left_out"]
        except KeyboardInterrupt:
            screen.note("interrupted: what is known is kept")
        report |= plan.report
        (part / "plan.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (part / "plan.md").write_text(_page(report), encoding="utf-8")
    for left in report["left_out"]:
        screen.result(f"left out, time was up: {left}", "yellow")
    screen.result(
        f"Keep {printable(options.output / 'plan.json')} and plan.md: they say date, device and versions too. With "
        "them belong the driver's version and the exact name of the machine, which no program here knows.",
        "bold",
    )
    return 0 if report["finished"] or report["left_out"] else 130


def _faces() -> np.ndarray:
    home = Path(str(importlib.resources.files("pulse_jax") / "data" / "demo"))
    return np.stack([read_image(path).pixels for path in sorted(home.glob("*.png"))]).astype(np.float32)


def _original(checkout: Path, platform: str) -> dict[str, Any]:
    """What the program that times the original says, line by line."""
    device = "cuda" if platform == "gpu" and jax.default_backend() == "gpu" else "cpu"
    words = [sys.executable, "-m", _ORIGINAL, str(checkout), "--sides", "original", "--device", device]
    words += ["--network", "full", "--batches", "1", "4", "8", "16"] if device == "cuda" else ["--batches", "1"]
    words += ["--rounds", "1", "--steps", "20"]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return {"lines": [], "fault": f"had not ended after {_PATIENCE} s"}
    fault = "" if ended.returncode == 0 else (ended.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    return {"lines": ended.stdout.splitlines(), "fault": fault}


def _tell(section: str, report: Mapping[str, Any], screen: Screen) -> None:
    for line in _lines(section, report):
        screen.result(line)


def _lines(section: str, report: Mapping[str, Any]) -> list[str]:
    """What a section has come to; of those that grow, its last entry."""
    found = report[section]
    if section == "first_picture":
        return [f"first picture: after {found['seconds']:.1f} s with compiling, the next after {found['again']:.2f} s"]
    if section == "machine":
        rates = ", ".join(f"{rate / 1e12:.3g} TFLOP/s in {name}" for name, rate in found["products"].items())
        return [f"a plain product: {rates}; a plain copy: {found['copy'] / 1e12:.3g} TB/s"]
    if section == "goldens":
        return [
            f"{name}: pictures within {one['picture']:.2g}, gradients within {one['gradient']:.2g} of float64's"
            for name, one in found.items()
        ]
    if section == "selfcheck":
        return [f"{one['name']}: {one['told']}: {'ok' if one['passed'] else 'NOT AS PROMISED'}" for one in found]
    if section == "drift":
        return [
            f"{one['precision']} after {one['steps']} steps: {one['degrees']:.2g} degrees and {one['levels']:.2g} "
            f"levels from float32, {one['feasible'][1]} feasible against {one['feasible'][0]}"
            for one in found
        ]
    if section == "original":
        return [f"the original: {printable(line)}" for line in [*found["lines"], found["fault"]] if line]
    if section == "kernels":
        name, kernels = list(found.items())[-1]
        return [f"{name}, the largest kernels:"] + [
            f"  {one['share']:.1%} in {one['runs']} runs: {printable(one['name'])}" for one in kernels
        ]
    return [_sentence(found[-1])]


def _sentence(entry: Mapping[str, Any]) -> str:
    row = dict(zip(_HEADS, _row(entry), strict=True))
    name = f"{row['network']}, {row['arithmetic']}, {row['lanes']} lanes"
    if entry["fault"]:
        return f"{name}: {row['steps/s']}"
    told = [f"{row['steps/s']} image-steps/s", f"compiled in {row['compiling']}"]
    if entry["bound"]:
        told.insert(1, f"{row['share']} of the bound {row['bound']}")
        launched = f"{row['kernels']} kernels, " if entry["kernels"] else ""
        told.append(f"of each lane's step {launched}{row['GB']} GB, {row['GFLOP']} GFLOP")
    if entry["temporary"] is not None:
        told.append(f"{row['GiB']} GiB a lane")
    return f"{name}: {'; '.join(told)}"


_HEADS = ("network", "arithmetic", "lanes", "steps/s", "bound", "share", "kernels", "GB", "GFLOP", "GiB", "compiling")


def _rows(report: Mapping[str, Any]) -> list[list[str]]:
    return [_row(entry) for entry in report["cells"]]


def _row(entry: Mapping[str, Any]) -> list[str]:
    """A cell's line: bytes, products and temporary memory are each lane's share of a step."""
    head = [entry["network"], entry["precision"], str(entry["lanes"])]
    if entry["fault"]:
        return [*head, printable(entry["fault"]), *[""] * (len(_HEADS) - len(head) - 1)]

    def shown(name: str, form: str, scale: float = 1) -> str:
        value = entry.get(name)
        return "–" if value is None else f"{value * scale:{form}}"

    return [
        *head,
        shown("median_steps_per_second", ",.4g"),
        shown("bound", ",.4g"),
        shown("share_of_bound", ".0%"),
        shown("kernels", "d"),
        shown("gigabytes", ".3g"),
        shown("gigaflops", ".3g"),
        shown("temporary", ".2g", 2**-30),
        shown("compile_seconds", ".0f") + " s",
    ]


def _page(report: Mapping[str, Any]) -> str:
    device = report["device"]
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    text = [f"# {device['kind']} ({device['platform']}), {report['date']}", "", packages, ""]
    for section in ("first_picture", "machine", "original", "goldens", "selfcheck", "drift"):
        if section in report:
            text += [f"- {line}" for line in _lines(section, report)]
    for name, kernels in report.get("kernels", {}).items():
        text += [f"- {line}" for line in _lines("kernels", {"kernels": {name: kernels}})]
    text += ["", markdown(_HEADS, _rows(report))]
    return "\n".join(text)
