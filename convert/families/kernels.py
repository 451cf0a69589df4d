"""Kernels that programs store without the scale they run them with."""

from __future__ import annotations

from convert.accounting import Change

__all__ = ["equalised_kernel"]


def equalised_kernel(inputs: int, layout: str = "", *, flip: bool = False) -> Change:
    """The change of a StyleGAN2's 3x3 kernel of so many input channels, whose program multiplies it by 1/√fan_in.

    Demodulation cancels that scale but for its epsilon.
    """
    return Change(layout, flip=flip, scale=(9 * inputs) ** -0.5)
