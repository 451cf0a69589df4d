"""The worker of `upsample_dataset`: batches of rows with pictures in, tables of solutions out."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from pulse_jax.distributed.start import start_worker
from pulse_jax.engine.memory import fitting_lanes
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import load_generator
from pulse_jax.images.files import ImageError, read_image
from pulse_jax.images.formats import encoded
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.degradation import as_input
from pulse_jax.search.problems import Problem, Solution, as_pixels, rank
from pulse_jax.search.requirements import admissible_sizes, output_size
from pulse_jax.system.devices import usable_cores
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable

if TYPE_CHECKING:
    import pyarrow

__all__ = ["RowWorker"]

# Of large pictures, as many as keep up with a fast device.
_MOST_THREADS = 8


class _Found(NamedTuple):
    """What is kept of a solution.

    Attributes:
        feasible, loss, restart: As of the solution, by which it is ranked.
        columns: Its row, without what all rows have and without the picture.
        png: The picture's file, on its way.
    """

    feasible: bool
    loss: float
    restart: int
    columns: Mapping[str, Any]
    png: Future[bytes]


class RowWorker:
    """Holds a generator on its device; called with a batch, it yields a table for each row, in the rows' order.

    A batch that is made again, by another worker, comes out in the same tables: Ray skips those that it has already.

    Args:
        id, image: Columns of ids and of pictures.
        generator: Generator folder; None for the embedded generator.
        config: Settings.
        restarts: Searches of each picture.
        seed: What the starts are drawn from.
        lanes, strict: As `solve_stream` takes them.
        cores: Cores to compute on; None to compute on a GPU.

    Raises:
        RunError: JAX cannot start on the device.
        GeneratorError: The folder is no generator's.
        ValueError: The generator does not suit the config.
    """

    def __init__(
        self,
        *,
        id: str,
        image: str,
        generator: str | None,
        config: UpsamplingConfig,
        restarts: int,
        seed: int,
        lanes: int | None,
        strict: bool,
        cores: int | None,
    ) -> None:
        start_worker(cores)
        self._generator = load_generator(generator)
        self._size = output_size(self._generator, config)
        self._sides = admissible_sizes(self._size, config)
        self._id, self._image = id, image
        if lanes is None and isinstance(config, SearchConfig):
            # Once for all batches: on GPUs bits depend on it, which must not depend on how many rows a batch has.
            lanes = fitting_lanes(self._generator, config, jax.local_devices()[0])
        self._config, self._lanes, self._strict = config, lanes, strict
        self._restarts, self._seed = restarts, seed
        self._searches = restarts if isinstance(config, SearchConfig) else 1
        # Compressing large pictures takes longer than a device needs to find them.
        self._compressing = ThreadPoolExecutor(min(usable_cores(), _MOST_THREADS))

    def __call__(self, batch: Mapping[str, Any]) -> Iterator["pyarrow.Table"]:
        """Yield what the rows of a batch come to.

        Args:
            batch: Columns of n rows each; more than those of ids and pictures are left alone.

        Raises:
            UsageError: A column is missing.
        """
        for name in (self._id, self._image):
            if name not in batch:
                raise UsageError(f"no column {printable(name)!r}: there are {', '.join(map(printable, batch))}")
        names = [_text(value) for value in batch[self._id]]
        found: list[list[_Found] | str] = []
        problems = []
        for index, (name, picture) in enumerate(zip(names, batch[self._image], strict=True)):
            try:
                low_res = self._pixels(name, picture)
                problems.append(Problem(low_res=low_res, index=index, restarts=self._restarts, seed=self._seed))
                found.append([])
            except (TypeError, ValueError) as error:
                found.append(error.message if isinstance(error, ImageError) else printable(error, 600))
        ready = 0
        for solution in self._stream(problems):
            of_row = found[solution.index]
            assert isinstance(of_row, list)
            of_row.append(self._found(solution))
            # Never as they end: a batch that is made again must come out in the same order.
            while ready < len(found) and self._is_complete(found[ready]):
                yield self._table(names[ready], found[ready])
                found[ready] = []
                ready += 1
        for index in range(ready, len(found)):
            yield self._table(names[index], found[index])

    def _stream(self, problems: Sequence[Problem]) -> Iterator[Solution]:
        return solve_stream(problems, self._generator, config=self._config, lanes=self._lanes, strict=self._strict)

    def _found(self, solution: Solution) -> "_Found":
        """What is kept of a solution, whose picture is being compressed."""
        columns = {
            "restart": solution.restart,
            "feasible": bool(solution.feasible),
            "status": solution.status.name,
            "error": float(solution.downscaling_error),
            "loss": float(solution.loss),
            "steps": int(solution.steps),
            "latent": list(np.asarray(solution.latent)),
            "w": list(np.asarray(solution.w)),
        }
        png = self._compressing.submit(encoded, to_uint8(solution.image), "png")
        return _Found(columns["feasible"], columns["loss"], solution.restart, columns, png)

    def _is_complete(self, row: list[_Found] | str) -> bool:
        return isinstance(row, str) or len(row) == self._searches

    def _pixels(self, name: str | None, picture: Any) -> np.ndarray:
        """The low-resolution picture (h, h, 3) of a row; raises `ValueError` or `TypeError` where there is none."""
        if name is None:
            raise ValueError(f"{self._id}: the row has none, by which its solutions could be told; give each one")
        if isinstance(picture, bytes):
            pixels = _decoded(picture)
        elif picture is None:
            raise ValueError(f"{self._image}: the row has no picture; give the bytes of a file, or pixels (h, h, 3)")
        else:
            pixels = np.asarray(picture)
            if pixels.dtype.kind in "OSU":
                raise ValueError(f"{self._image}: expected the bytes of a file, or pixels (h, h, 3), got neither")
        in_levels = pixels.dtype == np.uint8
        pixels = as_pixels(from_uint8(pixels) if in_levels else pixels)
        if pixels.ndim != 3 or pixels.shape[0] != pixels.shape[1] or pixels.shape[2] != 3:
            raise ValueError(f"{self._image}: expected a square RGB picture (h, h, 3), got {pixels.shape}; crop it")
        if len(pixels) not in self._sides:
            sides = ", ".join(map(str, self._sides))
            raise ValueError(f"{self._image}: expected a side of {sides} pixels, got {len(pixels)}; downscale it")
        if not np.isfinite(pixels).all():
            raise ValueError(f"{self._image}: expected numbers in [0, 1], got NaN or infinite ones; leave the row out")
        solved = as_input(self._config, self._size, pixels)
        # What an input.png of a run holds.
        return from_uint8(to_uint8(solved)) if in_levels else solved

    def _table(self, name: str | None, row: list[_Found] | str) -> "pyarrow.Table":
        """What a row comes to: its solutions, best first, or why there are none."""
        import pyarrow

        common = {"id": name, "seed": self._seed}
        if isinstance(row, str):
            rows = [{**common, "failure": row}]
        else:
            ranked = enumerate(rank(row), 1)
            rows = [{**common, "rank": place, **one.columns, "png": one.png.result()} for place, one in ranked]
        return pyarrow.Table.from_pylist(rows, schema=_schema())


def _schema() -> "pyarrow.Schema":
    import pyarrow as pa

    rows = pa.list_(pa.list_(pa.float32()))
    return pa.schema(
        {
            "id": pa.string(),
            "failure": pa.string(),
            "rank": pa.int32(),
            "restart": pa.int32(),
            "seed": pa.int64(),
            "feasible": pa.bool_(),
            "status": pa.string(),
            "error": pa.float64(),
            "loss": pa.float64(),
            "steps": pa.int32(),
            "png": pa.binary(),
            "latent": rows,
            "w": rows,
        }
    )


def _text(value: Any) -> str | None:
    """An id as text; None where there is none."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return None
    return str(value)


def _decoded(file: bytes) -> np.ndarray:
    """The pixels of a picture file in 8 bits; raises `ImageError`."""
    # The reader, which is made for files from strangers, takes nothing but files.
    handle, place = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "wb") as copy:
            copy.write(file)
        return to_uint8(read_image(place).pixels)
    finally:
        Path(place).unlink()
