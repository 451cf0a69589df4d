"""Compiled programs that give the same bits every time, on a CPU with any number of threads."""

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

__all__ = ["Program", "compile_watched", "is_compiling", "repeats_bits"]

_COMPILER = "pulse-jax-compiler"
_LOOK_SECONDS = 0.2
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


def compile_watched(lowered: Any, on_compiling: Callable[[float], Any] | None) -> None:
    """Compile a lowered program so that the caller is asked meanwhile, and signals have their effect.

    Args:
        lowered: What `Program.lower` or `jax.jit(…).lower` gives.
        on_compiling: Function to call some times a second with the seconds that it has taken; what it raises ends the
            waiting, and the compiler goes on by itself (`is_compiling`). None to wait in this thread.

    Raises:
        Exception: What the compiler raises.
    """
    if on_compiling is None:
        lowered.compile()
        return
    ended = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            lowered.compile()
        except BaseException as error:  # it is raised again where the program is wanted
            failures.append(error)
        ended.set()

    began = time.monotonic()
    # A daemon: nothing can stop a compiler, and nobody wants to wait for it.
    threading.Thread(target=work, name=_COMPILER, daemon=True).start()
    while not ended.wait(_LOOK_SECONDS):
        on_compiling(time.monotonic() - began)
    for error in failures:
        raise error


def is_compiling() -> bool:
    """Return whether a compiler that nobody waits for any more is at work: this process cannot end in the usual way."""
    return any(thread.name == _COMPILER and thread.is_alive() for thread in threading.enumerate())
