"""PULSE in JAX: search a generator's latent space for realistic images that downscale to a given one.

Images are float [0, 1], NHWC, RGB. Names below are imported on first use, so that `import pulse_jax` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulse_jax import distributed, manifold, optimizers
    from pulse_jax.engine.batch import Solutions, upsample
    from pulse_jax.engine.progress import Progress
    from pulse_jax.engine.stream import solve_stream
    from pulse_jax.generators.generator import Generator, load_generator
    from pulse_jax.generators.networks import lpips as perceptual
    from pulse_jax.manifold import sphere
    from pulse_jax.objectives import losses, regularizers
    from pulse_jax.search import animations, diversity, presets, variations
    from pulse_jax.search.problems import Problem, Solution, Status
    from pulse_jax.system.devices import use_compilation_cache
    from pulse_jax.system.version import __version__

__all__ = [
    "Generator",
    "Problem",
    "Progress",
    "Solution",
    "Solutions",
    "Status",
    "__version__",
    "animations",
    "distributed",
    "diversity",
    "load_generator",
    "losses",
    "manifold",
    "optimizers",
    "perceptual",
    "presets",
    "regularizers",
    "solve_stream",
    "sphere",
    "upsample",
    "use_compilation_cache",
    "variations",
]

_MODULES = {
    "animations": "search.animations",
    "distributed": "distributed",
    "diversity": "search.diversity",
    "losses": "objectives.losses",
    "manifold": "manifold",
    "optimizers": "optimizers",
    "perceptual": "generators.networks.lpips",
    "presets": "search.presets",
    "regularizers": "objectives.regularizers",
    "sphere": "manifold.sphere",
    "variations": "search.variations",
}
_HOMES = {
    "Generator": "generators.generator",
    "Progress": "engine.progress",
    "Problem": "search.problems",
    "Solution": "search.problems",
    "Solutions": "engine.batch",
    "Status": "search.problems",
    "load_generator": "generators.generator",
    "solve_stream": "engine.stream",
    "__version__": "system.version",
    "upsample": "engine.batch",
    "use_compilation_cache": "system.devices",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pulse_jax.{_MODULES[name]}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"pulse_jax.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pulse_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
