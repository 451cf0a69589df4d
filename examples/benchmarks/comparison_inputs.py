"""What `compare_presets.py` searches for: held-out renders reduced, and inputs from outside of what was learned."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import from_uint8, to_uint8

HELDOUT = pathlib.Path(__file__).parents[1] / "heldout"

_DEGRADED = 10  # of each kind of degraded inputs
_BLUR = 15  # pixels of a truth's side of 64 that a blurred one moves by
_NOISE = 0.05


@dataclasses.dataclass(frozen=True)
class InputSet:
    """Inputs of one kind: `truths` (n, H, W, 3) and `low_res` (n, h, w, 3), as 8-bit pictures hold them, and notes."""

    name: str
    title: str
    names: Sequence[str]
    truths: np.ndarray
    low_res: np.ndarray
    notes: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def some(self, count: int | None) -> "InputSet":
        """At most `count` of them, from first to last."""
        if count is None or count >= len(self):
            return self
        kept = np.linspace(0, len(self) - 1, count).round().astype(int)
        lists = {name: [getattr(self, name)[i] for i in kept] for name in ("names", "notes")}
        return dataclasses.replace(self, truths=self.truths[kept], low_res=self.low_res[kept], **lists)


def read_pictures(folder: pathlib.Path) -> tuple[list[str], np.ndarray]:
    """Return the names and pixels (n, H, W, 3) in [0, 1] of a folder's PNGs.

    Raises:
        FileNotFoundError: It holds none.
    """
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"{folder}: expected PNGs")
    return [path.stem for path in paths], np.stack([read_image(path).pixels for path in paths]).astype(np.float64)


def motion_blurred(image: Float[np.ndarray, "h w 3"], length: int, angle: float) -> Float[np.ndarray, "h w 3"]:
    """Return the mean of an image moved along a line of `length` pixels; what is beyond its border is the border."""
    steps = np.arange(length) - (length - 1) / 2
    down, right = (np.rint(steps * part).astype(int) for part in (math.sin(angle), math.cos(angle)))
    padded = np.pad(image, ((length, length), (length, length), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    moved = [
        padded[length + y : length + y + height, length + x : length + x + width]
        for y, x in zip(down, right, strict=True)
    ]
    return np.mean(moved, axis=0)


def input_sets(split: str, count: int | None) -> list[InputSet]:
    """Return all sets, each of at most `count` inputs: two sizes of a split's renders, and fifty inputs of other kinds.

    Inputs are 8-bit pictures. Noise of σ = 0.05 alone is an error of 2.5e-3, so that no truth meets ε = 1e-3 there.
    """
    names, truths = read_pictures(HELDOUT / split)
    rng = np.random.default_rng(0)
    few, few_names = truths[:_DEGRADED], names[:_DEGRADED]
    angles = rng.uniform(0, math.pi, _DEGRADED)
    blurred = np.stack([motion_blurred(image, _BLUR, angle) for image, angle in zip(few, angles, strict=True)])
    noise = _NOISE * rng.standard_normal((_DEGRADED, *Bicubic(8).apply_float64(few[0]).shape))
    unusual_names, unusual = read_pictures(HELDOUT / "unusual")
    kinds = {
        entry["file"].removesuffix(".png"): entry["kind"]
        for entry in json.loads((HELDOUT / "unusual" / "attributes.json").read_text(encoding="utf-8"))
    }

    def make(name: str, title: str, names: Sequence[str], truths: np.ndarray, low_res: np.ndarray, notes) -> InputSet:
        exact = from_uint8(to_uint8(low_res))
        return InputSet(name, title, names, truths, exact, notes).some(count)

    plain = [""] * len(names)
    turned = [f"blurred along {math.degrees(angle):.0f} degrees" for angle in angles]
    noisy = [f"noise of deviation {_NOISE}"] * _DEGRADED
    unseen = [kinds[name] for name in unusual_names]
    return [
        make("8x", "Held-out renders, 8× smaller", names, truths, Bicubic(8).apply_float64(truths), plain),
        make(
            "unusual",
            "People as the training set never shows them, 8× smaller",
            unusual_names,
            unusual,
            Bicubic(8).apply_float64(unusual),
            unseen,
        ),
        make(
            "blurred", "Moved by 15 pixels, then 8× smaller", few_names, few, Bicubic(8).apply_float64(blurred), turned
        ),
        make("noisy", "8× smaller, then noise", few_names, few, Bicubic(8).apply_float64(few) + noise, noisy),
        make("16x", "Held-out renders, 16× smaller", names, truths, Bicubic(16).apply_float64(truths), plain),
    ]
