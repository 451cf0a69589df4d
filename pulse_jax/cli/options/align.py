"""The options of `align`."""

from typing import Annotated, Literal

from tyro.conf import arg

from pulse_jax.cli.options.common import (
    File,
    Folder,
    GeneratorFolder,
    Pictures,
    check_choice,
    check_inputs,
    check_range,
)
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Align"]


@options
class Align(Everywhere):
    """Find faces in photographs and cut them out, upright, as a generator's training pictures were."""

    inputs: Pictures
    """Photographs (PNG, JPEG, WebP, AVIF, BMP, TIFF; HEIC with pillow-heif), or folders of them."""
    recursive: bool = False
    """Search the sub-folders of folders too."""
    output: Folder
    """Folder for the results, made if missing: a picture per face, faces.png and alignment.json."""
    generator: GeneratorFolder = None
    """Folder of the generator whose pictures' size and frame the faces get."""
    size: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the generator's)")] = None
    """Side of the results, in pixels."""
    frame: Annotated[
        Literal["ffhq", "heads"] | None,
        arg(metavar="ffhq|heads", help_behavior_hint="(default: heads for the embedded generator, else ffhq)"),
    ] = None
    """How much of what surrounds a face is cut out with it: as FFHQ does, or as the embedded generator's heads lie."""
    face: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: every face)")] = None
    """Of each photograph the face with this number alone, from the left."""
    largest: bool = False
    """Of each photograph the largest face alone."""
    landmarks: File = None
    """Take landmarks from this JSON file instead of finding faces: 5 or 68 points of each, by photograph."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is missing or out of range."""
        check_inputs(self.inputs)
        if self.size is not None:
            check_range("size", self.size, 2, 4096)
        check_choice(self.face, largest=self.largest)
