"""The demonstration: eight inputs that come with the package, solved and then verified from the files alone."""

import importlib.resources
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from pulse_jax.cli.options.demo import Demo
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.images.degradations.registry import find_degradation
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.formats import SolutionRecord
from pulse_jax.system.errors import RunError
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, short

__all__ = ["Check", "run_demo", "verify"]

# Claimed errors are in float64, of the same pixels: only the order of sums may differ, which shows most near zero.
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9


@dataclass(frozen=True)
class Check:
    """One solution, judged by its files.

    Attributes:
        record: Its entry in `summary.json`.
        error: Mean squared error of its picture, downscaled, against the input.
        fault: What is wrong with the claims about it; "" if nothing is.
    """

    record: SolutionRecord
    error: float
    fault: str = ""


def verify(output: Path) -> list[list[Check]]:
    """Read every picture of a run again, downscale it in float64 and compare it with what `summary.json` claims.

    Args:
        output: Folder of a finished run of `pulse-jax upsample` or `demo`.

    Returns:
        The checks of each input's solutions, best first.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged.
    """
    summary = parse_json((output / "summary.json").read_bytes())
    config = summary["config"]
    eps, blur = config["eps"], config["blur_at_factor_one"]
    kind = find_degradation(config.get("degradation", "bicubic"))
    checks = []
    for entry in summary["inputs"]:
        solved = output / entry["solved"] if entry["notes"] else Path(entry["input"])
        # In float32, as the search was given it.
        target = read_image(solved).pixels.astype(np.float64)
        of_input = []
        for record in entry["solutions"]:
            image = _levels(output / record["image"])
            small, error = kind.between(len(image), len(target), blur_at_factor_one=blur).compare(image, target)
            claimed = record["downscaling_error"]
            fault = ""
            if not math.isclose(error, claimed, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE):
                fault = f"claimed an error of {claimed:.6g}, found {error:.6g}"
            elif record["feasible"] != (error <= eps) and abs(error - eps) > _RELATIVE * eps:
                fault = f"claimed {'feasible' if record['feasible'] else 'not feasible'} at an error of {error:.6g}"
            elif np.abs(np.clip(small, 0, 1) - _levels(output / record["downscaled"])).max() > 0.51 / 255:
                fault = "its downscaled picture is another"
            of_input.append(Check(record, float(error), fault))
        checks.append(of_input)
    return checks


def _levels(path: Path) -> np.ndarray:
    """A picture's 8-bit levels as float64 in [0, 1]."""
    return to_uint8(read_image(path).pixels) / np.float64(255)


def run_demo(options: Demo, screen: Screen) -> int:
    """Solve the bundled inputs, verify the results and say what to look at.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if a claim does not hold.

    Raises:
        UsageError: The output folder cannot be used.
        RunError: The bundled pictures are missing or writing failed.
    """
    home = Path(str(importlib.resources.files("pulse_jax") / "data" / "demo"))
    inputs = sorted(home.glob("*.png"))
    if not inputs:
        raise RunError(f"{printable(home)}: the demo's pictures are missing; install pulse-jax again")
    originals = {path.stem: read_image(path).pixels for path in sorted((home / "truth").glob("*.png"))}
    search = Upsample(
        inputs=tuple(inputs), output=options.output, restarts=options.restarts, overwrite=options.overwrite
    )
    code = run_upsample(search, screen, command="demo", replaces=("demo",), originals=originals)
    if code:
        return code
    checks = verify(options.output)
    _show(screen, checks)
    pictures = [check for of_input in checks for check in of_input]
    faults = [check for check in pictures if check.fault]
    for check in faults:
        screen.error(f"{check.record['image']}: {check.fault}")
    if faults:
        screen.error(f"{len(faults)} of {len(pictures)} solutions are not what was claimed; please report this.")
        return 1
    screen.result(
        f"Verified: {len(pictures)} pictures were read back from their files and downscaled again; "
        "every error and verdict is as claimed.",
        "green",
    )
    screen.result(
        f"Look at {printable(options.output / 'sheet.png')}: each row shows an input, its plain enlargement, "
        "what was found, and at the end the picture that the input was made from.",
        "bold",
    )
    screen.result(f"In a browser, {printable(options.output / 'index.html')} compares any two of them.", "bold")
    return 0


def _show(screen: Screen, checks: list[list[Check]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("input", "feasible", "lowest error", "highest error", "steps"):
        table.add_column(heading, justify="left" if heading == "input" else "right")
    for of_input in checks:
        errors = [check.error for check in of_input]
        steps = [check.record["steps"] for check in of_input]
        table.add_row(
            Text(printable(Path(of_input[0].record["image"]).parent.name)),
            f"{sum(check.record['feasible'] for check in of_input)} of {len(of_input)}",
            short(min(errors)),
            short(max(errors)),
            str(min(steps)) if min(steps) == max(steps) else f"{min(steps)}-{max(steps)}",
        )
    screen.out.print(table)
