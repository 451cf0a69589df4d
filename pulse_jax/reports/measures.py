"""The table of measures that solutions are judged by: what each needs, its unit, and which direction is better.

A measure whose weights or truth are missing says so and has no number; none takes another one's place. Weights come
from the user, by the options that `WEIGHTS` names.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Float

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.reports import feature_sets, metrics
from pulse_jax.reports.niqe import NiqeModel, niqe

if TYPE_CHECKING:
    from pulse_jax.generators.networks.inception import Inception
    from pulse_jax.generators.networks.lpips import Perceptual

__all__ = [
    "PICTURE_MEASURES",
    "SET_MEASURES",
    "WEIGHTS",
    "Measure",
    "Measured",
    "PictureCase",
    "SetCase",
    "Weights",
    "inception_rows",
    "measured",
]

WEIGHTS = {
    "niqe_model": "--niqe-model FILE, a model of NIQE: BasicSR's niqe_pris_params.npz or one of your own photographs",
    "perceptual": "--perceptual FILE, the network of LPIPS that `pulse-jax convert --perceptual` wrote",
    "inception": "--inception FILE, pytorch-fid's pt_inception-2015-12-05-6726825d.pth",
}
"""What the user has to bring, by the names of `Weights`, and by which option."""
_BATCH = 8


@dataclass(frozen=True)
class Weights:
    """What the user brought; None is what is missing.

    Attributes:
        niqe_model: What photographs are like.
        perceptual: The network of LPIPS.
        inception: The network of the Fréchet inception distance.
    """

    niqe_model: "NiqeModel | None" = None
    perceptual: "Perceptual | None" = None
    inception: Any = None


@dataclass(frozen=True)
class PictureCase:
    """A solution and what it is held against.

    Attributes:
        image: The solution (h, w, 3) in [0, 1], floating-point.
        low_res: The input that it is a solution of.
        degradation: D, which brings the one to the other's size.
        truth: The picture that the input was made of, of the solution's shape; None where it is not known.
        clean: What the truth merely downscales to (h, w, 3), where the input is a disturbed version of it.
    """

    image: np.ndarray
    low_res: np.ndarray
    degradation: Degradation
    truth: np.ndarray | None = None
    clean: np.ndarray | None = None


@dataclass(frozen=True)
class SetCase:
    """All solutions of a preset, and the truths.

    Attributes:
        images: Solutions (h, w, 3) in [0, 1], floating-point, all of one size; read one at a time, where they come
            from files.
        truths: True pictures (h, w, 3).
        image_features: What `inception_rows` gives of the solutions; None without its weights.
        truth_features: The same of the truths.
    """

    images: Sequence[np.ndarray] | np.ndarray
    truths: Sequence[np.ndarray] | np.ndarray
    image_features: np.ndarray | None = None
    truth_features: np.ndarray | None = None


Case = TypeVar("Case", PictureCase, SetCase)


@dataclass(frozen=True)
class Measure(Generic[Case]):
    """A row of the table.

    Attributes:
        name: Its name in files.
        label: Its name in tables.
        better: Whether higher or lower numbers are better.
        function: The number for a case and weights; raises `ValueError` where it is undefined.
        unit: The number's unit; empty where it has none.
        needs: Names of the weights that it needs, of `WEIGHTS`.
        needs_truth: Whether the truth must be known.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    function: Callable[[Case, Weights], float]
    unit: str = ""
    needs: tuple[str, ...] = ()
    needs_truth: bool = False

    def lacks(self, weights: Weights, *, truth: bool) -> str:
        """Return what is missing for this measure, in one line; nothing where all is there."""
        lacking = [WEIGHTS[name] for name in self.needs if getattr(weights, name) is None]
        if self.needs_truth and not truth:
            lacking.append("the true pictures")
        return f"{self.label} needs {' and '.join(lacking)}" if lacking else ""


@dataclass(frozen=True)
class Measured:
    """A number, or why there is none.

    Attributes:
        value: The number; None where there is none.
        why: Why there is none; empty where there is one.
    """

    value: float | None
    why: str = ""


def measured(measure: "Measure[Case]", case: Case, weights: Weights) -> Measured:
    """Return a measure of a case; what is missing or undefined is told, never raised."""
    truth = isinstance(case, SetCase) or case.truth is not None
    if lacking := measure.lacks(weights, truth=truth):
        return Measured(None, lacking)
    try:
        value = measure.function(case, weights)
    except (ValueError, ModuleNotFoundError) as error:
        return Measured(None, str(error))
    return Measured(None, f"{measure.label}: undefined for this case") if math.isnan(value) else Measured(value)


@functools.cache
def _compiled(name: str) -> Callable[..., Any]:
    # Imported here, for a table is wanted without JAX too.
    import jax

    from pulse_jax.generators.networks.inception import inception_features
    from pulse_jax.generators.networks.lpips import lpips

    return jax.jit({"inception": inception_features, "lpips": functools.partial(lpips, whole=True)}[name])


def inception_rows(
    network: "Inception", images: Sequence[np.ndarray] | np.ndarray, *, batch: int = _BATCH
) -> Float[np.ndarray, "n 2048"]:
    """Return Inception's features of pictures in [0, 1], so many at a time; pictures of a shape share one program."""
    rows = []
    for start in range(0, len(images), batch):
        part = np.stack([images[i] for i in range(start, min(start + batch, len(images)))]).astype(np.float32)
        filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
        rows.append(np.asarray(_compiled("inception")(network, filled))[: len(part)])
    return np.concatenate(rows) if rows else np.empty((0, 2048), np.float32)


def _error(case: PictureCase, weights: Weights) -> float:
    return float(case.degradation.error(case.image, case.low_res))


def _consistency(case: PictureCase, weights: Weights) -> float:
    return float(metrics.psnr(case.degradation.apply_float64(case.image), np.asarray(case.low_res, np.float64)))


def _clean_error(case: PictureCase, weights: Weights) -> float:
    if case.clean is None:
        raise ValueError("error against the clean input: the input itself is clean")
    return float(Bicubic(len(case.image) // len(case.clean)).error(case.image, case.clean))


def _truth(case: PictureCase) -> np.ndarray:
    assert case.truth is not None  # `lacks` has seen to it
    return case.truth


def _psnr(case: PictureCase, weights: Weights) -> float:
    return float(metrics.psnr(case.image, _truth(case)))


def _ssim(case: PictureCase, weights: Weights) -> float:
    return metrics.ssim(case.image, _truth(case))


def _lpips(case: PictureCase, weights: Weights) -> float:
    pictures = (np.asarray(image, np.float32) for image in (case.image, _truth(case)))
    return float(_compiled("lpips")(weights.perceptual, *pictures))


def _niqe(case: PictureCase, weights: Weights) -> float:
    assert weights.niqe_model is not None  # `lacks` has seen to it
    return niqe(case.image, weights.niqe_model)


def _patches(case: SetCase, weights: Weights) -> float:
    count = min(len(case.images), len(case.truths))
    return float(np.mean(metrics.patch_distances(case.images[:count], case.truths[:count])))


def _features(case: SetCase) -> tuple[np.ndarray, np.ndarray]:
    if case.image_features is None or case.truth_features is None:
        raise ValueError("expected Inception's features of the solutions and of the truths")
    if min(len(case.image_features), len(case.truth_features)) < 2:
        raise ValueError("expected at least two solutions and two truths")
    return case.truth_features, case.image_features


def _fid(case: SetCase, weights: Weights) -> float:
    return metrics.frechet_distance(*_features(case))


def _kid(case: SetCase, weights: Weights) -> float:
    return feature_sets.kernel_distance(*_features(case))[0]


def _precision(case: SetCase, weights: Weights) -> float:
    return feature_sets.precision_recall(*_features(case))[0]


def _recall(case: SetCase, weights: Weights) -> float:
    return feature_sets.precision_recall(*_features(case))[1]


_INCEPTION: Any = {"needs": ("inception",), "needs_truth": True}

PICTURE_MEASURES: tuple[Measure[PictureCase], ...] = (
    Measure("downscaling_error", "downscaling error", "lower", _error),
    Measure("consistency_psnr", "PSNR of the downscaled solution", "higher", _consistency, "dB"),
    Measure("clean_error", "error against the clean input", "lower", _clean_error),
    Measure("psnr", "PSNR", "higher", _psnr, "dB", needs_truth=True),
    Measure("ssim", "SSIM", "higher", _ssim, needs_truth=True),
    Measure("lpips", "LPIPS", "lower", _lpips, needs=("perceptual",), needs_truth=True),
    Measure("niqe", "NIQE", "lower", _niqe, needs=("niqe_model",)),
)
"""Of one solution."""

SET_MEASURES: tuple[Measure[SetCase], ...] = (
    Measure("sliced_wasserstein", "sliced Wasserstein distance of patches", "lower", _patches, needs_truth=True),
    Measure("fid", "FID", "lower", _fid, **_INCEPTION),
    Measure("kid", "KID", "lower", _kid, **_INCEPTION),
    Measure("precision", "precision", "higher", _precision, **_INCEPTION),
    Measure("recall", "recall", "higher", _recall, **_INCEPTION),
)
"""Of all solutions of a preset against the truths."""
