"""Which of many solutions differ most: told apart by what the degradation, and so the input, says nothing about.

Pictures are (H, W, 3) in [0, 1]; a distance is the root of the mean squared difference, over pixels and channels, of
their unseen parts (`Degradation.unseen`).
"""

import os
import tempfile
from collections.abc import Iterable

import numpy as np

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["choose", "nearest_distances", "unseen_parts"]


def choose(
    images: Iterable[np.ndarray],
    count: int,
    degradation: Degradation | int,
    *,
    folder: str | os.PathLike[str] | None = None,
) -> list[int]:
    """Pick `count` pictures far from each other: first the first, then ever the one farthest from those picked.

    Farthest from a set is what has the largest distance to its nearest member; of equals, what comes first. Source:
    Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".

    Args:
        images: Pictures, best first.
        count: How many to pick; all, if there are no more.
        degradation: What the pictures are solutions for; a number is the factor of bicubic downscaling.
        folder: Where unseen parts, of which memory might not hold many, lie meanwhile in a nameless file; the system's
            own folder for such files if None.

    Returns:
        Positions among `images`, in the order in which they are picked.
    """
    parts = unseen_parts(images, degradation, folder)
    nearest = np.full(len(parts), np.inf)
    picked: list[int] = []
    while len(picked) < min(count, len(parts)):
        # The first maximum, so the first picture to begin with.
        pick = int(np.argmax(nearest))
        picked.append(pick)
        nearest = np.minimum(nearest, _distances(parts[pick], parts))
        nearest[picked] = -1.0
    return picked


def nearest_distances(
    images: Iterable[np.ndarray], degradation: Degradation | int, *, folder: str | os.PathLike[str] | None = None
) -> list[float | None]:
    """Return each picture's distance to the nearest of the others; None if there are no others.

    Arguments are as in `choose`.
    """
    parts = unseen_parts(images, degradation, folder)
    if len(parts) < 2:
        return [None] * len(parts)
    return [float(np.delete(_distances(part, parts), number).min()) for number, part in enumerate(parts)]


def unseen_parts(
    images: Iterable[np.ndarray], degradation: Degradation | int, folder: str | os.PathLike[str] | None
) -> np.ndarray:
    """Return the unseen parts (n, H, W, 3), float32, in a file that goes with the array; arguments as in `choose`."""
    known = degradation if isinstance(degradation, Degradation) else Bicubic(degradation)
    shape = (0,)
    count = 0
    with tempfile.TemporaryFile(dir=folder) as file:
        for image in images:
            # In float32: far finer than a level of 8 bits, and half the size.
            part = known.unseen(image).astype(np.float32)
            file.write(part.tobytes())
            shape = part.shape
            count += 1
        file.flush()
        return np.memmap(file, np.float32, "r", shape=(count, *shape)) if count else np.empty(shape, np.float32)


def _distances(one: np.ndarray, parts: np.ndarray) -> np.ndarray:
    return np.array([np.sqrt(np.mean(np.square(one - part), dtype=np.float64)) for part in parts])
