"""Compiled programs that give the same bits every time, on a CPU with any number of threads."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

__all__ = ["Program", "repeats_bits"]

_OPTIONS: dict[str, dict[str, Any]] = {
    # XLA hands products, convolutions and sums to a library (YNNPACK) whose products and convolutions add up in one
    # order, while its sums are split by the number of threads. With products and convolutions alone, sums are XLA's.
    "cpu": {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION",
    },
    # The fastest of cuDNN's algorithms may add up in the order in which threads happen to end.
    "gpu": {"xla_gpu_exclude_nondeterministic_ops": True},
}


@functools.cache
def _compiler_options(platform: str) -> dict[str, Any] | None:
    options = _OPTIONS.get(platform)
    if options is None:
        return None
    try:
        with jax.default_device(jax.local_devices(backend=platform)[0]):
            jax.jit(lambda x: -x, compiler_options=options).lower(np.float32(1)).compile()
    except jax.errors.JaxRuntimeError:  # an XLA without that option
        return None
    return options


def repeats_bits(platform: str) -> bool:
    """Return whether programs for a platform can be compiled so that they give the same bits every time.

    Args:
        platform: As `jax.Device.platform` calls it; True for those that need nothing to be asked for.
    """
    return platform not in _OPTIONS or _compiler_options(platform) is not None


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
