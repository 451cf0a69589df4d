"""`upsample_dataset`: rows with pictures in, rows with solutions out, through Ray Data (no JAX in this process)."""

import os
from typing import TYPE_CHECKING

from pulse_jax.distributed.cluster import import_ray, places
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.presets import DEFAULT, named

if TYPE_CHECKING:
    from ray.data import Dataset

__all__ = ["upsample_dataset"]


def upsample_dataset(
    dataset: "Dataset",
    *,
    id: str = "id",
    image: str = "image",
    generator: str | os.PathLike[str] | None = None,
    config: UpsamplingConfig | str | None = None,
    restarts: int = 1,
    seed: int = 0,
    lanes: int | None = None,
    strict: bool = False,
    workers: int | None = None,
    cores: int | None = None,
    batch_size: int = 64,
) -> "Dataset":
    """Return a dataset with k rows for every row of one, a solution each; nothing is computed before it is read.

    Every worker holds the generator on a device of its own and keeps its compiled programs. A solution is, bit for bit,
    the one that `pulse_jax.upsample` finds of the same pixels on one machine with such devices: it depends on pixels,
    restart, seed, config, generator and kind of device (on GPUs on `lanes` too, unless `strict`), not on batches,
    workers or order. The batch of a worker that is lost is begun again by another one. Ray Data reads no more rows
    ahead than there is memory for.

    Rows in have an id, and a picture: the bytes of a file (PNG, JPEG, WebP …, as `ray.data.read_binary_files` gives
    them), or pixels (h, h, 3), uint8 in 0 … 255 or floating-point in [0, 1]. Of a file, and of uint8, what is solved is
    what `pulse-jax upsample` solves; h must be one of the sides that `pulse-jax info` lists. A row that cannot be used
    costs nothing but itself: it becomes one row with `failure`, and no solution.

    Rows out, best first for each row in, in its order within a batch (nullable Arrow types; all but `id` and `seed`
    are null of a row that failed, `failure` of every other one):

    | column | type | what |
    |---|---|---|
    | `id` | string | the id, as text |
    | `failure` | string | what is wrong with the row, and what to do |
    | `rank` | int32 | place among the solutions of the row, from 1 |
    | `restart` | int32 | which search found it, from 0 |
    | `seed` | int64 | what starts were drawn from |
    | `feasible` | bool | whether `error` is at most ε |
    | `status` | string | how the search ended: a name of `Status` |
    | `error` | float64 | mean squared error of the downscaled 8-bit picture against the input; [0, 1] pixels |
    | `loss` | float64 | total loss of the search |
    | `steps` | int32 | looks that it took |
    | `png` | binary | the picture (H, W, 3), a PNG file |
    | `latent` | list of lists of float32 | searched latent (rows, d) |
    | `w` | list of lists of float32 | what the generator drew the picture of (L, d) |

    Args:
        dataset: Rows to solve, of any source that Ray reads.
        id: Column of the ids: text, or whole numbers.
        image: Column of the pictures.
        generator: Generator folder, at a path that every worker can read; None for the embedded generator.
        config: Settings, or a preset's name; `presets.fast()` if None.
        restarts: k, how many searches each picture gets; an interpolation makes one solution.
        seed: What the starts are drawn from, together with the pixels: 0 to 2³² − 1.
        lanes: Searches at once in each worker; None for what suits it. On GPUs last bits depend on it, and what
            suits depends on free memory: name it where several runs are to give the same.
        strict: Run every search as a program by itself on GPUs too.
        workers: How many workers; None for one on each GPU of the cluster, or, where it has none or `cores` are given,
            as many as it has cores for.
        cores: Compute on CPUs, so many cores a worker; None for GPUs where the cluster has any, else for all cores of
            its smallest machine. Ray is told of one fewer: tasks that read rows need a core of its count, too.
        batch_size: Rows that a worker is given at once, and makes again if it is lost; at the end of each a GPU's lanes
            run empty, so that several times `lanes` / k is well.

    Raises:
        ValueError: An argument is out of range, or there is no such preset.
        RunError: Ray is not installed. (Of the generator, a worker says so when the dataset is read.)
    """
    ray = import_ray()
    config = named(DEFAULT if config is None else config) if config is None or isinstance(config, str) else config
    counts = {"restarts": restarts, "batch_size": batch_size, "lanes": lanes, "workers": workers, "cores": cores}
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name}: expected a whole number from 1, got {value!r:.80}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: expected a whole number from 0 to {2**32 - 1}, got {seed!r:.80}")

    if isinstance(config, SearchConfig) and config.repulsion > 0 and restarts < 2:
        raise ValueError(f"repulsion: expected 2 restarts or more, which repel each other, got {restarts}")

    from pulse_jax.distributed.rows import RowWorker

    if not ray.is_initialized():
        ray.init()
    gpus, machines = len(places(ray, "gpu")), [place.cores or 0 for place in places(ray, "cpu")]
    if cores is None and not gpus:
        cores = min(machines, default=1)
    if workers is None:
        workers = max(1, gpus if cores is None else sum(machines) // cores)
    return dataset.map_batches(
        RowWorker,
        fn_constructor_kwargs={
            "id": id,
            "image": image,
            "generator": None if generator is None else os.fspath(generator),
            "config": config,
            "restarts": restarts,
            "seed": seed,
            "lanes": lanes,
            "strict": strict,
            "cores": cores,
        },
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=1 if cores is None else None,
        # Workers keep what they are promised; were that all, tasks that read rows would wait for ever.
        num_cpus=None if cores is None else cores - 1,
    )
