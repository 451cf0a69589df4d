"""What the page and its programs' interface do: plain values in and out, every text from a visitor escaped."""

import html
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.names import RUN_PAGE
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable, short
from pulse_jax.web.job import Job
from pulse_jax.web.jobs import Jobs
from pulse_jax.web.request import Offer, Request, picture_name
from pulse_jax.web.results import Shown, caption

__all__ = ["AUTOMATIC", "CENTRE", "FACE", "Actions"]

CENTRE, FACE = "Centre square", "Largest face"
"""What is taken of a picture."""
AUTOMATIC = "automatic"
"""The input size that suits the picture."""
_PREVIEW = 512
# Decoding takes up to 1 GB: one picture at a time.
_READING = threading.Lock()


class Actions:
    """All that a visitor can do; errors are `UsageError` and `RunError`, one line each.

    Args:
        jobs: The server's requests.
        offer: What can be asked for.
        generator: Generator that is searched, with all that its searches take.
    """

    def __init__(self, jobs: Jobs, offer: Offer, generator: Generator) -> None:
        self.jobs = jobs
        self.offer = offer
        self._generator = generator

    def look(self, picture: str) -> tuple[np.ndarray, str]:
        """Return a picture as it is read, small, uint8, and its size and what was done to it in words.

        Raises:
            UsageError: It cannot be used.
        """
        name = picture_name(picture)
        with _READING:
            try:
                read = read_image(picture, shortest_side=4 * self.offer.sizes[-1])
            except ImageError as error:
                raise UsageError(f"{name}: {error.message}") from None
            height, width = read.pixels.shape[:2]
            small = Image.fromarray(to_uint8(read.pixels))
        small.thumbnail((_PREVIEW, _PREVIEW), Image.Resampling.BOX)
        if max(small.size) < _PREVIEW // 2:  # pixels as squares, so that they can be told
            factor = _PREVIEW // max(small.size)
            small = small.resize((factor * small.width, factor * small.height), Image.Resampling.NEAREST)
        return np.asarray(small), ", ".join((f"{width} × {height} pixels", *read.notes))

    def submit(
        self, picture: str | None, take: str, input_size: Any, preset: str, restarts: Any, eps: Any, seed: Any
    ) -> str:
        """Queue a request and return what it is known by.

        Args:
            picture: File that was uploaded.
            take: `CENTRE` or `FACE`.
            input_size: Side to which that is downscaled, or `AUTOMATIC`.
            preset, restarts, eps, seed: As of `Request`.

        Raises:
            UsageError: Something cannot be asked for, or too many requests wait.
            RunError: The disk is full or the like.
        """
        if not picture:
            raise UsageError("no picture: upload one, or choose an example")
        if take not in (CENTRE, FACE):
            raise UsageError(f"take: expected {CENTRE!r} or {FACE!r}, got {printable(take, 60)!r}")
        values = {"preset": preset, "restarts": restarts, "eps": eps, "seed": seed}
        values["input_size"] = None if input_size == AUTOMATIC else input_size
        request = Request.of({**values, "face": take == FACE}, self.offer)
        return self.jobs.submit(request, picture_name(picture), Path(picture)).id

    def shown(self, run: str) -> Shown:
        """Return a request's solutions.

        Raises:
            UsageError: There is no such request, or there are none of it yet.
            RunError: They are damaged.
        """
        job = self.jobs.find(run)
        if job.results is None:
            raise UsageError(job.words if job.state == "failed" else f"there are no solutions yet: {self.line(job)}")
        return Shown.find(job.results)

    def line(self, job: Job) -> str:
        """Return in a line where a request stands."""
        if job.state == "waiting":
            before = self.jobs.before(job)
            return f"waiting, {before} request{'' if before == 1 else 's'} before it"
        return f"{job.state}: {job.words}" if job.words else job.state

    def standing(self, job: Job) -> str:
        """Return where a request stands, as HTML."""
        total = job.request.restarts
        head, words, lines = job.state.capitalize(), job.words, []
        if job.state == "waiting":
            before = self.jobs.before(job)
            words = f"{before} request{'' if before == 1 else 's'} before yours" if before else "it is next"
        elif job.results is not None:
            shown = Shown.find(job.results)
            entries = shown.record["solutions"]
            feasible = sum(entry["feasible"] for entry in entries)
            told = f"{feasible} of {len(entries)} solutions are feasible: downscaled, they differ from the input by "
            told += f"at most {shown.eps:g} (mean squared error)."
            lines = [*([job.words] if job.words else []), *shown.record["notes"], *job.told[1:]]
            words = told
        bar = f'<progress max="{total}" value="{job.done}"></progress>' if not job.is_over else ""
        more = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        return (
            f'<div class="standing {job.state}"><p><strong>{head}</strong> {html.escape(words)}</p>{bar}'
            f"<ul>{more}</ul></div>"
        )

    def gallery(self, job: Job) -> list[tuple[str, str]]:
        """Return the files of what has been found so far, and captions."""
        if job.results is not None:
            return [(str(path), text) for path, text in Shown.find(job.results).gallery]
        verdicts = {True: "✓ feasible", False: "✗ missed"}
        return [(str(one.picture), f"{verdicts[one.feasible]}\nerror {short(one.error)}") for one in job.found]

    def result(self, run: str) -> dict[str, Any]:
        """Return where a request stands and the records of its solutions, as JSON values."""
        job = self.jobs.find(run)
        solutions = [] if job.results is None else Shown.find(job.results).record["solutions"]
        return {"state": job.state, "words": self.line(job), "solutions": solutions}

    def compare(self, run: str, number: int) -> tuple[tuple[np.ndarray, np.ndarray], str]:
        """Return the input and a solution, counted from 1, at the same size, and what is known of it as HTML."""
        shown = self.shown(run)
        entry = shown.entry(int(number))
        facts = [
            ("Solution", f"{number} of {len(shown.record['solutions'])}, search {entry['restart'] + 1}"),
            ("Verdict", caption(entry, " · ")),
            ("Steps", str(entry["steps"])),
        ]
        told = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
        command = html.escape(entry["command"])
        facts_html = f'<dl class="known">{told}</dl><details><summary>The command that makes it again</summary>'
        return shown.against_input(int(number)), f"{facts_html}<pre>{command}</pre></details>"

    def unseen(self, run: str) -> tuple[np.ndarray, str]:
        """Return where a request's solutions differ in what its input does not fix, and that in words."""
        return self.shown(run).unseen()

    def between(self, run: str, one: int, other: int, place: int) -> tuple[str, str]:
        """Return the file of a picture on the way between two solutions, counted from 1, and what is known of it."""
        path, words = self.shown(run).way(int(one), int(other), int(place), self._generator)
        return str(path), words

    def archive(self, run: str) -> str:
        """Return a zip file of a request's pictures, latents, records and page."""
        shown = self.shown(run)
        return str(shown.archive(shown.root.parent / f"{shown.root.name}.zip"))

    def page(self, run: str) -> str:
        """Return the address of the page of a request's run, relative to the server's."""
        return f"runs/{run}/{self.shown(run).root.name}/{RUN_PAGE}"

    def file(self, run: str, root: str, name: str) -> Path | None:
        """Return a file of a run that its page shows; None for anything else.

        Args:
            run: What the request is known by.
            root: `run` or `stopped`.
            name: Path of the file in the run's folder.
        """
        shown = self.shown(run)
        known = {RUN_PAGE, shown.record["solved"], shown.record["latents"], shown.record["sheet"]}
        for entry in shown.record["solutions"]:
            known |= {entry["image"], entry["downscaled"]}
        path = shown.root / name
        is_shown = root == shown.root.name and name in known and path.is_file() and not path.is_symlink()
        return path if is_shown else None
