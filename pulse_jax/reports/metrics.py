"""How good solutions are: against the truth, against their input, against each other, and as a set of pictures.

Pictures are (..., H, W, 3) in [0, 1] and points are rows (n, d), all NumPy arrays. Everything is a function of its
arguments, in float64 unless said otherwise; randomness comes from fixed seeds.
"""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pulse_jax.images.degradations.bicubic import Bicubic

__all__ = [
    "consistency_psnr",
    "downscaling_error",
    "frechet_distance",
    "frechet_distance_of_gaussians",
    "laplacian_pyramid",
    "norm_statistics",
    "pairwise_differences",
    "pairwise_diversity",
    "patch_distances",
    "patches",
    "psnr",
    "sliced_wasserstein_distance",
    "ssim",
]

_PATCH = 7
# Directions whose projections are held at once.
_DIRECTIONS = 32
# Wang et al. 2004: an 11 × 11 window of a Gaussian, as scikit-image cuts it off at 3.5 of these deviations.
_SSIM_DEVIATION, _SSIM_WINDOW = 1.5, 11
# The norm of N(0, I) in any but the lowest dimensions deviates by 1/√2; far is what lies three deviations away.
_FAR = 3 / math.sqrt(2)


def psnr(
    image: Float[np.ndarray, "*batch h w c"], truth: Float[np.ndarray, "*batch h w c"]
) -> Float[np.ndarray, "*batch"]:
    """Return the peak signal-to-noise ratio in dB for each picture: −10 log₁₀ of the mean squared error.

    Args:
        image: Pictures in [0, 1].
        truth: What they should be, of the same shape.

    Returns:
        A number for each picture, infinite for equal ones.

    Raises:
        ValueError: The shapes differ, or a picture is not floating-point.
    """
    error = np.mean(np.square(_difference(image, truth)), axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(error))


def ssim(image: Float[np.ndarray, "h w c"], truth: Float[np.ndarray, "h w c"]) -> float:
    """Return the structural similarity, averaged over channels and pixels, 1 for equal pictures.

    With the Gaussian window and the constants of Wang et al. 2004, "Image quality assessment: from error visibility to
    structural similarity", computed by scikit-image.

    Args:
        image: Picture in [0, 1].
        truth: What it should be, of the same shape.

    Raises:
        ValueError: The shapes differ, a side is below 11 pixels, or a picture is not floating-point.
        ModuleNotFoundError: scikit-image is not installed.
    """
    _difference(image, truth)
    if min(image.shape[:2]) < _SSIM_WINDOW:
        raise ValueError(f"image: expected sides of at least {_SSIM_WINDOW} pixels, got shape {image.shape}")
    try:
        measures: Any = importlib.import_module("skimage.metrics")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "structural similarity needs scikit-image; python -m pip install 'pulse-jax[metrics]'"
        ) from error
    return float(
        measures.structural_similarity(
            np.asarray(image, np.float64),
            np.asarray(truth, np.float64),
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=_SSIM_DEVIATION,
            use_sample_covariance=False,
        )
    )


def _difference(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if image.shape != truth.shape:
        raise ValueError(f"truth: expected the image's shape {image.shape}, got {truth.shape}")
    for name, array in (("image", image), ("truth", truth)):
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name}: expected floating-point pictures in [0, 1], got {array.dtype}")
    return np.asarray(image, np.float64) - np.asarray(truth, np.float64)


def downscaling_error(
    image: Float[np.ndarray, "*batch high high 3"],
    low_res: Float[np.ndarray, "*batch low low 3"],
    *,
    blur_at_factor_one: bool = False,
) -> Float[np.ndarray, "*batch"]:
    """Return the mean squared error of D(image) against the input, for each picture: what ε bounds.

    Args:
        image: Solutions in [0, 1].
        low_res: What they are solutions of.
        blur_at_factor_one: Whether D blurs at factor 1, as in `Bicubic`.

    Raises:
        ValueError: D cannot bring the image to the input's size.
    """
    return _bicubic(image, low_res, blur_at_factor_one).error(image, low_res)


def consistency_psnr(
    image: Float[np.ndarray, "*batch high high 3"],
    low_res: Float[np.ndarray, "*batch low low 3"],
    *,
    blur_at_factor_one: bool = False,
) -> Float[np.ndarray, "*batch"]:
    """Return the PSNR of D(image) against the input in dB: 30 dB is an error of 1e-3.

    Arguments and errors are those of `downscaling_error`.
    """
    return psnr(_bicubic(image, low_res, blur_at_factor_one).apply_float64(image), np.asarray(low_res, np.float64))


def _bicubic(image: np.ndarray, low_res: np.ndarray, blur_at_factor_one: bool) -> Bicubic:
    high, low = image.shape[-2], low_res.shape[-2]
    if high % low or image.shape[-3] * low != low_res.shape[-3] * high or image.shape[-1] != low_res.shape[-1]:
        raise ValueError(f"low_res: expected a whole part of the image's {image.shape}, got {low_res.shape}")
    return Bicubic(high // low, blur_at_factor_one)


def pairwise_differences(images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, " pairs"]:
    """Return the root mean square difference of every pair of pictures, n (n − 1) / 2 numbers."""
    first, second = np.triu_indices(len(images), 1)
    return np.array([np.sqrt(np.mean((images[i] - images[j]) ** 2)) for i, j in zip(first, second, strict=True)])


def pairwise_diversity(
    images: Float[np.ndarray, "n high high 3"], factor: int | None = None, *, blur_at_factor_one: bool = False
) -> float:
    """Return the mean root mean square difference between two of the solutions of one input; 0 if all are the same.

    Args:
        images: At least two solutions.
        factor: Factor of the downscaling D. Then only what D does not see counts (`Degradation.unseen`), and what
            solutions that miss their input differ by in its pixels does not.
        blur_at_factor_one: Whether D blurs at factor 1, as in `Bicubic`.

    Raises:
        ValueError: Fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"images: expected at least two solutions, got {len(images)}")
    images = np.asarray(images, np.float64)
    if factor is not None:
        images = Bicubic(factor, blur_at_factor_one).unseen(images)
    return float(pairwise_differences(images).mean())


@dataclass(frozen=True)
class NormStatistics:
    """How the norms of latent rows lie, each divided by √d, the radius of the sphere that N(0, I) nearly lies on.

    Attributes:
        count: Number of rows.
        mean: Mean of the relative norms.
        deviation: Their standard deviation.
        least: Their minimum.
        greatest: Their maximum.
        far: Share of rows more than three standard deviations of a Gaussian's norm, 3/√2, from √d; of draws from
            N(0, I) it is 0.003.
    """

    count: int
    mean: float
    deviation: float
    least: float
    greatest: float
    far: float


def norm_statistics(rows: Float[np.ndarray, "*batch d"]) -> NormStatistics:
    """Measure how far latents have left the shell of a standard Gaussian, where a generator's training put its weight.

    Args:
        rows: Latents that are nominally N(0, I) in d dimensions: z, whitened w, or a flow's base variable; at least one
            row. A row that is not finite counts as far, and makes the other numbers not finite.

    Raises:
        ValueError: No rows.
    """
    norms = np.linalg.norm(np.asarray(rows, np.float64), axis=-1).ravel()
    if not len(norms):
        raise ValueError(f"rows: expected at least one, got shape {rows.shape}")
    radius = math.sqrt(rows.shape[-1])
    relative = norms / radius
    with np.errstate(invalid="ignore"):
        deviation = float(relative.std())
    return NormStatistics(
        count=len(norms),
        mean=float(relative.mean()),
        deviation=deviation,
        least=float(relative.min()),
        greatest=float(relative.max()),
        far=float(np.mean(~(np.abs(norms - radius) <= _FAR))),
    )


def sliced_wasserstein_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"], *, directions: int = 256, seed: int = 0
) -> float:
    """Return the mean over random directions of the 1-Wasserstein distance between projections (Rabin et al. 2011).

    Args:
        x: Points.
        y: As many other points.
        directions: How many directions are drawn.
        seed: Seed of the draws.

    Raises:
        ValueError: x and y have different shapes.
    """
    if x.shape != y.shape:
        raise ValueError(f"y: expected as many points as in x, {x.shape}, got {y.shape}")
    axes = np.random.default_rng(seed).normal(size=(directions, x.shape[1])).astype(np.float32)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    total = 0.0
    for block in np.array_split(axes, -(-directions // _DIRECTIONS)):
        sorted_x, sorted_y = (np.sort(block @ points.T, axis=1) for points in (x, y))
        total += float(np.abs(sorted_x - sorted_y).mean(axis=1, dtype=np.float64).sum())
    return total / directions


def laplacian_pyramid(images: Float[np.ndarray, "n h w 3"], levels: int) -> list[np.ndarray]:
    """Return the differences to the halved pictures, finest first, and the coarsest pictures themselves.

    Halved by 2×2 means and doubled by repetition, which is the pyramid of Burt and Adelson 1983 with the shortest of
    filters; they, and Karras et al., smooth over five pixels. The levels add up to the pictures all the same.

    Args:
        images: Pictures whose sides can be halved levels − 1 times.
        levels: How many levels there are, at least 1.
    """
    pyramid = []
    for _ in range(levels - 1):
        n, height, width, _ = images.shape
        small = images.reshape(n, height // 2, 2, width // 2, 2, 3).mean((2, 4))
        pyramid.append(images - small.repeat(2, axis=1).repeat(2, axis=2))
        images = small
    return [*pyramid, images]


def patches(level: Float[np.ndarray, "n h w 3"], *, per_image: int = 64, seed: int = 0) -> Float[np.ndarray, "m 147"]:
    """Return random 7×7 patches of every picture as rows, each channel standardised over all of them.

    Args:
        level: Pictures, or a level of their pyramid.
        per_image: Patches of each picture.
        seed: Seed of the draws.
    """
    corners = _corners(level.shape[:3], per_image, seed)
    return _standardised(np.stack([_cut(picture, at) for picture, at in zip(level, corners, strict=True)]))


def _corners(shape: tuple[int, ...], per_image: int, seed: int) -> np.ndarray:
    """Where patches of n pictures (h, w) begin, (n, 2, per_image)."""
    count, height, width = shape
    rng = np.random.default_rng(seed)
    ends = (height - _PATCH + 1, width - _PATCH + 1)
    return np.stack([rng.integers(0, end, (count, per_image)) for end in ends], axis=1)


def _cut(picture: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Patches (per_image, 3, 7, 7) of a picture."""
    return np.lib.stride_tricks.sliding_window_view(picture, (_PATCH, _PATCH), axis=(0, 1))[tuple(corners)]


def _standardised(drawn: np.ndarray) -> Float[np.ndarray, "m 147"]:
    """Patches (n, per_image, 3, 7, 7) as rows, each channel with mean 0 and deviation 1."""
    drawn = drawn.reshape(-1, 3, _PATCH**2)
    axes: Any = {"axis": (0, 2), "keepdims": True, "dtype": np.float64}
    drawn = (drawn - drawn.mean(**axes)) / np.maximum(drawn.std(**axes), 1e-8)
    return drawn.reshape(len(drawn), -1).astype(np.float32)


def patch_distances(a: Sequence[np.ndarray] | np.ndarray, b: Sequence[np.ndarray] | np.ndarray) -> list[float]:
    """Return sliced Wasserstein distances of 7×7 patches on the levels of a Laplacian pyramid, finest first, to 16×16.

    Texture, colours and contrast left aside. Source: Karras et al. 2018, "Progressive growing of GANs", section 5,
    with another pyramid (see `laplacian_pyramid`), so its numbers (there ×1000) are near these, not equal to them.

    Args:
        a: Pictures (h, w, 3), all of one size; looked at once, one after another, so that they may come from files.
        b: As many other pictures of the same size.

    Raises:
        ValueError: The sets differ in number or size, or are empty.
    """
    if len(a) != len(b) or not len(a) or np.shape(a[0]) != np.shape(b[0]):
        told = [f"{len(some)} of {np.shape(some[0])}" if len(some) else "none" for some in (a, b)]
        raise ValueError(f"b: expected as many pictures as in a, {told[0]}, got {told[1]}")
    return [
        sliced_wasserstein_distance(ours, theirs, seed=i)
        for i, (ours, theirs) in enumerate(zip(_patches_of_levels(a), _patches_of_levels(b), strict=True))
    ]


def _patches_of_levels(pictures: Sequence[np.ndarray] | np.ndarray, per_image: int = 64) -> list[np.ndarray]:
    """`patches` of every level of the pictures' pyramids; of the pictures themselves, one at a time is in memory."""
    height, width = np.shape(pictures[0])[:2]
    levels, side = 1, min(height, width)
    while side >= 32 and side % 2 == 0:
        levels, side = levels + 1, side // 2
    shapes = [(len(pictures), height // 2**i, width // 2**i) for i in range(levels)]
    corners = [_corners(shape, per_image, seed=i) for i, shape in enumerate(shapes)]
    drawn = [np.empty((len(pictures), per_image, 3, _PATCH, _PATCH), np.float32) for _ in range(levels)]
    for number, picture in enumerate(pictures):
        pyramid = laplacian_pyramid(np.asarray(picture, np.float32)[None], levels)
        for rows, level, at in zip(drawn, pyramid, corners, strict=True):
            rows[number] = _cut(level[0], at[number])
    return [_standardised(rows) for rows in drawn]


def _moments(points: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
    points = points.astype(np.float64)
    return points.mean(axis=0), np.atleast_2d(np.cov(points, rowvar=False))


def frechet_distance_of_gaussians(
    mean_a: Float[np.ndarray, " d"],
    covariance_a: Float[np.ndarray, "d d"],
    mean_b: Float[np.ndarray, " d"],
    covariance_b: Float[np.ndarray, "d d"],
) -> float:
    """Return the squared 2-Wasserstein distance, |μa − μb|² + tr(A + B − 2 (A½ B A½)½) (Dowson and Landau 1982)."""
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # tr of the root of a positive semi-definite matrix: the sum of its eigenvalues' roots.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return float(np.square(mean_a - mean_b).sum() + traces - 2 * cross)


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Return the Fréchet distance of Gaussians fitted to two sets of features (Heusel et al. 2017), in float64.

    Biased upwards, the more the fewer the points: compare only with distances of equally many.
    """
    return frechet_distance_of_gaussians(*_moments(x), *_moments(y))
