"""The command `info`: what a generator is, which inputs it takes, versions and devices."""

import importlib.resources
import math
from pathlib import Path

from pulse_jax.cli import generators
from pulse_jax.cli.options.info import Info
from pulse_jax.generators.architectures import architecture_to_dict
from pulse_jax.search.presets import pulse
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_info"]

# What was fitted to a generator, by how its arrays' names begin.
_FITS = {
    "gaussian_fit": "Gaussian fit",
    "principal": "principal components",
    "flow": "flow",
    "surrogate": "surrogate",
    "plausibility": "plausibility",
    "w_avg": "average w",
    "w_std": "spread of w",
}


def run_info(options: Info, screen: Screen) -> int:
    """Say what the generator's description tells; its arrays are not loaded.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code.

    Raises:
        RunError: The generator folder is missing, foreign or damaged.
    """
    config, shapes = generators.describe_generator(options.generator)
    kinds = {name.partition("/")[0] for name in shapes}
    parameters = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("networks/"))
    sizes = [size for size in admissible_sizes(config.resolution, pulse()) if size < config.resolution]
    labels = f"{config.label_dim}, --label 0 to {config.label_dim - 1}" if config.label_dim else "none"
    device = device_summary()
    lines = {
        "generator": "embedded" if options.generator is None else printable(options.generator.absolute()),
        "family": architecture_to_dict(config)["family"],
        "pictures": f"{config.resolution}x{config.resolution}",
        "latents": f"{config.num_layers} rows of {config.latent_dim}",
        "labels": "fixed" if "label" in kinds else labels,
        **config.details(),
        "parameters": f"{parameters:,}",
        "fits": ", ".join(title for name, title in _FITS.items() if name in kinds) or "none",
        "inputs that fit": ", ".join(f"{size}x{size}" for size in sizes),
    }
    if options.generator is None:
        lines["model card"] = printable(Path(str(importlib.resources.files("pulse_jax") / "data" / "model_card.md")))
    computing = dict.fromkeys((device["kind"], device["platform"]))
    lines["devices"] = f"{device['count']} ({', '.join(computing)})"
    lines["versions"] = ", ".join(f"{name} {version or 'from a checkout'}" for name, version in versions().items())
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        screen.result(f"{name:{width}}{value}")
    return 0
