"""The command `info`: what a generator is, which inputs it takes, versions and devices."""

import importlib.resources
from pathlib import Path

import jax

from pulse_jax.cli import generators
from pulse_jax.cli.options import Info
from pulse_jax.generators.generator import Generator
from pulse_jax.search.presets import pulse
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_info"]


def _labels(generator: Generator) -> str:
    """What `--label` may be."""
    if generator.label is not None:
        return "fixed"
    count = generator.label_dim
    return f"{count}, --label 0 to {count - 1}" if count else "none"


def run_info(options: Info, screen: Screen) -> int:
    generator = generators.open_generator(options.generator)
    described = generators.generator_summary(generator, options.generator)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.params))
    fits = [
        name
        for name, fit in (
            ("Gaussian fit", generator.gaussian_fit),
            ("principal components", generator.principal),
            ("flow", generator.flow),
            ("average w", generator.w_avg),
            ("spread of w", generator.w_std),
        )
        if fit is not None
    ]
    sizes = [size for size in admissible_sizes(generator.resolution, pulse()) if size < generator.resolution]
    device = device_summary()
    lines = {
        "generator": printable(described["folder"]),
        "family": described["architecture"]["family"],
        "pictures": f"{generator.resolution}x{generator.resolution}",
        "latents": f"{generator.num_layers} rows of {generator.latent_dim}",
        "labels": _labels(generator),
        "parameters": f"{parameters:,}",
        "fits": ", ".join(fits) or "none",
        "inputs that fit": ", ".join(f"{size}x{size}" for size in sizes),
    }
    if options.generator is None:
        lines["model card"] = printable(Path(str(importlib.resources.files("pulse_jax") / "data" / "model_card.md")))
    kinds = dict.fromkeys((device["kind"], device["platform"]))
    lines["devices"] = f"{device['count']} ({', '.join(kinds)})"
    lines["versions"] = ", ".join(f"{name} {version or 'from a checkout'}" for name, version in versions().items())
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        screen.result(f"{name:{width}}{value}")
    return 0
