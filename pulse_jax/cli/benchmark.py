"""The command that measures this machine: a grid of lane counts and precisions, as tables, `benchmark.json` and a plot.

Half of the problems are easy, the generator's own pictures; the other half are pictures it was not trained on, or noise
that it cannot reach. So searches end at different times, as in real use.
"""

import dataclasses
import datetime
import importlib.resources
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.benchmark_plan import run_plan
from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.generators.architectures import FAMILIES, ArchitectureConfig, Precision, architecture_to_dict
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import MissingPrior
from pulse_jax.generators.random_weights import random_generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.machine import copy_rate, product_rate
from pulse_jax.reports.speed import Measurement, measure
from pulse_jax.reports.speed_report import draw_speed, measurement_record, show_speed
from pulse_jax.runs.folder import RunFolder
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.presets import PRESETS, pulse
from pulse_jax.search.problems import Problem
from pulse_jax.search.requirements import admissible_sizes, check_fits
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.errors import UsageError
from pulse_jax.system.keys import random_key
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["make_problems", "run_benchmark"]

# In the order in which they are measured.
_PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
_LANES_CPU, _LANES = (1, 4, 8, 16), (1, 4, 16, 64, 128)
# Problems per lane, and in all at least so many; pictures of each kind, used again and again with other seeds.
_PER_LANE, _LEAST, _PICTURES = 4, 8, 8


def run_benchmark(options: Benchmark, screen: Screen) -> int:
    """Measure every cell, show and write the results.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 130 if the user has cut it short.

    Raises:
        UsageError: A setting is out of range or the output folder cannot be used; nothing was written.
        RunError: A generator cannot be used, or writing failed.
    """
    if options.plan is not None:
        return run_plan(options, screen, _planned_problems)
    configs: dict[Precision, SearchConfig] = {name: _config(options, name) for name in _precisions(options)}
    config = next(iter(configs.values()))
    architecture = _architecture(options)
    folder = RunFolder(options.output, overwrite=options.overwrite, replaces=("benchmark",))
    if architecture is None:
        generator = generators.open_generator(options.generator)
        generators.check_mapping(generator, options.generator)
        described = generators.generator_record(generator, options.generator)
        # Any class: they are all as fast.
        label = 0 if generator.label_dim and generator.label is None else None
        generator = generator if label is None else generator.with_label(label)
    else:
        described = {"folder": None, "architecture": architecture_to_dict(architecture)}
        screen.note("drawing random weights ...")
        generator, label = random_generator(architecture), None
        _check_fits(options, generator, config)
    factor = _factor(options.factor, generator.resolution, config)
    generator = generators.with_fit(generator, options.generator, config, label, screen)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "device": {**device_summary(), "cpus": os.cpu_count()},
        "generator": described,
        "factor": factor,
        "config": {name: value for name, value in dataclasses.asdict(config).items() if name != "precision"},
    }
    settings = {"command": "benchmark", **{name: report[name] for name in ("generator", "versions", "device")}}
    device = jax.local_devices()[0]
    lanes = sorted(set(options.lanes)) or (_LANES_CPU if device.platform == "cpu" else _LANES)
    # The machine's peaks of memory only grow: fewer lanes first.
    planned = [Measurement(lanes=count, precision=precision) for count in lanes for precision in configs]
    done: list[Measurement] = []
    with folder.write_once(["benchmark.json", "benchmark.png"], settings) as part:
        screen.note("measuring a matrix product and a copy ...")
        report["machine"] = {
            "products": {precision: product_rate(precision, device) for precision in configs},
            "copy": copy_rate(device),
        }
        problems = make_problems(generator, factor, _count(max(lanes)))
        try:
            for number, one in enumerate(planned, 1):
                screen.note(f"{number}/{len(planned)}: lanes {one.lanes}, {one.precision} ...")
                measure(one, generator, configs[one.precision], problems[: _count(one.lanes)], device)
                done.append(one)
        except KeyboardInterrupt:
            if not done:
                raise
            screen.note(f"interrupted: {len(done)} of {len(planned)} cells were measured")
        entries = [measurement_record(one, report["machine"]) for one in done]
        report |= {"finished": len(done) == len(planned), "cells": entries}
        (part / "benchmark.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        save_png(part / "benchmark.png", draw_speed(report))
    show_speed(report, screen)
    screen.result(f"Look at {printable(options.output / 'benchmark.png')}; all numbers: benchmark.json", "bold")
    return 0 if report["finished"] else 130


def _count(lanes: int) -> int:
    """How many problems a cell has: whole batches."""
    return lanes * max(_PER_LANE, -(-_LEAST // lanes))


def _precisions(options: Benchmark) -> Sequence[Precision]:
    if options.precision:
        return [precision for precision in _PRECISIONS if precision in options.precision]
    return _PRECISIONS[:1] if jax.default_backend() == "cpu" else _PRECISIONS


def _config(options: Benchmark, precision: Precision) -> SearchConfig:
    overrides: dict[str, Any] = {} if options.steps is None else {"steps": options.steps}
    try:
        return PRESETS[options.preset](**overrides, precision=precision)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def _architecture(options: Benchmark) -> ArchitectureConfig | None:
    if options.architecture is None:
        return None
    kind: Any = FAMILIES[options.architecture].load_config()
    try:
        return kind(resolution=options.resolution or 1024, channels=options.channels)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def _check_fits(options: Benchmark, generator: Generator, config: SearchConfig) -> None:
    try:
        check_fits(generator, config)
    except MissingPrior as error:
        needed = str(error).partition(";")[0]
        raise UsageError(
            f"--preset {options.preset}: {needed}, and random weights have none; give another preset or a --generator"
        ) from error


def _factor(given: int | None, resolution: int, config: SearchConfig) -> int:
    """The factor that was asked for, or one that leaves 8x8 pixels of 64x64, and 32x32 of 256x256 and more."""
    factors = sorted(resolution // size for size in admissible_sizes(resolution, config) if size < resolution)
    if given is None and factors:
        wanted = min(32, max(2, resolution // 8))
        return max((factor for factor in factors if factor <= wanted), default=factors[0])
    if given not in factors:
        known = ", ".join(map(str, factors)) or "none"
        raise UsageError(f"--factor: expected one of {known} for {resolution}x{resolution}, got {given}")
    return given


def make_problems(generator: Generator, factor: int, count: int) -> list[Problem]:
    """Return easy and hard problems in turn, each with a seed of its own.

    Args:
        generator: Generator that is to be searched; easy problems are its own pictures.
        factor: How many pixels of a picture become one of the input's, along each side.
        count: How many problems.
    """
    easy = np.clip(np.asarray(generator.sample(random_key(0), _PICTURES)), 0, 1)
    kinds = (_downscaled(easy, factor), _hard(generator.resolution, factor))
    pictures = [kinds[i % 2][i // 2 % len(kinds[i % 2])] for i in range(count)]
    return [Problem(low_res=picture, index=i, seed=i) for i, picture in enumerate(pictures)]


def _planned_problems(generator: Generator, count: int) -> list[Problem]:
    config = pulse()
    assert isinstance(config, SearchConfig)
    return make_problems(generator, _factor(None, generator.resolution, config), count)


def _downscaled(images: Iterable[np.ndarray], factor: int) -> list[np.ndarray]:
    return [Bicubic(factor).apply_float64(image).astype(np.float32) for image in images]


def _hard(resolution: int, factor: int) -> list[np.ndarray]:
    """The demonstration's originals if they have the generator's resolution, else black and white noise."""
    home = Path(str(importlib.resources.files("pulse_jax") / "data" / "demo" / "truth"))
    originals = [read_image(path).pixels for path in sorted(home.glob("*.png"))]
    if originals and all(len(original) == resolution for original in originals):
        return _downscaled(originals, factor)
    side = resolution // factor
    return list(np.random.default_rng(0).integers(0, 2, (_PICTURES, side, side, 3)).astype(np.float32))
