"""The options of `info`."""

from dataclasses import dataclass

from pulse_jax.cli.options.common import GeneratorFolder

__all__ = ["Info"]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a generator is and which inputs it takes, and which versions and devices are in use."""

    generator: GeneratorFolder = None
    """Folder of the generator."""

    def check(self) -> None:
        """Nothing can be out of range."""
