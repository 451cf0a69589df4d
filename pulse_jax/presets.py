"""Named search configurations, each with its source: `presets.NAME(**overrides)` returns a `SearchConfig`."""

from collections.abc import Callable
from typing import Any

from pulse_jax.config import SearchConfig

__all__ = ["PRESETS", "pulse", "pulse_2020"]


def pulse(**overrides: Any) -> SearchConfig:
    """The paper's method (PULSE, Menon et al. 2020, section 3): uniform start on √d·S^(d−1), ε 1e-3, early stop.

    A whitened row per layer, all from one random point, and Riemannian momentum on the normalised gradient: among what
    `examples/compare_optimizers.py` compares, this met ε on the most held-out faces while keeping the layers of one
    mind; from rows of their own they would not agree about the face.
    """
    return SearchConfig(**overrides)


def pulse_2020(**overrides: Any) -> SearchConfig:
    """The authors' program of 2020, default flags: projected Adam from a Gaussian start, trainable noise, ε 2e-3.

    All steps are taken, as there. What is delivered is the best image that is feasible as a PNG, else the one with the
    lowest total loss; the program saves the last iterate, and nothing when ε is missed.
    """
    settings: dict[str, Any] = {
        "eps": 2e-3,
        "steps": 100,
        "loss": "100*L2+0.05*GEOCROSS",
        "space": "w+",
        "start": "gaussian",
        "optimizer": "projected_adam",
        "learning_rate": 0.4,
        "schedule": "linear1cycledrop",
        "noise": "trainable",
        "trainable_noise_layers": 5,
        "zeroed_noise_layers": (17,),
        "stop": "never",
        "clamp_loss": True,
        "blur_at_factor_one": True,
    }
    return SearchConfig(**(settings | overrides))


PRESETS: dict[str, Callable[..., SearchConfig]] = {"pulse": pulse, "pulse_2020": pulse_2020}
