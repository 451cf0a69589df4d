"""The error of a picture that cannot be used."""

from pulse_jax.system.text import printable

__all__ = ["ImageError"]


class ImageError(ValueError):
    """A picture that cannot be used. `str(error)` is one printable line, "source: message".

    Attributes:
        source: Name of the file or folder, printable.
        message: What was found, what was expected and what to do.
    """

    def __init__(self, source: object, message: str) -> None:
        self.source = printable(source)
        self.message = printable(message, 600)
        super().__init__(self.source, self.message)

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"
