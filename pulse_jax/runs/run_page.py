"""The page of a run, `index.html`: what its summary says, for people."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pulse_jax.reports.gallery import GalleryHead, GalleryItem, GallerySolution, passing
from pulse_jax.runs.formats import InputRecord, SolutionRecord
from pulse_jax.runs.inputs import title_of
from pulse_jax.runs.names import RUN_PAGE
from pulse_jax.runs.records import Tally
from pulse_jax.search.plausibility import UNUSUAL
from pulse_jax.search.presets import INTERPOLATIONS
from pulse_jax.system.text import printable

__all__ = ["IMAGINED", "gallery_solution", "page_passing"]

IMAGINED = (
    "The people in the solutions are imagined; they do not exist. Nothing here recovers who is in a picture: "
    "do not use it to identify, accuse, rank or depict real people."
)
"""What every page says above pictures that were searched for."""
_NUMBERS = ("downscaling_error", "loss", "steps", "status", "restart", "command")


def page_passing(
    folder: Path, summary: Mapping[str, Any], tally: Tally, records: Iterable[InputRecord]
) -> Iterator[InputRecord]:
    """Yield the records as they are, and write the run's page of them; it is whole once all have passed.

    Args:
        folder: Where the page is written to; its links are relative to the run's folder.
        summary: Entries of the run's `summary.json`, without its inputs.
        tally: What its finished inputs come to.
        records: Entries of its finished inputs.

    Raises:
        OSError: The disk is full or the like.
    """
    has_latents = summary["preset"] not in INTERPOLATIONS
    pairs = ((record, _item(record, has_latents=has_latents)) for record in records)
    return passing(folder / RUN_PAGE, _head(summary, tally), pairs)


def _head(summary: Mapping[str, Any], tally: Tally) -> GalleryHead:
    preset, config, generator = summary["preset"], summary["config"], summary["generator"]
    searches = preset not in INTERPOLATIONS
    count, eps = tally.inputs, config["eps"]
    facts = [("Command", f"pulse-jax {summary['command']}"), ("Preset", preset)]
    if searches:
        facts += [
            ("Generator", f"{Path(generator['folder']).name}, sha256 {generator['sha256'][:16]}"),
            ("Seed", str(summary["seed"])),
            ("Steps", f"at most {config['steps']}"),
            ("Loss", str(config["loss"])),
        ]
    facts += [(name, str(version)) for name, version in summary["versions"].items() if name in ("pulse_jax", "jax")]
    lead = f"A solution is feasible if, downscaled, it differs from its input by at most {eps:g} "
    lead += "(mean squared error of [0, 1] pictures). "
    if tally.compared:
        lead += (
            "Its plausibility is the share of the generator's own samples, in percent, that are less usual; "
            f"below {UNUSUAL:g} it is marked. "
        )
    if not summary["finished"]:
        lead += "This run has not finished: what there is of it is shown."
    stats = [
        ("Inputs", f"{count:,}"),
        ("Solutions", f"{tally.solutions:,}"),
        ("Feasible", f"{tally.feasible:,}"),
        ("Inputs missed", f"{len(tally.missed):,}"),
        ("Not usable", f"{len(summary['failed']):,}"),
    ]
    if tally.compared:
        stats.insert(3, ("Unusual", f"{tally.unusual:,}"))
    inputs = f"{count:,} input{'' if count == 1 else 's'}"
    return GalleryHead(
        title=f"{inputs}, {tally.feasible:,} of {tally.solutions:,} solutions feasible",
        lead=lead.strip(),
        notice=IMAGINED if searches else f"Enlarged by {preset} interpolation, without a search.",
        eps=eps,
        stats=stats,
        facts=[(name, printable(value)) for name, value in facts],
        failures=[(printable(Path(one["input"]).name), printable(one["message"])) for one in summary["failed"]],
    )


def _item(record: InputRecord, *, has_latents: bool) -> GalleryItem:
    item: GalleryItem = {
        "title": printable(title_of(Path(record["input"]), record.get("face", 0))),
        "notes": record["notes"],
        "size": record["size"],
        "solved": record["solved"],
        "sheet": record["sheet"],
        "solutions": [gallery_solution(entry) for entry in record["solutions"]],
    }
    if has_latents:
        item["latents"] = record["latents"]
    if "original" in record:
        item["original"] = record["original"]
    return item


def gallery_solution(entry: SolutionRecord, run: str = "") -> GallerySolution:
    """Return a solution as pages show it.

    Args:
        entry: Its entry in the run's records.
        run: Path of the run's folder relative to the page, with a slash at its end; nothing if the page lies in it.
    """
    pictures = {name: run + entry[name] for name in ("image", "downscaled")}
    solution: Any = {**pictures, "feasible": entry["feasible"]}
    solution.update((name, entry[name]) for name in _NUMBERS)
    if curve := entry.get("curve"):
        solution["curve"] = curve
    if moved := entry.get("moved"):
        solution["moved"] = moved
    for name in ("plausibility", "latent_plausibility"):
        if isinstance(number := entry.get(name), int | float):
            solution[name] = number
    if variations := entry.get("variations"):
        solution["variations"] = [run + variation["image"] for variation in variations]
    return solution
