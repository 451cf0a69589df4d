"""All requests of a server: a queue, one thread that solves them one after another, and the folder they lie in."""

import contextlib
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from pulse_jax.runs.lock import FolderLock
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.removal import remove_tree
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, reason_of
from pulse_jax.web.follow import Follower, JobScreen
from pulse_jax.web.job import Job
from pulse_jax.web.request import Request

__all__ = ["MAX_WAITING", "Jobs", "Solve"]

Solve = Callable[[Request, Path, Path, JobScreen, Follower], int]
"""Solves a picture as `pulse-jax upsample` does: request, picture, folder of the run, screen, who follows; returns the
command's exit code, and raises its errors."""
MAX_WAITING = 20
"""Requests that may wait; more are turned away."""
_MARK = ".pulse-jax-serve"
_ID = re.compile(r"[0-9a-f]{32}")
_INTERRUPTED = 128


class Jobs:
    """All requests below one folder, which is this server's alone.

    Args:
        home: Folder, which is new, empty, or an earlier server's.
        solve: What solves a request.
        screen: Screen of the server, to tell faults of the program on.

    Raises:
        UsageError: The folder is somebody else's, or another server has it.
        RunError: It cannot be written to.
    """

    def __init__(self, home: Path, solve: Solve, screen: Screen) -> None:
        self.home = home.absolute()
        self._solve = solve
        self._screen = screen
        self._known: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._is_closing = False
        self._changed = threading.Condition()
        self._claim()
        self._go_on()
        self._thread = threading.Thread(target=self._work, name="requests", daemon=True)
        self._thread.start()

    @property
    def uploads(self) -> Path:
        """Where the web server keeps what visitors send, and copies of what it shows them."""
        return self.home / "uploads"

    def _claim(self) -> None:
        try:
            if self.home.exists() and not (self.home / _MARK).is_file() and any(self.home.iterdir()):
                raise UsageError(
                    f"{printable(self.home)}: is not empty, and no server's; choose another folder with --output"
                )
            self.uploads.mkdir(parents=True, exist_ok=True)
            (self.home / _MARK).touch()
            self._lock = FolderLock(self.home)
        except OSError as error:
            raise RunError(f"{printable(self.home)}: cannot be used ({reason_of(error)}); choose another") from error

    def _go_on(self) -> None:
        """Queues what an earlier server had not finished, in its order."""
        earlier = []
        for folder in self.home.iterdir():
            if _ID.fullmatch(folder.name):
                with contextlib.suppress(RunError):  # nobody can see it any more, and that is all
                    earlier.append(Job.load(folder))
        self._waiting = sorted((job for job in earlier if not job.is_over), key=lambda job: job.created)
        self._known = {job.id: job for job in self._waiting}

    def submit(self, request: Request, name: str, picture: Path) -> Job:
        """Queue a request.

        Args:
            request: What is asked for.
            name: What the picture's file is called.
            picture: The picture, which is copied.

        Raises:
            UsageError: Too many wait.
            RunError: The disk is full or the like.
        """
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise UsageError(f"{MAX_WAITING} requests wait already; try again later")
        folder = self.home / secrets.token_hex(16)
        try:
            job = Job.create(folder, name, request, lambda place: shutil.copyfile(picture, place))
        except OSError as error:
            with contextlib.suppress(OSError):
                remove_tree(self.home, folder.name)
            raise RunError(f"the picture cannot be kept ({reason_of(error)})") from error
        self._enqueue(job)
        return job

    def find(self, name: str) -> Job:
        """Return the request that is known by this.

        Raises:
            UsageError: There is none.
        """
        if name in self._known:
            return self._known[name]
        folder = self.home / name
        if not _ID.fullmatch(name) or not folder.is_dir():
            raise UsageError("there is no such request")
        try:
            return self._known.setdefault(name, Job.load(folder))
        except RunError:
            raise UsageError("there is no such request") from None

    def before(self, job: Job) -> int:
        """Return how many requests come before one that waits, the one under way included."""
        with self._changed:
            place = self._waiting.index(job) if job in self._waiting else 0
            return place + (self._running is not None)

    def stop(self, job: Job) -> None:
        """End a request that waits or is under way; what was found is kept, and it can go on."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                job.change("stopped", "Stopped before it began.")
            elif job is self._running:
                job.is_ending = True
                job.show("Stopping; what has been found is kept.", job.done)

    def go_on(self, job: Job) -> None:
        """Queue a stopped request again; it goes on where it was."""
        if job.state == "stopped":
            self._enqueue(job)

    def close(self) -> None:
        """Stop what is under way, so that the next server on this folder goes on with it."""
        with self._changed:
            self._is_closing = True
            if self._running is not None:
                self._running.is_ending = True
            self._changed.notify_all()
        self._thread.join(60)
        self._lock.release()

    def _enqueue(self, job: Job) -> None:
        with self._changed:
            job.is_ending = False
            job.change("waiting")
            self._known[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if self._is_closing:
                    return
                self._running = job = self._waiting.pop(0)
                job.change("running", "Starting ...")
            try:
                self._make(job)
            except OSError as error:  # the disk may be full
                self._screen.error(f"{job.id}: {reason_of(error)}")

    def _make(self, job: Job) -> None:
        job.told, job.found, job.done = [], [], 0
        screen, follower = JobScreen(job), Follower(job)
        try:
            code = self._solve(job.request, job.picture, job.run, screen, follower)
        except (UsageError, RunError) as error:
            self._fail(job, str(error))
        except Exception as error:  # a fault of the program must not end the server: it is told, and the next one comes
            self._screen.error(f"{job.id}: {type(error).__name__}: {printable(error, 600)}")
            self._fail(job, f"the program failed ({type(error).__name__}); its owner finds the reason in the terminal")
        else:
            if code >= _INTERRUPTED:
                if not self._is_closing:
                    self._stopped(job, follower)
            elif code:
                self._fail(job, screen.errors[-1] if screen.errors else "the picture cannot be used")
            else:
                job.forget_stopped()
                job.change("finished")

    def _stopped(self, job: Job, follower: Follower) -> None:
        try:
            count = follower.write_stopped()
        except (OSError, RunError) as error:
            self._fail(job, f"what was found cannot be shown: {reason_of(error)}")
            return
        of = f"{count} of {job.request.restarts} searches had ended"
        job.change("stopped", f"Stopped: {of}. What they found is kept; “Go on” makes the others.")

    def _fail(self, job: Job, reason: str) -> None:
        # Where files lie on the server means nothing to a visitor.
        for folder in (f"{job.picture.parent}/", f"{job.folder}/"):
            reason = reason.replace(folder, "")
        job.change("failed", reason)
