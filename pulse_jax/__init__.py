"""PULSE in JAX: search a generator's latent space for realistic images that downscale to a given one.

Images are float [0, 1], NHWC, RGB. Names below are imported on first use, so that `import pulse_jax` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulse_jax import optimizers, presets, sphere
    from pulse_jax.engine import Solutions, solve_stream, upsample
    from pulse_jax.generator import Generator, load_generator
    from pulse_jax.problems import Problem, Solution

__all__ = [
    "Generator",
    "Problem",
    "Solution",
    "Solutions",
    "load_generator",
    "optimizers",
    "presets",
    "solve_stream",
    "sphere",
    "upsample",
]

_HOMES = {
    "Generator": "generator",
    "Problem": "problems",
    "Solution": "problems",
    "Solutions": "engine",
    "load_generator": "generator",
    "optimizers": None,
    "presets": None,
    "solve_stream": "engine",
    "sphere": None,
    "upsample": "engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pulse_jax' has no attribute {name!r}")
    home = _HOMES[name]
    module = importlib.import_module(f"pulse_jax.{home or name}")
    return getattr(module, name) if home else module


def __dir__() -> list[str]:
    return sorted(__all__)
