"""Lanes: a fixed number of searches that one program steps at once on one device, in jitted chunks.

Work always runs on all lanes, padded with empty ones, so that a search's bits depend on its problem, the config, the
number of lanes and the kind of device, and not on its company. Everything compiles once for each size of input.

Searches that run at once need not be lanes of one program (`groups`). On a CPU a program of several lanes gains nothing
over as many programs of one beside each other, and its last bits may depend on a lane's place in it.
"""

import functools
import time
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pulse_jax.engine.tasks import Task
from pulse_jax.generators.generator import Generator
from pulse_jax.search import step as search
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.judge import Result
from pulse_jax.search.problems import Start, Status, image_number, problem_key
from pulse_jax.search.step import SearchState
from pulse_jax.search.together import step_together
from pulse_jax.system.devices import Device, give_back_memory, usable_cores
from pulse_jax.system.programs import Program, compile_watched

__all__ = [
    "ALONE",
    "Ended",
    "Lanes",
    "Together",
    "by_themselves",
    "groups",
    "kept_leaves",
    "placed",
    "run_chunk",
    "start_all",
]

# A chunk ends early once this share of the lanes has ended in it, if others wait for them.
_ENOUGH = 1 / 16


class Together(NamedTuple):
    """Which lanes step together: with repulsion those of all restarts of an image, which lie side by side.

    Attributes:
        count: How many; 1 where each search is by itself.
        in_turn: Whether they are computed one after another (see `search.together.step_together`).
    """

    count: int
    in_turn: bool

    @classmethod
    def of(cls, restarts: int, lanes: int) -> tuple["Together", int]:
        """Return how the restarts of an image step where so many searches run at once, and how many lanes that takes.

        Whole images are searched at once, as many as fit; of one that does not, the restarts follow one another.
        """
        return cls(restarts, in_turn=lanes < restarts), restarts * max(1, lanes // restarts)


ALONE = Together(1, in_turn=False)
"""Every search by itself."""


def placed(generator: Generator, config: SearchConfig, device: Device) -> Generator:
    """Return the generator on a device, in the form that searches of this config are fastest with there."""
    generator = jax.device_put(generator, device)
    # On CPUs, pictures in bfloat16 have no other form.
    has_form = device.platform != "cpu" or config.precision != "bfloat16"
    return generator.prepared(device.platform) if has_form else generator


def by_themselves(platform: str, *, strict: bool) -> bool:
    """Return whether every search is a program by itself: on CPUs always, elsewhere where that is asked for.

    Args:
        platform: What searches run on, as `jax.Device.platform` calls it.
        strict: Whether it is asked for.
    """
    return platform == "cpu" or strict


def groups(device: Device, lanes: int, *, strict: bool = False) -> list[int]:
    """Return in groups of how many lanes so many searches run at once on a device, each group a program by itself.

    Args:
        device: Device to run on.
        lanes: Searches that run at once.
        strict: Whether every search is to be a program by itself on other devices than CPUs too.
    """
    if not by_themselves(device.platform, strict=strict):
        return [lanes]
    # On a CPU, more than there are cores would wait for each other.
    return [1] * (min(lanes, usable_cores()) if device.platform == "cpu" else lanes)


@functools.partial(Program, static_argnames="config")
def start_all(
    generator: Generator,
    config: SearchConfig,
    targets: Array,
    seeds: Array,
    numbers: Array,
    restarts: Array,
    start: Start,
) -> tuple[SearchState, Array]:
    """Return every lane at its start, and the data of the keys that the starts are drawn from."""
    one = functools.partial(search.init, generator, config)
    keys = jax.vmap(problem_key)(seeds, numbers, restarts)
    states = jax.vmap(one)(targets, keys, start.latents, start.noise, restarts == 0)
    return states, jax.random.key_data(keys)


@functools.partial(Program, donate_argnums=0)
def _refill(state: SearchState, fresh: SearchState, filled: Array, emptied: Array) -> SearchState:
    def choose(fill: Array, drain: Array, new: SearchState, old: SearchState) -> SearchState:
        kept = jax.tree.map(lambda a, b: jnp.where(drain, a, b), search.empty(old), old)
        return jax.tree.map(lambda a, b: jnp.where(fill, a, b), new, kept)

    return jax.vmap(choose)(filled, emptied, fresh, state)


@functools.partial(Program, static_argnames=("config", "together"), donate_argnames="state")
def run_chunk(
    generator: Generator,
    config: SearchConfig,
    numbers: Numbers,
    state: SearchState,
    limit: Array,
    enough: Array,
    together: Together = ALONE,
) -> tuple[SearchState, Array]:
    """Steps until `limit` of them are taken or `enough` lanes have ended; and how many steps that were.

    Of lanes that step together, `enough` counts images.
    """
    one = functools.partial(search.step, generator, config, numbers=numbers)

    def running(state: SearchState) -> Array:
        if together == ALONE:
            return jnp.sum(state.status == Status.RUNNING)
        return jnp.sum(jnp.any((state.status == Status.RUNNING).reshape(-1, together.count), axis=1))

    def step_all(state: SearchState) -> SearchState:
        if together == ALONE:
            return jax.vmap(one)(state)[0]
        images = jax.tree.map(lambda leaf: leaf.reshape(-1, together.count, *leaf.shape[1:]), state)
        all_of_one = functools.partial(step_together, generator, config, numbers=numbers, in_turn=together.in_turn)
        # One image is not mapped over: then of searches in turn those that have ended are not computed.
        if len(images.status) == 1:
            return all_of_one(jax.tree.map(lambda leaf: leaf[0], images))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.vmap(all_of_one)(images))

    at_first = running(state)

    def goes_on(carry: tuple[Array, SearchState]) -> Array:
        return (carry[0] < limit) & (at_first - running(carry[1]) < enough)

    def body(carry: tuple[Array, SearchState]) -> tuple[Array, SearchState]:
        return carry[0] + 1, step_all(carry[1])

    taken, state = jax.lax.while_loop(goes_on, body, (jnp.int32(0), state))
    return state, taken


def _scalar(number: int | float) -> np.generic:
    return np.int32(number) if isinstance(number, int) else np.float32(number)


@functools.partial(Program, static_argnames="config")
def _take(generator: Generator, config: SearchConfig, state: SearchState, lane: Array) -> tuple[SearchState, Result]:
    """One lane's state, and what it delivers."""
    one = jax.tree.map(lambda leaf: leaf[lane], state)
    return one, search.finish(generator, config, one)


def _kept(state: SearchState) -> SearchState:
    """All of a state but what filling a lane gives again: the target, the noise that is not searched, and the key."""
    return state._replace(target=None, fixed_noise=None, key=None)


def kept_leaves(state: SearchState) -> list[Any]:
    """Return what is saved of a state: all but what filling a lane gives again."""
    return jax.tree.leaves(_kept(state))


@jax.jit
def _everywhere(state: SearchState, lane: Array) -> SearchState:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[lane], leaf.shape), state)


@jax.jit
def _are_alike(state: SearchState) -> Array:
    """Whether all lanes hold the same, NaN where another is NaN included."""

    def alike(leaf: Array) -> Array:
        first = leaf[:1]
        return jnp.all((leaf == first) | ((leaf != leaf) & (first != first)))

    return jnp.all(jnp.stack([alike(leaf) for leaf in jax.tree.leaves(state)]))


class Ended(NamedTuple):
    """A search that has ended.

    Attributes:
        task: Which search it is.
        state: Its lane's state, still on the device.
        result: What it delivers, likewise.
        key: Data of the key that its start was drawn from.
    """

    task: Task
    state: SearchState
    result: Result
    key: np.ndarray


class Lanes:
    """`count` lanes on one device for inputs of one size.

    Args:
        generator: Generator on the device, as `placed` gives it.
        config: Settings of the searches.
        side: Side of the inputs, in pixels.
        count: Searches that run at once.
        device: Device to run on.
        on_compiling: Function to call some times a second while a program compiles, with the seconds that has taken.
        together: Which lanes step together; `count` is a multiple of their number, and tasks come in such sets.

    Attributes:
        running: Task of each lane that holds one, until all that step with it have ended.
        looks: Looks that its searches have taken in it, when the last chunk was collected.
        step_seconds: Seconds that a step of all lanes took in the last chunk that had been compiled before; None before
            there was one.
        ended: Time when the last chunk was found to have ended, by `time.perf_counter`; 0 before one.
        compile_seconds: Seconds that the first calls took to return, which is tracing and compiling.
        position_independent: Whether a search's bits do not depend on its lane, as far as was seen: by two steps of one
            problem in all of them, when the program was compiled.
    """

    def __init__(
        self,
        generator: Generator,
        config: SearchConfig,
        side: int,
        count: int,
        device: Device,
        on_compiling: Callable[[float], Any] | None = None,
        together: Together = ALONE,
    ) -> None:
        self._on_compiling = on_compiling
        self._together = together
        self.running: dict[int, Task] = {}
        self.looks = 0
        self.step_seconds: float | None = None
        self.ended = 0.0
        self.count = count
        self.compile_seconds = 0.0
        self.position_independent = True
        self._generator = generator
        # Numbers as data: one program serves all configs of a structure.
        self._config = config.structure
        self._given = jax.tree.map(_scalar, config.numbers)
        self._device = device
        self._targets = np.zeros((count, side, side, 3), np.float32)
        self._numbers = np.zeros((3, count), np.uint32)  # of seed, image and restart
        self._state: SearchState | None = None
        self._looks = np.zeros(count, np.int64)  # of the searches in the lanes, whenever they were taken
        self._keys: dict[int, Array] = {}  # for each lane, the keys of all lanes as they were when it was filled
        self._taken: Array | None = None
        self._called: set[str] = set()
        # On a CPU, JAX runs one after another what a thread has called: chunks beside each other need one each.
        self._thread = ThreadPoolExecutor(1, "lanes") if device.platform == "cpu" else None
        self._dispatched: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a chunk is on its way."""
        return self._taken is not None

    def is_ready(self) -> bool:
        """Whether the chunk on its way has ended."""
        return self._taken is not None and self._taken.is_ready()  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def is_lost(self) -> bool:
        """Whether a chunk failed, and the state of the running searches with it."""
        return self._state is None and bool(self.running)

    def fill(self, tasks: Sequence[Task], saved: MutableMapping[str, Sequence[np.ndarray]]) -> None:
        """Give tasks to lanes that hold none; the others stand still.

        Args:
            tasks: Tasks to begin, at most as many as there are free lanes.
            saved: `kept_leaves` of searches that were under way before, by the names of their tasks; those that are
                put into lanes are removed.
        """
        if not tasks:
            return
        free = [lane for lane in range(self.count) if lane not in self.running]
        places = list(zip(free, tasks, strict=False))
        # Searches with given starts, and those that draw theirs, are filled by different programs.
        kinds = {jax.tree.structure(task.problem.start): None for task in tasks}
        for kind in kinds:
            some = [(lane, task) for lane, task in places if jax.tree.structure(task.problem.start) == kind]
            self._fill(some, saved)
            self.running.update(some)
            for _, task in some:
                saved.pop(task.name, None)

    def _fill(self, places: Sequence[tuple[int, Task]], saved: MutableMapping[str, Sequence[np.ndarray]]) -> None:
        filled = np.zeros(self.count, bool)
        starts = Start(None)
        for lane, task in places:
            problem = task.problem
            filled[lane] = True
            self._targets[lane] = problem.low_res
            self._numbers[:, lane] = problem.seed, image_number(problem.low_res), task.restart
        if (given := places[0][1].problem.start) is not None:
            starts = jax.tree.map(lambda a: np.zeros((self.count, *a.shape[1:]), np.float32), given)
            for lane, task in places:
                for place, value in zip(jax.tree.leaves(starts), jax.tree.leaves(task.problem.start), strict=True):
                    place[lane] = value[task.restart]
        # Copies: on a CPU the device may go on reading a NumPy array after the call has returned.
        inputs = jax.device_put((self._targets.copy(), *self._numbers.copy(), starts), self._device)
        fresh, keys = self._timed("fill", start_all, self._generator, self._config, *inputs)
        self._keys |= {lane: keys for lane, _ in places}
        begun = [(lane, saved[task.name]) for lane, task in places if task.name in saved]
        if begun:
            fresh = self._restored(fresh, begun)
        self._looks[filled] = np.asarray(fresh.steps)[filled] if begun else 0
        if self._state is None:
            self._state = jax.tree.map(jnp.copy, fresh)
        emptied = np.array([lane not in self.running for lane in range(self.count)]) & ~filled
        self._state = self._timed("refill", _refill, self._state, fresh, filled, emptied)

    def _restored(self, fresh: SearchState, begun: Sequence[tuple[int, Sequence[np.ndarray]]]) -> SearchState:
        """The freshly filled state with lanes put where they were."""
        kept = _kept(fresh)
        leaves = [np.array(leaf) for leaf in jax.device_get(jax.tree.leaves(kept))]
        for lane, values in begun:
            if [(value.shape, value.dtype) for value in values] != [(leaf.shape[1:], leaf.dtype) for leaf in leaves]:
                raise ValueError("saved searches: expected those of this generator and config, got other shapes")
            for leaf, value in zip(leaves, values, strict=True):
                leaf[lane] = value
        placed = jax.device_put(leaves, self._device)
        restored = jax.tree.unflatten(jax.tree.structure(kept), placed)
        return restored._replace(target=fresh.target, fixed_noise=fresh.fixed_noise, key=fresh.key)

    def program(self) -> Any:
        """Compile the program of a chunk, which runs then without a wait, and return it, a `jax.stages.Compiled`.

        Lanes must have been filled once.
        """
        limits = np.int32(1), np.int32(1)
        jitted = run_chunk.on(self._device.platform)
        arguments = self._generator, self._config, self._given, self._state, *limits, self._together
        return jitted.lower(*arguments).compile()

    def dispatch(self, limit: int, *, waiting: bool) -> None:
        """Start a chunk of at most `limit` steps and return at once; `waiting` says that tasks wait for free lanes."""
        if self.count > self._together.count and "chunk" not in self._called:
            self.position_independent = self._compare_positions()
        running = len(self.running) // self._together.count
        enough = max(1, round(self.count // self._together.count * _ENOUGH)) if waiting else running
        limits = np.int32(limit), np.int32(min(enough, running))
        self._dispatched = None if "chunk" not in self._called else time.perf_counter()
        state, self._state = self._state, None  # donated: gone if the chunk fails
        self._state, self._taken = self._chunk(state, *limits)

    def _chunk(self, state: SearchState | None, limit: np.int32, enough: np.int32) -> tuple[SearchState, Array]:
        arguments = self._generator, self._config, self._given, state, limit, enough, self._together
        return self._timed("chunk", run_chunk, *arguments)

    def _compare_positions(self) -> bool:
        state = _everywhere(self._state, np.int32(min(self.running)))
        state, _ = self._chunk(state, np.int32(2), np.int32(self.count))
        return bool(_are_alike(state))

    def collect(self) -> tuple[list[Ended], int]:
        """Wait for the chunk; return the searches that ended in it, and the steps that it took."""
        assert self._taken is not None and self._state is not None
        state, self._state = self._state, None  # gone if the chunk has failed
        taken, status, looks = jax.device_get((self._taken, state.status, state.steps))
        self._state, self._taken = state, None
        self.ended = time.perf_counter()
        if self._dispatched is not None and taken:
            self.step_seconds = (self.ended - self._dispatched) / int(taken)
        ended, done = [], self._done(status)
        for lane in sorted(self.running):
            self.looks += int(looks[lane] - self._looks[lane])
            self._looks[lane] = looks[lane]
            if lane in done:
                one, result = self._timed("take", _take, self._generator, self._config, state, np.int32(lane))
                for leaf in jax.tree.leaves(result):
                    leaf.copy_to_host_async()
                # Now, while the device has nothing to do: later it would first finish its chunk.
                key = np.asarray(self._keys.pop(lane))[lane]
                ended.append(Ended(self.running.pop(lane), one, result, key))
        return ended, int(taken)

    def _done(self, status: np.ndarray) -> set[int]:
        """The lanes whose search has ended, and all that step with it; what the caller has already is not awaited."""
        awaited = {
            lane // self._together.count
            for lane, task in self.running.items()
            if status[lane] == Status.RUNNING and not task.is_known
        }
        return {lane for lane in self.running if lane // self._together.count not in awaited}

    def snapshot(self) -> dict[str, list[np.ndarray]]:
        """Wait for the chunk on its way; return the `kept_leaves` of every running search by its task's name."""
        if self._state is None or not self.running:
            return {}
        leaves = jax.device_get(kept_leaves(self._state))
        return {task.name: [np.array(leaf[lane]) for leaf in leaves] for lane, task in self.running.items()}

    def _timed(self, name: str, program: Program, *arguments: Any) -> Any:
        jitted = program.on(self._device.platform)
        if name in self._called:
            beside = self._thread if name == "chunk" else None
            return jitted(*arguments) if beside is None else beside.submit(jitted, *arguments).result()
        # Here, so that what compiles is what the caller's thread has set JAX to.
        began = time.perf_counter()
        compile_watched(jitted.lower(*arguments), self._on_compiling)
        # Before it runs, which is when most memory is needed.
        give_back_memory()
        result = jitted(*arguments)
        self._called.add(name)
        self.compile_seconds += time.perf_counter() - began
        return result
