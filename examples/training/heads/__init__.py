"""Synthetic portraits of people who do not exist, rendered in JAX from CC0 assets."""

from .attributes import STYLE_NAMES, Person, describe, sample_person
from .pack import Assets, load_pack
from .scene import render

__all__ = ["STYLE_NAMES", "Assets", "Person", "describe", "load_pack", "render", "sample_person"]
