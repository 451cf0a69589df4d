"""The inputs of a run: finding picture files in what the user names, and fitting them to what a generator takes."""

import glob
import os
import re
import stat
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from pulse_jax.images.files import FORMATS_TEXT, ImageError, centre_crop, check_regular, file_status
from pulse_jax.system.text import reason_of

__all__ = ["find_images", "fit_low_res", "reducible_square"]

FitMode = Literal["crop", "pad", "resize"]
_SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
_SUFFIXES |= {".heic", ".heif", ".hif"}
# Pictures too, but of formats that are never opened: found in a folder they are reported by name, not passed over.
_SUFFIXES |= {".gif", ".jp2", ".jxl", ".psd", ".svg", ".ico", ".tga", ".ppm", ".pgm"}


def find_images(
    paths: Iterable[str | os.PathLike[str]],
    *,
    exclude: str | os.PathLike[str] | None = None,
    recursive: bool = False,
) -> tuple[list[Path], list[ImageError]]:
    """Expand files, folders and patterns into picture files, in the order given.

    A folder gives its files with a picture's suffix, naturally sorted (`a2` before `a10`); hidden files are left alone,
    and so are sub-folders unless `recursive`. A path that does not exist is a pattern if it holds `*`, `?` or `[`, for
    shells that do not expand it. A file named twice counts once. Links to files are followed.

    Args:
        paths: Files, folders and patterns.
        exclude: Output folder; a picture inside it is an error, for results would mix with inputs.
        recursive: Whether sub-folders are searched, each behind the pictures of the folder that it lies in; hidden
            ones, links and `exclude` are not.

    Returns:
        The files, and one error for each path that gives none: missing, empty, a device, a dangling link, or a link
        from a folder to another.
    """
    output = None if exclude is None else Path(exclude).resolve()
    found: dict[Path, Path] = {}
    errors: list[ImageError] = []
    for given in _matched(map(Path, paths), errors):
        try:
            files = _expand(given, errors, output if recursive else None, recursive=recursive)
        except ImageError as error:
            errors.append(error)
            continue
        if output and output in (given.resolve(), *given.resolve().parents):
            errors.append(ImageError(given, "this input lies inside the output folder; choose another output folder"))
            continue
        for file in files:
            found.setdefault(file.resolve(), file)
    return [*found.values()], errors


def _matched(paths: Iterable[Path], errors: list[ImageError]) -> Iterator[Path]:
    """Yield paths, and what matches those that are patterns."""
    for path in paths:
        if "\0" in str(path) or not glob.has_magic(str(path)) or os.path.lexists(path):
            yield path
            continue
        matches = sorted(glob.glob(str(path), recursive=True), key=_natural)
        if not matches:
            errors.append(ImageError(path, "no file matches this pattern; check the path"))
        yield from map(Path, matches)


def _expand(path: Path, errors: list[ImageError], output: Path | None, *, recursive: bool) -> list[Path]:
    """Return the files that one given path stands for; faults of single entries of a folder go to `errors`."""
    if not stat.S_ISDIR(file_status(path).st_mode):
        check_regular(path)
        return [path]
    files: list[Path] = []
    faults: list[ImageError] = []
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: _natural(entry.name))
        except OSError as error:
            reason = f"the folder cannot be read ({reason_of(error)}); check its permissions"
            faults.append(ImageError(folder, reason))
            continue
        if recursive:  # the first is to be popped first
            folders += [entry for entry in reversed(entries) if _is_searched(entry, output)]
        _sort_out(entries, files, faults)
    if not files and not faults:
        where = "directly in it (--recursive searches its sub-folders too)"
        where = "in it or its sub-folders" if recursive else where
        raise ImageError(path, f"no pictures in this folder; expected {FORMATS_TEXT} files {where}")
    errors.extend(faults)
    return files


def _is_searched(entry: Path, output: Path | None) -> bool:
    """Whether it is a sub-folder that is searched too."""
    if entry.name.startswith(".") or entry.is_symlink() or not entry.is_dir():
        return False
    return entry.resolve() != output


def _sort_out(entries: Sequence[Path], files: list[Path], faults: list[ImageError]) -> None:
    """Add a folder's pictures to `files`, and what is wrong with entries that look like some to `faults`."""
    for entry in entries:
        is_picture = entry.suffix.lower() in _SUFFIXES
        if entry.name.startswith(".") or not (is_picture or entry.is_symlink()):
            continue
        if entry.is_dir() and not entry.is_symlink():
            continue
        try:
            check_regular(entry)
        except ImageError as error:
            # A dangling link that does not even look like a picture is nobody's input.
            if is_picture or entry.exists():
                faults.append(error)
            continue
        if is_picture:
            files.append(entry)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (0, part) for i, part in enumerate(parts)], name


def fit_low_res(
    pixels: np.ndarray,
    resolution: int,
    mode: FitMode | None = None,
    *,
    sizes: Sequence[int],
    source: object = "input",
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Bring a low-resolution input to a square whose side divides the generator's resolution.

    `resize` cuts the centre square and resamples it (bicubic, antialiased) to the nearest side not above it. `crop`
    cuts the centre to that side without resampling. `pad` repeats the edges, up to the next side that fits. An input
    that fits comes back as it is.

    Args:
        pixels: Picture (h, w, 3) in [0, 1].
        resolution: Side of the pictures that are delivered, in pixels.
        mode: What may be done to an input that does not fit; nothing by default.
        sizes: Sides that fit, ascending; each divides `resolution`.
        source: Name of the file, for the message.

    Returns:
        The pixels (s, s, 3), s in `sizes`, and notes on what was done.

    Raises:
        ImageError: The input does not fit, and `mode` is None or cannot make it fit.
        ValueError: `sizes` is empty, not ascending or holds a side that does not divide `resolution`; or `pixels` has
            another shape.
    """
    if not sizes or list(sizes) != sorted(set(sizes)) or any(s < 1 or resolution % s for s in sizes):
        raise ValueError(f"sizes: expected ascending divisors of {resolution}, got {list(sizes)}")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels: expected shape (h, w, 3), got {pixels.shape}")
    height, width = pixels.shape[:2]
    if height == width and width in sizes:
        return pixels, (() if width < resolution else ("as large as its solutions: nothing is enlarged",))
    # The generator's own size is nothing that a picture is to be brought to: nothing would be enlarged.
    sizes = [side for side in sizes if side < resolution] or list(sizes)
    sides = _fitted_sides(height, width, sizes)
    found = f"{width}x{height}"
    if mode is None or mode not in sides:
        listed = ", ".join(f"{s}x{s}" for s in sizes)
        if mode is None and min(height, width) > sizes[-1]:
            usual = next((side for side in sizes if side >= resolution // 8), sizes[-1])
            raise ImageError(
                source,
                f"the picture is {found}, larger than an input for a generator of {resolution}x{resolution} "
                f"({listed}); --input-size {usual} downscales it first, as pulse-jax downscale does",
            )
        refused = "" if mode is None else f" and --fit {mode} cannot help"
        ways = " or ".join(f"--fit {way} ({s}x{s})" for way, s in sides.items()) or "another picture"
        raise ImageError(
            source,
            f"the picture is {found}{refused}; expected a square of {listed} for a generator of "
            f"{resolution}x{resolution}; use {ways}",
        )
    side = sides[mode]
    if mode == "pad":
        before = ((side - height) // 2, (side - width) // 2)
        after = (side - height - before[0], side - width - before[1])
        padded = np.pad(pixels, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")
        return padded, (f"padded from {found} to {side}x{side} by repeating its edges",)
    if mode == "crop" or min(height, width) == side:
        return centre_crop(pixels, side), (f"cropped from {found} to its centre {side}x{side}",)
    return _resample(centre_crop(pixels, min(height, width)), side), (
        f"resized from the centre of {found} to {side}x{side}",
    )


def reducible_square(pixels: np.ndarray, side: int, source: object = "input") -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the centre square of a picture that can be downscaled to a side by a whole factor.

    Args:
        pixels: Picture (h, w, 3).
        side: Side of the downscaled picture.
        source: Name of the file, for the message.

    Returns:
        The pixels (k·side, k·side, 3), k as large as the picture allows, and a note if something was cut off.

    Raises:
        ImageError: The picture is smaller than `side`.
    """
    height, width = pixels.shape[:2]
    square = min(height, width) // side * side
    if not square:
        raise ImageError(source, f"the picture is {width}x{height}, smaller than {side}x{side}; choose a smaller size")
    cropped = () if height == width == square else (f"cropped from {width}x{height} to its centre {square}x{square}",)
    return centre_crop(pixels, square), cropped


def _fitted_sides(height: int, width: int, sizes: Sequence[int]) -> dict[str, int]:
    """Return the side that each fit mode leads to; modes that cannot make the input fit are absent."""
    sides: dict[str, int] = {}
    below = bisect_right(sizes, min(height, width))
    above = bisect_left(sizes, max(height, width))
    if below:
        sides["resize"] = sides["crop"] = sizes[below - 1]
    if above < len(sizes):
        sides["pad"] = sizes[above]
    return sides


def _resample(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resample float channels by Pillow's antialiased bicubic, clipped to [0, 1] for the lobes of its kernel."""
    channels = (Image.fromarray(np.asarray(pixels[..., c], np.float32)) for c in range(3))
    resized = [np.asarray(channel.resize((side, side), Image.Resampling.BICUBIC)) for channel in channels]
    return np.clip(np.stack(resized, axis=-1), 0.0, 1.0)
