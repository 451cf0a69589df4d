"""The command `latents`: the w of a run's solutions as other programs read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from pulse_jax.cli.options.latents import Latents
from pulse_jax.images.files import ImageError, read_image
from pulse_jax.images.formats import PictureFormat, suffix_of
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.solution_files import StoredSolutions, file_names, read_solutions
from pulse_jax.system.devices import versions
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_latents"]


def run_latents(options: Latents, screen: Screen) -> int:
    """Write the files of every input.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code.

    Raises:
        UsageError: The output folder cannot be used.
        RunError: There are no solutions, they cannot be read or have no such form, or writing failed.
    """
    # Here, because the package of converters imports this one.
    import convert

    sources = _sources(options.run)
    check_output_apart(options.output, (), sources[0])
    counts = {source: len(_usable(source, options.format).latents) for source in sources}
    files = {source: convert.latent_file_names(options.format, count) for source, count in counts.items()}
    summary = {
        "command": "latents",
        "run": str(options.run.absolute()),
        "kind": options.format,
        "solutions": sum(counts.values()),
        "versions": versions(),
    }
    folder = RunFolder(options.output, overwrite=options.overwrite)
    names = [f"{source.parent.name}/{file}" for source in sources for file in files[source]]
    offset = False
    with folder.write_once(names, summary) as part:
        for source in sources:
            stored = _usable(source, options.format)
            offset = offset or bool(stored.offsets)
            home = part / source.parent.name
            home.mkdir()
            assert stored.w is not None
            latents = convert.Latents(stored.w, stored.noise)
            pictures = _pictures(source, counts[source]) if options.format == "rosinality" else {}
            convert.save_latents(home, latents, options.format, pictures)
    count, inputs = sum(counts.values()), len(sources)
    of = "1 input" if inputs == 1 else f"{inputs} inputs"
    screen.result(f"w of {count} solution{'s' if count > 1 else ''} of {of} in {printable(options.output)}", "bold")
    if offset:
        screen.note(
            "The search moved what lies inside the generator too, which only solutions.npz holds: "
            "w alone makes other pictures.",
            "yellow",
        )
    elif options.format == "npy":
        screen.note("The noise that the pictures were made with is not in these files; with --format ada it is.")
    return 0


def _sources(run: Path) -> Sequence[Path]:
    """The `solutions.npz` of a run, or the one that is named."""
    if not run.is_dir():
        return [run]
    found = sorted(run.glob("*/solutions.npz")) or sorted(run.glob("solutions.npz"))
    if not found:
        raise RunError(f"{printable(run)}: holds no solutions.npz; name the folder of a finished upsample run")
    return found


def _usable(source: Path, kind: str) -> StoredSolutions:
    """Solutions whose w can be written in this format."""
    stored = read_solutions(source)
    if stored.w is None:
        raise RunError(f"{printable(source)}: holds no w, an earlier version wrote it; make the run again")
    if kind != "npy" and stored.config.space == "w++":
        raise RunError(
            f"{printable(source)}: has a w for every filter of the generator (W++), which {kind} has no place for; "
            "use --format npy"
        )
    return stored


def _pictures(source: Path, count: int) -> dict[str, np.ndarray | None]:
    """The pictures beside a `solutions.npz`; None where one was taken away or was damaged."""
    found: dict[str, np.ndarray | None] = {}
    suffixes = [suffix_of(kind) for kind in get_args(PictureFormat)]
    for name, _ in file_names(count):
        paths = [source.with_name(name).with_suffix(suffix) for suffix in suffixes]
        path = next((path for path in paths if path.exists()), paths[0])
        try:
            found[path.name] = read_image(path).pixels
        except ImageError:
            found[path.name] = None
    return found
