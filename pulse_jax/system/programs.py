"""Compiled programs whose bits do not depend on the number of threads that a CPU runs them with."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

__all__ = ["Program", "keeps_sums_in_order"]

# XLA hands products, convolutions and sums to a library (YNNPACK) whose products and convolutions add up in one order,
# while its sums are split by the number of threads. Products and convolutions alone: sums are then XLA's own code.
_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION",
}


@functools.cache
def _compiler_options(platform: str) -> dict[str, str] | None:
    if platform != "cpu":
        return None
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            jax.jit(lambda x: -x, compiler_options=_CPU).lower(np.float32(1)).compile()
    except jax.errors.JaxRuntimeError:  # an XLA without that option, or that library
        return None
    return _CPU


def keeps_sums_in_order() -> bool:
    """Return whether programs for CPUs can be compiled so that their sums do not depend on the number of threads."""
    return _compiler_options("cpu") is not None


class Program:
    """A function, jitted for each platform that it is run on; called, it runs where JAX puts things by default.

    Args:
        function: Pure function to compile.
        options: Arguments of `jax.jit`.

    Attributes:
        function: The function as it is, for use inside another program.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self._options = options
        self._jitted: dict[str, Any] = {}
        functools.update_wrapper(self, function)

    def on(self, platform: str) -> Any:
        """Return the jitted function for a platform, as `jax.Device.platform` calls it."""
        if platform not in self._jitted:
            options = _compiler_options(platform)
            self._jitted[platform] = jax.jit(self.function, compiler_options=options, **self._options)
        return self._jitted[platform]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run it on the default platform."""
        return self.on(jax.default_backend())(*arguments, **named)

    def lower(self, *arguments: Any, **named: Any) -> Any:
        """Trace it for the default platform, as the methods of `jax.jit` do."""
        return self.on(jax.default_backend()).lower(*arguments, **named)
