"""How fast Ray workers of one core each are together, beside one engine on as many cores.

All search the same inputs, held-out faces at 8×8, in processes of their own that keep to the same cores, in turns: the
engine (`solve_stream`), the stream behind `upsample --ray`, and `upsample_dataset`. Searches a second are counted from
when all workers have compiled to the last one's end. Printed in one run: the rates, each one's ratio to the engine's,
and whether all found the same pictures, bit for bit. Needs Ray: `pip install -e ".[ray]"`.
"""

import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import numpy as np
import tyro

import pulse_jax
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.formats import encoded
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.search.presets import PRESETS

FACES = pathlib.Path(__file__).parents[1] / "heldout" / "report"
# Every search takes as many looks, so that no side has luck.
CONFIG = PRESETS["pulse"](steps=30, eps=1e-9)
RESTARTS = 2
# Rows of a worker's batch, and those that come out before all workers have compiled.
BATCH, WARM = 4, 16
Found = tuple[str, int, bytes]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed.

    Attributes:
        workers: Workers of one core each, and cores of the engine.
        count: Inputs that are timed.
        rounds: How often each side is timed.
        side: The side that this process is; it starts the others itself.
    """

    workers: int = 2
    count: int = 200
    rounds: int = 3
    side: str = ""


def inputs(count: int) -> list[np.ndarray]:
    """Return so many inputs (8, 8, 3), all different: faces, some of them a little darker."""
    faces = [Bicubic(8).apply_float64(read_image(path).pixels) for path in sorted(FACES.glob("*.png"))]
    dimmed = (faces[n % len(faces)] * 0.99 ** (n // len(faces)) for n in range(count))
    return [from_uint8(to_uint8(picture)) for picture in dimmed]


def problems(options: Options) -> list[pulse_jax.Problem]:
    """Return what both streams solve."""
    low_res = enumerate(inputs(options.count + WARM))
    return [pulse_jax.Problem(low_res=one, index=index, restarts=RESTARTS) for index, one in low_res]


def engine(options: Options) -> Iterator[Found]:
    """Yield what one engine finds."""
    stream = pulse_jax.solve_stream(problems(options), pulse_jax.load_generator(), config=CONFIG, lanes=options.workers)
    for one in stream:
        yield str(one.index), one.restart, encoded(to_uint8(one.image), "png")


def stream(options: Options) -> Iterator[Found]:
    """Yield what workers find that stand each for a machine of one core."""
    from ray.cluster_utils import Cluster

    from pulse_jax.distributed.stream import solve_on_workers

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(options.workers - 1):
        cluster.add_node(num_cpus=1)
    found = solve_on_workers(
        problems(options),
        pulse_jax.load_generator(),
        address=str(cluster.address),
        count=options.count + WARM,
        config=CONFIG,
        lanes=None,
        on_chunk=lambda progress: None,
        on_compiling=lambda seconds: None,
        on_lost=print,
    )
    for one in found:
        yield str(one.index), one.restart, encoded(to_uint8(one.image), "png")
    cluster.shutdown()


def dataset(options: Options) -> Iterator[Found]:
    """Yield the rows that workers make of a dataset."""
    import ray

    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [{"id": index, "image": to_uint8(one)} for index, one in enumerate(inputs(options.count + WARM))]
    blocks = len(rows) // BATCH
    found = pulse_jax.distributed.upsample_dataset(
        ray.data.from_items(rows, override_num_blocks=blocks),
        config=CONFIG,
        restarts=RESTARTS,
        workers=options.workers,
        cores=1,
        batch_size=BATCH,
    )
    for row in found.iter_rows():
        yield row["id"], row["restart"], row["png"]


def timed(found: Iterable[Found]) -> tuple[float, str]:
    """Return searches a second, once `WARM` inputs' have come, and a digest of all pictures."""
    times, pictures = [], []
    for index, restart, png in found:
        times.append(time.perf_counter())
        pictures.append(((int(index), restart), png))
    warm = WARM * RESTARTS - 1
    digest = hashlib.sha256(b"".join(png for _, png in sorted(pictures))).hexdigest()
    return (len(times) - 1 - warm) / (times[-1] - times[warm]), digest


SIDES = {"engine": engine, "stream": stream, "dataset": dataset}


def main(options: Options) -> None:
    """Time all sides in turns, and print a line for each."""
    if options.side:
        print(json.dumps(timed(SIDES[options.side](options))))
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.workers])
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    digests = set()
    for _ in range(options.rounds):
        for side, known in rates.items():
            words = ["--side", side, "--workers", str(options.workers), "--count", str(options.count)]
            program = [sys.executable, "-m", "examples.benchmarks.distributed", *words]
            done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
            rate, digest = json.loads(done.stdout.splitlines()[-1])
            known.append(rate)
            digests.add(digest)
    whole = statistics.median(rates["engine"])
    for side, known in rates.items():
        each = ", ".join(f"{rate:.2f}" for rate in known)
        print(
            f"{side}: {statistics.median(known):.2f} searches a second ({each}), {statistics.median(known) / whole:.2f}"
        )
    print("the same pictures, bit for bit" if len(digests) == 1 else "the pictures differ")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
