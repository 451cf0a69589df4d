"""Search methods by name: the one row that a new method adds."""

from collections.abc import Callable

from pulse_jax.search.methods.gradient import gradient
from pulse_jax.search.methods.lbfgs import riemannian_lbfgs
from pulse_jax.search.methods.protocol import Method, Setting

__all__ = ["METHODS", "check_method", "make_method"]

METHODS: dict[str, Callable[[Setting], Method]] = {
    "gradient": gradient,
    "riemannian_lbfgs": riemannian_lbfgs,
}
"""What makes a method for a setting, by the name that `SearchConfig.method` gives it."""


def check_method(name: str) -> None:
    """See that there is such a method.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {name!r:.80}")


def make_method(setting: Setting) -> Method:
    """Return the method that the config names.

    Raises:
        ValueError: There is none of this name.
    """
    check_method(setting.config.method)
    return METHODS[setting.config.method](setting)
