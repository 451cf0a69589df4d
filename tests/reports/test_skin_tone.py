"""Skin tones of plain colours, by the formulas of CIELAB."""

import math

import numpy as np
import pytest

from pulse_jax.reports.skin_tone import PLACE, skin_tone


def lab(colour):
    """L* and b* of an sRGB colour under D65, by their definitions (CIE 15, IEC 61966-2-1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    rows = [(0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227)]
    xyz = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in rows]
    white = (0.95047, 1.0, 1.08883)
    f = [
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (a / b for a, b in zip(xyz, white, strict=True))
    ]
    return 116 * f[1] - 16, 200 * (f[1] - f[2])


@pytest.mark.parametrize("colour", [(0.9, 0.75, 0.65), (0.55, 0.38, 0.28), (0.25, 0.16, 0.12)])
def test_plain_colours(colour):
    lightness, yellow = lab(colour)
    found = skin_tone(np.broadcast_to(np.asarray(colour), (64, 64, 3)).copy())
    assert found.lightness == pytest.approx(lightness, abs=0.01)
    assert found.angle == pytest.approx(math.degrees(math.atan2(lightness - 50, yellow)), abs=0.05)


def test_only_the_place_of_cheeks_and_nose_counts():
    image = np.random.default_rng(0).random((64, 64, 3))
    left, top, right, bottom = (round(64 * share) for share in PLACE)
    image[top:bottom, left:right] = (0.6, 0.45, 0.35)
    image[top : top + 3, left:right] = 0  # a strand of hair
    assert skin_tone(image).lightness == pytest.approx(lab((0.6, 0.45, 0.35))[0], abs=0.01)
