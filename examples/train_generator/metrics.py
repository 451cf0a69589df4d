"""Measures of how alike two sets of pictures are, and how varied one is.

Pictures are (n, h, w, 3) in [0, 1]; points are rows (n, d). Everything is a function of its arguments; randomness comes
from fixed seeds.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

_ROWS = 256  # rows per block of a matrix of distances
_PATCH = 7

FaceDetector = Callable[[UInt8[np.ndarray, "h w 3"]], bool]

# --- sliced Wasserstein distance --------------------------------------------------------------------------------------


def sliced_wasserstein_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], *, directions: int = 256, seed: int = 0
) -> float:
    """The mean over random directions of the 1-Wasserstein distance between the projections (Rabin et al. 2011).

    Raises:
        ValueError: x and y have different shapes.
    """
    if x.shape != y.shape:
        raise ValueError(f"y: expected as many points as in x, {x.shape}, got {y.shape}")
    axes = np.random.default_rng(seed).normal(size=(directions, x.shape[1])).astype(np.float32)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    total = 0.0
    for block in np.array_split(axes, -(-directions // 32)):
        sorted_x, sorted_y = (np.sort(block @ points.T, axis=1) for points in (x, y))
        total += float(np.abs(sorted_x - sorted_y).mean(axis=1, dtype=np.float64).sum())
    return total / directions


def laplacian_pyramid(images: Float[np.ndarray, "n h w 3"], levels: int) -> list[np.ndarray]:
    """Differences to the halved pictures, finest first, and the coarsest pictures themselves; halved by 2×2 means."""
    pyramid = []
    for _ in range(levels - 1):
        n, height, width, _ = images.shape
        small = images.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4))
        pyramid.append(images - small.repeat(2, axis=1).repeat(2, axis=2))
        images = small
    return [*pyramid, images]


def patches(level: Float[np.ndarray, "n h w 3"], *, per_image: int = 64, seed: int = 0) -> Float[np.ndarray, "m 147"]:
    """Random 7×7 patches of every picture as rows, each channel standardised over all of them."""
    n, height, width, _ = level.shape
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, height - _PATCH + 1, (n, per_image))
    columns = rng.integers(0, width - _PATCH + 1, (n, per_image))
    windows = np.lib.stride_tricks.sliding_window_view(level, (_PATCH, _PATCH), axis=(1, 2))
    drawn = windows[np.arange(n)[:, None], rows, columns].reshape(n * per_image, 3, _PATCH**2)
    axes: Any = {"axis": (0, 2), "keepdims": True, "dtype": np.float64}
    drawn = (drawn - drawn.mean(**axes)) / np.maximum(drawn.std(**axes), 1e-8)
    return drawn.reshape(len(drawn), -1).astype(np.float32)


def patch_distances(a: Float[np.ndarray, "n h w 3"], b: Float[np.ndarray, "n h w 3"]) -> list[float]:
    """Sliced Wasserstein distances of 7×7 patches on the levels of a Laplacian pyramid, finest first, down to 16×16.

    Source: Karras et al. 2018, section 5 (there ×1000).

    Raises:
        ValueError: the sets differ in number or size.
    """
    if a.shape != b.shape:
        raise ValueError(f"b: expected as many pictures as in a, {a.shape}, got {b.shape}")
    levels, side = 1, min(a.shape[1:3])
    while side >= 32 and side % 2 == 0:
        levels, side = levels + 1, side // 2
    pyramids = (laplacian_pyramid(np.asarray(images, np.float32), levels) for images in (a, b))
    return [
        sliced_wasserstein_distance(patches(level_a, seed=i), patches(level_b, seed=i), seed=i)
        for i, (level_a, level_b) in enumerate(zip(*pyramids, strict=True))
    ]


# --- Fréchet distance -------------------------------------------------------------------------------------------------


def _moments(points: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
    points = points.astype(np.float64)
    return points.mean(axis=0), np.atleast_2d(np.cov(points, rowvar=False))


def frechet_distance_of_gaussians(
    mean_a: Float[np.ndarray, " d"],
    covariance_a: Float[np.ndarray, "d d"],
    mean_b: Float[np.ndarray, " d"],
    covariance_b: Float[np.ndarray, "d d"],
) -> float:
    """|μa − μb|² + tr(A + B − 2 (A½ B A½)½): the squared 2-Wasserstein distance (Dowson and Landau 1982)."""
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # tr of the root of a positive semi-definite matrix: the sum of its eigenvalues' roots.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return float(np.square(mean_a - mean_b).sum() + traces - 2 * cross)


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """The Fréchet distance of Gaussians fitted to two sets of features (Heusel et al. 2017), in float64.

    Biased upwards, the more the fewer the points: compare only with distances of equally many.
    """
    return frechet_distance_of_gaussians(*_moments(x), *_moments(y))


# --- distances between points -----------------------------------------------------------------------------------------


@jax.jit
def _squared_distances(x: Array, y: Array) -> Array:
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x * x, 1)[:, None] + jnp.sum(y * y, 1) - 2 * products, 0)


def _distance_blocks(x: np.ndarray, y: np.ndarray) -> Iterable[tuple[slice, np.ndarray]]:
    """Euclidean distances of `_ROWS` rows of x at a time to all of y; centred first, which spares float32 digits."""
    centre = y.mean(axis=0, dtype=np.float64).astype(np.float32)
    y = np.asarray(y, np.float32) - centre
    for start in range(0, len(x), _ROWS):
        rows = slice(start, min(start + _ROWS, len(x)))
        yield rows, np.sqrt(_squared_distances(np.asarray(x[rows], np.float32) - centre, y))


def nearest_distances(x: Float[np.ndarray, "n d"], blocks: Iterable[np.ndarray]) -> Float[np.ndarray, " n"]:
    """Each point's Euclidean distance to the nearest of all points in `blocks` (each (m, d)), of which one is held."""
    nearest = np.full(len(x), np.inf, np.float32)
    for block in blocks:
        for rows, distances in _distance_blocks(x, block):
            nearest[rows] = np.minimum(nearest[rows], distances.min(axis=1))
    return nearest


def mean_pairwise_distance(x: Float[np.ndarray, "n d"]) -> float:
    """The mean Euclidean distance between two different points."""
    total = 0.0
    for rows, distances in _distance_blocks(x, x):
        index = np.arange(rows.start, rows.stop)
        distances[index - rows.start, index] = 0  # what rounding left of a point's distance to itself
        total += float(distances.sum(dtype=np.float64))
    return total / (len(x) * (len(x) - 1))


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Each point's distance to its k-th nearest other point."""
    if len(x) <= k:
        raise ValueError(f"points: expected more than k = {k}, got {len(x)}")
    radii = np.empty(len(x), np.float32)
    for rows, distances in _distance_blocks(x, x):
        index = np.arange(rows.start, rows.stop)
        distances[index - rows.start, index] = 0
        radii[rows] = np.partition(distances, k, axis=1)[:, k]  # the 0-th is the point itself
    return radii


def _coverage(points: np.ndarray, manifold: np.ndarray, k: int) -> float:
    """The share of `points` that lie in the ball, up to its k-th neighbour, of any point of `manifold`."""
    radii = _radii(manifold, k)
    inside = [(distances <= radii).any(axis=1) for _, distances in _distance_blocks(points, manifold)]
    return float(np.concatenate(inside).mean())


def precision_recall(
    real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"], *, k: int = 3
) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019): shares of one set inside the other's k-NN manifold.

    Precision is how much of what is generated looks real, recall how much of what is real can be generated.

    Raises:
        ValueError: a set has no more than k points.
    """
    return _coverage(generated, real, k), _coverage(real, generated, k)


# --- differences ------------------------------------------------------------------------------------------------------


def pairwise_differences(images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, " pairs"]:
    """The root mean square difference of every pair of pictures, n (n − 1) / 2 numbers."""
    first, second = np.triu_indices(len(images), 1)
    return np.array([np.sqrt(np.mean((images[i] - images[j]) ** 2)) for i, j in zip(first, second, strict=True)])


# --- faces ------------------------------------------------------------------------------------------------------------


def haar_detector(side: int = 256) -> FaceDetector:
    """OpenCV's frontal face cascades, `default` and `alt2` (Viola and Jones 2001), on the picture enlarged to `side`.

    Both must find a face at least 0.3 sides large: on blurred pictures they disagree, on sharp ones hardly ever.

    Raises:
        SystemExit: OpenCV is not installed, or one without cascades.
    """
    advice = "error: faces are found by OpenCV 4; python -m pip install 'opencv-python-headless<5', or say --no-faces"
    try:
        cv2: Any = importlib.import_module("cv2")
        names = ("haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml")
        cascades = [cv2.CascadeClassifier(cv2.data.haarcascades + name) for name in names]
    except (ImportError, AttributeError):
        raise SystemExit(advice) from None

    def detect(picture: UInt8[np.ndarray, "h w 3"]) -> bool:
        large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
        grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
        least = (round(0.3 * side),) * 2
        return all(len(cascade.detectMultiScale(grey, 1.1, 3, minSize=least)) > 0 for cascade in cascades)

    return detect


def faces_found(pictures: UInt8[np.ndarray, "n h w 3"], detector: FaceDetector) -> Bool[np.ndarray, " n"]:
    """Whether the detector finds a face, picture by picture."""
    return np.array([detector(picture) for picture in pictures], bool)
