"""What a benchmark found, as entries of a JSON file, as tables and as a plot."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pulse_jax.reports.line_plots import Line, Panel, draw_panels
from pulse_jax.reports.speed import Measurement
from pulse_jax.reports.tables import print_table
from pulse_jax.system.screen import Screen

__all__ = ["draw_speed", "measurement_record", "show_speed"]


def measurement_record(measurement: Measurement, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of `benchmark.json`: the measurement's fields, and what follows from them.

    Args:
        measurement: What was measured.
        machine: The machine's own rates: FLOP/s in `products` by precision, bytes per second in `copy`.
    """
    rate, costs = measurement.median_rate, measurement.costs
    steps = None if rate is None else rate / measurement.lanes
    flops, moved = (costs.flops, costs.bytes) if costs else (None, None)
    return {
        **dataclasses.asdict(measurement),
        "median_steps_per_second": rate,
        "best_steps_per_second": measurement.best_rate,
        "against_batch": measurement.against(measurement.batch_solutions_per_second),
        "against_single": measurement.against(measurement.single_solutions_per_second),
        "share_of_product": steps and flops and steps * flops / machine["products"][measurement.precision],
        "share_of_copy": steps and moved and steps * moved / machine["copy"],
    }


def show_speed(report: Mapping[str, Any], screen: Screen) -> None:
    """Print a benchmark's tables and what they mean.

    Args:
        report: Content of `benchmark.json`.
        screen: Screen to print on.
    """
    entries = report["cells"]
    _print(screen, "Speed", _SPEED, entries)
    screen.result(
        "steps/s: looks per second with all lanes at work, median and best. solved/s: of the engine, and how many "
        "times as many as one by one and as in plain batches. seconds: of the median feasible search, in its lane."
    )
    screen.result("")
    _print(screen, "Machine", _MACHINE, entries)
    screen.result(
        "process, device: peaks of memory so far; program: what a step needs; all in MiB. GFLOP: of a step of all "
        "lanes. product, copy: its share of what the machine does in a plain matrix product and a plain copy. XLA "
        "estimates what a step needs; its bytes count what caches serve, too."
    )
    products = ", ".join(
        f"{_digits(rate / 1e9)} GFLOP/s in {name}" for name, rate in report["machine"]["products"].items()
    )
    screen.result(f"A plain matrix product: {products}. A copy: {_digits(report['machine']['copy'] / 1e9)} GB/s.")
    best = max(entries, key=lambda entry: entry["solutions_per_second"] or 0)
    if best["solutions_per_second"]:
        screen.result(
            f"Most solutions per second: --lanes {best['lanes']} --precision {best['precision']}", "bold green"
        )


def draw_speed(report: Mapping[str, Any]) -> np.ndarray:
    """Draw steps and solutions per second over lanes, uint8 (h, w, 3).

    Args:
        report: Content of `benchmark.json`.
    """
    entries, rates, solutions = report["cells"], [], []
    for colour, precision in enumerate(dict.fromkeys(entry["precision"] for entry in entries)):
        of_precision = [entry for entry in entries if entry["precision"] == precision]

        def points(name: str, of_precision: Sequence[Any] = of_precision) -> list[tuple[int, float | None]]:
            return [(entry["lanes"], entry[name]) for entry in of_precision]

        rates.append(Line(precision, points("median_steps_per_second"), colour))
        solutions.append(Line(precision, points("solutions_per_second"), colour))
        plain = f"{precision}, plain batches that wait for their slowest"
        solutions.append(Line(plain, points("batch_solutions_per_second"), colour, dashed=True))
    device, architecture = report["device"], report["generator"]["architecture"]
    size, side = architecture["resolution"], architecture["resolution"] // report["factor"]
    chip = f"{device['cpus']} cores" if device["platform"] == "cpu" else device["kind"]
    return draw_panels(
        [Panel("Image-steps per second", rates), Panel("Solutions per second", solutions)],
        title="Searches at once, and what they bring",
        subtitle=f"{architecture['family']}, {size}x{size} from {side}x{side}, on {chip} ({report['date'][:10]})",
        x_label="lanes",
        footer="A cross on the axis: out of memory." if any(entry["fault"] for entry in entries) else "",
    )


_Column = Callable[[Mapping[str, Any]], str]


def _print(screen: Screen, title: str, columns: Mapping[str, _Column], entries: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for entry in entries:
        cells = [tell(entry) for tell in columns.values()]
        if entry["fault"]:
            cells[0] = entry["fault"]
        rows.append([str(entry["lanes"]), entry["precision"], *cells])
    print_table(title, ["lanes", "precision", *columns], rows, words=2, console=screen.out)


def _digits(value: float) -> str:
    """At least three of them, none in an exponent where the number is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shown(name: str, form: str = "") -> _Column:
    """A column: a number of an entry, in a form."""
    return lambda entry: "-" if entry[name] is None else form.format(entry[name]) if form else _digits(entry[name])


def _memory(kind: str) -> _Column:
    return lambda entry: f"{entry['memory'][kind] / 2**20:,.0f}" if kind in entry["memory"] else "-"


def _cost(kind: str, scale: float) -> _Column:
    def tell(entry: Mapping[str, Any]) -> str:
        cost = entry["costs"] and entry["costs"][kind]
        return "-" if cost is None else _digits(cost * scale)

    return tell


_SPEED = {
    "steps/s": _shown("median_steps_per_second"),
    "best": _shown("best_steps_per_second"),
    "solved/s": _shown("solutions_per_second"),
    "x single": _shown("against_single", "{:.2f}"),
    "x batch": _shown("against_batch", "{:.2f}"),
    "occupied": _shown("occupancy", "{:.0%}"),
    "seconds": _shown("seconds_to_feasible"),
}
_MACHINE = {
    "compiling": _shown("compile_seconds", "{:,.1f} s"),
    "process": _memory("process"),
    "device": _memory("device"),
    "program": _cost("memory", 2**-20),
    "GFLOP": _cost("flops", 1e-9),
    "product": _shown("share_of_product", "{:.0%}"),
    "copy": _shown("share_of_copy", "{:.0%}"),
}
