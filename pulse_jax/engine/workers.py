"""A share of a stream: which of its lanes run next on their device, for how long, and how long that waits."""

import time
from collections.abc import Callable
from typing import Any

from pulse_jax.engine.checkpoints import Saved
from pulse_jax.engine.lanes import ALONE, Ended, Lanes, Together
from pulse_jax.engine.tasks import TaskQueue
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.devices import Device

__all__ = ["Worker"]

# How long a chunk should take, and how many steps the first one takes, before a step's time is known.
_CHUNK_SECONDS, _FIRST_STEPS = 1.0, 10


class Worker:
    """A group of lanes on one device, one set of them for each size of input, of which one runs at a time.

    Args:
        generator: Generator on the device, as `lanes.placed` gives it.
        config: Settings of the searches.
        lanes: How many searches it runs at once.
        device: Device to run on.
        on_compiling, together: As of `Lanes`.

    Attributes:
        count: How many searches it runs at once.
        sets: Its lanes, by the side of the inputs.
        current: The lanes of the last chunk; None if there was nothing to do.
        idle_seconds: Seconds between chunks, at most: from when the last one was seen to compute; compiling left out.
    """

    def __init__(
        self,
        generator: Generator,
        config: SearchConfig,
        lanes: int,
        device: Device,
        on_compiling: Callable[[float], Any] | None = None,
        together: Together = ALONE,
    ) -> None:
        self._on_compiling = on_compiling
        self._together = together
        self.count = lanes
        self.sets: dict[int, Lanes] = {}
        self.current: Lanes | None = None
        self.idle_seconds = 0.0
        self._computing: float | None = None  # when a chunk was last seen to compute
        self._generator = generator
        self._config = config
        self._device = device

    @property
    def busy(self) -> bool:
        """Whether a chunk is on its way."""
        return self.current is not None and self.current.busy

    def is_ready(self) -> bool:
        """Return whether the chunk on its way has ended."""
        return self.current is not None and self.current.is_ready()

    @property
    def is_lost(self) -> bool:
        """Whether a chunk failed, and the state of its searches with it."""
        return any(lanes.is_lost for lanes in self.sets.values())

    @property
    def compile_seconds(self) -> float:
        """Seconds in tracing and compiling, of all its lanes."""
        return sum((lanes.compile_seconds for lanes in self.sets.values()), start=0.0)

    def watch(self) -> None:
        """Note whether the chunk on its way still computes; to be called when the host has done something else."""
        if self.busy and not self.is_ready():
            self._computing = time.perf_counter()

    def collect(self) -> tuple[list[Ended], int]:
        """Wait for the chunk on its way, and return what `Lanes.collect` does."""
        assert self.current is not None
        late, compiled = self.current.is_ready(), self.current.compile_seconds
        ended = self.current.collect()
        if not late:
            self._computing = self.current.ended
        if self._computing is not None:  # compiling is no idling
            self._computing += self.current.compile_seconds - compiled
        return ended

    def begin(self, queue: TaskQueue, limit: int, saved: Saved) -> None:
        """Fill free lanes and start a chunk where there is most to do: full lanes, the current ones if they are.

        Args:
            queue: Searches that wait.
            limit: Steps of the chunk at most.
            saved: Searches that were under way before, by their names; they go on from there.
        """
        waiting = queue.waiting()
        load = {
            side: min(self.count, waiting.get(side, 0) + (len(self.sets[side].running) if side in self.sets else 0))
            for side in {**self.sets, **waiting}
        }
        most = max(load.values(), default=0)
        if not most:
            self.current = None
            return
        side = next(
            (s for s, lanes in self.sets.items() if lanes is self.current and load[s] == most),
            max(load, key=lambda s: load[s]),
        )
        if side not in self.sets:
            self.sets[side] = Lanes(
                self._generator, self._config, side, self.count, self._device, self._on_compiling, self._together
            )
        self.current = lanes = self.sets[side]
        compiled = lanes.compile_seconds
        lanes.fill(queue.take(side, self.count - len(lanes.running)), saved)
        if lanes.step_seconds is not None:
            limit = min(limit, max(1, round(_CHUNK_SECONDS / lanes.step_seconds)))
        else:
            limit = min(limit, _FIRST_STEPS)
        lanes.dispatch(limit, waiting=side in queue.waiting())
        now = time.perf_counter()
        if self._computing is not None:
            self.idle_seconds += now - self._computing - (lanes.compile_seconds - compiled)
        self._computing = now

    def snapshot(self) -> Saved:
        """Return the searches under way in all its lanes, by their names."""
        return {name: leaves for lanes in self.sets.values() for name, leaves in lanes.snapshot().items()}
