"""Reading ahead and writing behind: work of the processor that goes on while devices compute, in bounded queues."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["WriteBehind", "read_ahead"]

_Item = TypeVar("_Item")
_POLL_SECONDS = 0.1


def read_ahead(items: Iterable[_Item], depth: int) -> Generator[_Item, None, None]:
    """Yield the items of an iterable that runs in a thread of its own.

    What it raises is raised here. Closing the result ends the thread once the item in the making is made.

    Args:
        items: Iterable to read.
        depth: How many items may wait to be taken; 0 for none, and no thread.
    """
    if not depth:
        yield from items
        return
    made: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    closed = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not closed.is_set():
            try:
                return made.put((kind, value), timeout=_POLL_SECONDS)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if closed.is_set():
                    return
            put("end", None)
        except BaseException as error:  # it is raised again where the items are wanted
            put("error", error)

    thread = threading.Thread(target=make, name="pulse-jax-reader", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join()


class WriteBehind:
    """Calls that run in threads; at most a few wait, and the first that fails is told at the next opportunity.

    As a context manager it waits for all of them at the end; after an exception too, so that nothing stays half done.
    A KeyboardInterrupt while it waits leaves out those that have not begun.

    Args:
        threads: How many calls run at once.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "pulse-jax-writer")
        self._most = 4 * threads
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # For the calls: before Python 3.13, a thread whose join was interrupted counts as ended.
            wait(self._waiting)
        except KeyboardInterrupt:
            wait([call for call in self._waiting if not call.cancel()])
            raise
        finally:
            self._pool.shutdown(wait=True)
        if error is None:
            self.check()

    def submit(self, call: Callable[..., None], *arguments: Any) -> Future[None]:
        """Let `call(*arguments)` run soon, and return it; wait while too many do already. They begin in their order.

        Raises:
            BaseException: What an earlier call raised.
        """
        while self._waiting and (len(self._waiting) >= self._most or self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(call, *arguments))
        return self._waiting[-1]

    def waiting(self) -> Iterator[int]:
        """Yield how many calls have not ended, some times a second until all have, whatever they raise."""
        while left := [call for call in self._waiting if not call.done()]:
            yield len(left)
            wait(left, _POLL_SECONDS)

    def check(self) -> None:
        """Wait for all calls.

        Raises:
            BaseException: What the first failing one raised.
        """
        while self._waiting:
            self._waiting.popleft().result()
