"""Judge a generator against held-out renders: `python examples/train_generator/judge.py --heldout DIR --train DIR`.

Printed beside what held-out renders score among themselves (the floor): the sliced Wasserstein distance of 7×7 patches
on three levels of a Laplacian pyramid (Karras et al. 2018, section 5), the mean distance between two pictures (collapse
shows as less than that of renders), and the distance of each sample to the nearest training render, mirrored ones
included (copying shows as less than that of held-out renders).
"""

import dataclasses
import pathlib

import jax
import numpy as np
import tyro

from pulse_jax.generator import load_generator


@dataclasses.dataclass(frozen=True)
class Options:
    """Folders of shards written by render.py, the generator (the embedded one by default) and the number of samples."""

    heldout: pathlib.Path
    train: pathlib.Path
    generator: pathlib.Path | None = None
    samples: int = 300


def read(folder: pathlib.Path) -> np.ndarray:
    """All pictures of a folder's shards, float32 (n, r, r, 3) in [0, 1]."""
    return np.concatenate([np.load(path) for path in sorted(folder.glob("shard_*.npy"))]).astype(np.float32) / 255


def pyramid(images: np.ndarray, levels: int = 3) -> list[np.ndarray]:
    """Laplacian pyramid by 2×2 means: differences to the halved picture, finest first, and the coarsest itself."""
    out = []
    for _ in range(levels - 1):
        n, height, width, _ = images.shape
        small = images.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4))
        out.append(images - small.repeat(2, axis=1).repeat(2, axis=2))
        images = small
    return [*out, images]


def patches(level: np.ndarray, rng: np.random.Generator, per_image: int = 64) -> np.ndarray:
    """Random 7×7 patches, each channel standardised over all of them, as rows."""
    n, height, width, _ = level.shape
    rows = rng.integers(0, height - 6, (n, per_image))
    columns = rng.integers(0, width - 6, (n, per_image))
    windows = np.lib.stride_tricks.sliding_window_view(level, (7, 7), axis=(1, 2))
    drawn = windows[np.arange(n)[:, None], rows, columns].reshape(n * per_image, 3, 49)
    drawn = (drawn - drawn.mean((0, 2), keepdims=True)) / drawn.std((0, 2), keepdims=True)
    return drawn.reshape(len(drawn), -1)


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, directions: int = 256) -> list[float]:
    """The mean absolute difference of sorted projections, per pyramid level; a and b hold equally many pictures."""
    rng = np.random.default_rng(0)
    distances = []
    for level_a, level_b in zip(pyramid(a), pyramid(b), strict=True):
        axes = rng.normal(size=(147, directions))
        axes /= np.linalg.norm(axes, axis=0)
        sorted_a, sorted_b = (np.sort(patches(level, rng) @ axes, axis=0) for level in (level_a, level_b))
        distances.append(float(np.abs(sorted_a - sorted_b).mean()))
    return distances


def spread(images: np.ndarray) -> float:
    """The mean root-mean-square difference between two different pictures."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    squares = (flat**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1])
    return float(distances.sum() / (len(flat) * (len(flat) - 1)))


def nearest(images: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each picture's root-mean-square difference to the nearest of `train`, mirrored or not."""
    reference = train.reshape(len(train), -1)
    squares = (reference**2).sum(1)
    best = np.full(len(images), np.inf)
    for candidate in (images, images[:, :, ::-1]):
        flat = candidate.reshape(len(images), -1)
        distances = (flat**2).sum(1)[:, None] + squares - 2 * flat @ reference.T
        best = np.minimum(best, distances.min(1) / flat.shape[1])
    return np.sqrt(np.maximum(best, 0))


def main(options: Options) -> None:
    """Print the three comparisons."""
    heldout, train = read(options.heldout), read(options.train)
    samples = load_generator(options.generator).sample(jax.random.key(0), options.samples)
    samples = np.rint(np.clip(np.asarray(samples), 0, 1) * 255) / 255
    half = min(len(heldout) // 2, len(samples))
    for name, images in (("renders", heldout[half : 2 * half]), ("samples", samples[:half])):
        distances = sliced_wasserstein(images, heldout[:half])
        levels = " ".join(f"{value:.3f}" for value in distances)
        print(f"{name}  sliced Wasserstein (fine, middle, coarse) {levels}  mean {np.mean(distances):.3f}")
    print(f"mean distance between two pictures, relative to renders: {spread(samples) / spread(heldout):.2f}")
    for name, images in (("renders", heldout), ("samples", samples)):
        closest = nearest(images.astype(np.float32), train)
        print(f"{name}  nearest training render: median {np.median(closest):.3f}, least {closest.min():.3f}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
