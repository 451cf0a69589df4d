"""What commands share that compute for long and keep a state: killed, they go on; fits end in a generator folder."""

import contextlib
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
import numpy as np

from pulse_jax.cli.interrupts import Interrupt, Stopped
from pulse_jax.engine.checkpoints import Checkpoint, CheckpointError, digest
from pulse_jax.generators.folder import GeneratorError, read_description, read_reports
from pulse_jax.generators.generator import Generator
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable, reason_of

__all__ = ["Bars", "Fitted", "UnderWay", "carry_out", "go_on"]

_PART = "state"


class Fitted(NamedTuple):
    """What a fit has made: the generator with it, files about it by their names, and what tells of it on the screen."""

    generator: Generator
    reports: Mapping[str, bytes]
    tell: Callable[[], None]


class Bars:
    """The bar of what long work is doing; as a context manager it takes the last one away.

    Args:
        screen: Screen to show it on.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bars = contextlib.ExitStack()
        self._count = Count(screen, "")
        self._told = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.close()

    def show(self, what: str) -> None:
        """Begin another bar in the place of the one that is there."""
        self._bars.close()
        self._count = self._bars.enter_context(Count(self._screen, what))

    def update(self, done: int, total: int) -> None:
        """Say how much is done, out of how much."""
        self._count.update(done, total)

    def tell(self, what: str, done: int, total: int) -> None:
        """Say what is being done and how much of it is; something else begins another bar."""
        if what != self._told:
            self._told = what
            self.show(what)
        self.update(done, total)


class UnderWay:
    """Long work under way: where its state is kept, and what ends it.

    Attributes:
        interrupt: Raises `Stopped` from `check` once a signal has come.
    """

    def __init__(self, checkpoint: Checkpoint, interrupt: Interrupt) -> None:
        self.interrupt = interrupt
        self._checkpoint = checkpoint

    @property
    def saved(self) -> Any:
        """Leaves of the state that an earlier process came to, or None."""
        return self._checkpoint.saved.get(_PART)

    def keep(self, state: Any) -> None:
        """Save the state's arrays, now and then and before a signal ends the work."""
        if self._checkpoint.due(0) or self.interrupt.number:
            self._checkpoint.save(0, {_PART: [np.asarray(leaf) for leaf in jax.tree.leaves(state)]})
        self.interrupt.check()


def carry_out(
    folder: Path,
    command: str,
    settings: Mapping[str, Any],
    generator: Generator,
    screen: Screen,
    work: Callable[[UnderWay], Fitted],
) -> int:
    """Fit something to a generator and put it into its folder, with its reports beside those of other fits.

    Args:
        folder: The generator's folder.
        command: Name of the command, which unfinished fits are told apart by.
        settings: All that determines the fit beside the generator, JSON values by name.
        generator: Generator of the folder.
        screen: Screen to print on.
        work: Function that fits.

    Returns:
        The exit code: 128 plus the signal's number if one ended the fit.

    Raises:
        UsageError: There is an unfinished fit with other settings.
        RunError: The generator or the disk cannot be used, or nothing can be fitted.
    """
    place = folder.absolute().with_name(f".{folder.absolute().name}.{command}")
    made: list[Fitted] = []

    def save(under_way: UnderWay) -> None:
        fitted = work(under_way)
        description = read_description(folder, str(folder))
        fitted.generator.save(
            folder,
            dtype=description["dtype"],
            source=str(description.get("source", "")),
            overwrite=True,
            reports=read_reports(folder) | dict(fitted.reports),
        )
        made.append(fitted)

    # Beside the folder, in which every file is accounted for.
    if code := go_on(place, folder, settings, generator, screen, save):
        return code
    made[0].tell()
    return 0


def go_on(
    place: Path,
    subject: Path,
    settings: Mapping[str, Any],
    generator: Generator,
    screen: Screen,
    work: Callable[[UnderWay], Any],
) -> int:
    """Do work of which a killed process leaves a state, from where an earlier one was.

    Args:
        place: Folder of the state, which goes when the work is done.
        subject: What messages name.
        settings: All that determines the work beside the generator, JSON values by name.
        generator: Generator that it is done with.
        screen: Screen to print on.
        work: Function that does all of it.

    Returns:
        The exit code: 128 plus the signal's number if one ended the work.

    Raises:
        UsageError: There is unfinished work with other settings.
        RunError: The generator or the disk cannot be used, or the work cannot be done.
    """
    interrupt, finished = Interrupt(screen), False
    checkpoint = _open(place, settings, generator)
    try:
        with interrupt:
            work(UnderWay(checkpoint, interrupt))
        finished = True
    except (Stopped, KeyboardInterrupt):
        screen.error("Interrupted. The same command goes on from here.")
        return 128 + (interrupt.number or signal.SIGINT)
    except GeneratorError as error:
        raise RunError(printable(error, 600)) from error
    except ValueError as error:
        raise RunError(f"{printable(subject)}: {printable(error, 600)}") from error
    except OSError as error:
        raise RunError(f"{printable(place)}: cannot be written to ({reason_of(error)}); make room") from error
    finally:
        checkpoint.close(finished=finished)
    return 0


def _open(place: Path, settings: Mapping[str, Any], generator: Generator) -> Checkpoint:
    try:
        return Checkpoint(place, {**settings, "weights": digest((generator.params, generator.label))})
    except CheckpointError as error:
        raise UsageError(
            f"{printable(error, 600)}; go on with those, or remove {printable(place)} to begin anew"
        ) from error
    except OSError as error:
        raise RunError(f"{printable(place)}: cannot be written to ({reason_of(error)})") from error
