"""Degradations that keep a picture's size."""

from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["SameSize"]


class SameSize(Degradation):
    """What a degradation with settings that keeps sizes says of them."""

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Degradation":
        """See `Degradation.between`.

        Raises:
            ValueError: Always: it has settings, which no two sides tell.
        """
        del blur_at_factor_one
        raise ValueError(f"{cls.__name__}: expected its settings, got sides alone ({high} and {low})")

    @classmethod
    def low_sides(cls, high: int, *, blur_at_factor_one: bool = False) -> list[int]:
        """See `Degradation.low_sides`."""
        del blur_at_factor_one
        return [high]
