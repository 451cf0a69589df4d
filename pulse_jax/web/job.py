"""One request on its way: its folder, how far it is, and what has been found; no JAX.

A request's folder holds `request.json`, the picture, and what was made of it: the run, as `pulse-jax upsample` writes
it, pictures of searches that have ended while it is under way, and, where it was stopped, what there was by then.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from pulse_jax.runs.summary_file import read_summary
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import write_whole
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.removal import remove_file, remove_tree
from pulse_jax.system.text import printable
from pulse_jax.web.request import Request

__all__ = ["Found", "Job", "State"]

State = Literal["waiting", "running", "stopped", "finished", "failed"]
"""Stopped requests can go on."""
_FILE = "request.json"


class Found(NamedTuple):
    """A search that has ended while the request is under way.

    Attributes:
        restart: Its number.
        picture: File of what it has found.
        feasible: The verdict on it.
        error: Mean squared error of the picture, downscaled, against the input.
    """

    restart: int
    picture: Path
    feasible: bool
    error: float


class Job:
    """One request.

    Args:
        folder: Its folder, which exists; its name is the request's.
        name: What the picture's file is called.
        request: What is asked for.
        created: When it was made, in seconds since 1970.

    Attributes:
        state: Where it stands.
        words: How far it is, or why it failed, in a line.
        done: Searches that have ended.
        found: What they have found, as they ended.
        told: What the run had to say at its end, line by line.
        is_ending: Whether it is to be stopped.
        version: Goes up with every change.
    """

    def __init__(self, folder: Path, name: str, request: Request, created: float) -> None:
        self.folder = folder
        self.name = name
        self.request = request
        self.created = created
        self.state: State = "waiting"
        self.words = ""
        self.done = 0
        self.found: list[Found] = []
        self.told: list[str] = []
        self.is_ending = False
        self.version = 0

    @classmethod
    def create(cls, folder: Path, name: str, request: Request, fill: Callable[[Path], object]) -> "Job":
        """Make a request's folder.

        Args:
            folder: Folder to make.
            name: What the picture's file is called in it.
            request: What is asked for.
            fill: Puts the picture at the path that it is given.

        Raises:
            OSError: The disk is full or the like.
        """
        job = cls(folder, name, request, time.time())
        job.picture.parent.mkdir(parents=True)
        fill(job.picture)
        job.save()
        return job

    @classmethod
    def load(cls, folder: Path) -> "Job":
        """Read what an earlier server wrote.

        Raises:
            RunError: It is damaged.
        """
        try:
            stored = parse_json((folder / _FILE).read_bytes())
            job = cls(folder, str(stored["name"]), Request(**stored["request"]), float(stored["created"]))
            job.words = str(stored["words"])
            state = stored["state"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{printable(folder)}: damaged; remove it") from error
        summary = read_summary(job.run)
        if summary is not None and summary.get("finished") is True:
            job.state = "finished"
        elif state in ("stopped", "failed"):
            job.state = state
        # Else it waits again: what an earlier server had under way goes on.
        return job

    @property
    def id(self) -> str:
        """What it is known by; who knows it may see and stop it."""
        return self.folder.name

    @property
    def picture(self) -> Path:
        """The picture, as it was uploaded."""
        return self.folder / "picture" / self.name

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder / "run"

    @property
    def live(self) -> Path:
        """The folder of pictures of searches that have ended, while others are under way."""
        return self.folder / "live"

    @property
    def stopped(self) -> Path:
        """The folder of what there was when it was stopped."""
        return self.folder / "stopped"

    @property
    def results(self) -> Path | None:
        """The folder with records of solutions that can be looked at; None while there is none."""
        if self.state == "finished":
            return self.run
        return self.stopped if self.state in ("stopped", "failed") and self.stopped.is_dir() else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes unless it is asked to go on."""
        return self.state not in ("waiting", "running")

    def change(self, state: State, words: str = "") -> None:
        """Put it into a state, and remember that on disk.

        Raises:
            OSError: The disk is full or the like.
        """
        self.words = words
        self.state = state
        self.version += 1
        self.save()

    def show(self, words: str, done: int) -> None:
        """Say how far it is."""
        self.words, self.done = words, done
        self.version += 1

    def add(self, found: Found) -> None:
        """Note a search that has ended."""
        self.found = [one for one in self.found if one.restart != found.restart] + [found]
        self.version += 1

    def forget_stopped(self) -> None:
        """Remove what there was when it was stopped, and what was made of that."""
        for folder in ("stopped", "ways"):
            remove_tree(self.folder, folder)
        remove_file(self.folder, "stopped.zip")

    def save(self) -> None:
        """Write what is to be known of it after a restart of the server."""
        stored = {
            "name": self.name,
            "created": self.created,
            "request": dataclasses.asdict(self.request),
            "state": self.state,
            "words": self.words,
        }
        text = json.dumps(stored, indent=1)
        write_whole(self.folder / _FILE, lambda file: file.write(text.encode()))
