"""Opened pictures to floats, in strips: beside the result, memory holds what the decoder made and little more."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from pulse_jax.images.errors import ImageError
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.images.structure import Structure
from pulse_jax.system.text import printable

__all__ = ["decode"]

# Pixels of a strip: few enough that its floats are little beside any large picture.
_STRIP_PIXELS = 2**17
# A picture without a value above this share of the range is all but black.
_DARK = 1 / 16

_Convert = Callable[[Image.Image], np.ndarray]


@dataclass(frozen=True)
class _Pixels:
    """How strips of a picture become floats, in two steps.

    Attributes:
        stored: Returns a strip (h, w, c), reduced, as it is held meanwhile, in no more than 12 bytes a pixel.
        floats: Returns that as colours (h, w, 3) in [0, 1], float32, on white.
    """

    stored: _Convert
    floats: Callable[[np.ndarray], np.ndarray]


def decode(image: Image.Image, source: object, structure: Structure, factor: int = 1) -> tuple[np.ndarray, list[str]]:
    """Decode an opened picture and close it.

    Args:
        image: Picture whose size has been checked, not loaded.
        source: Name of the file, for messages.
        structure: What was counted in the file.
        factor: By how much the picture is reduced, along each side.

    Returns:
        The picture upright, in sRGB, on white, float32 (h, w, 3) in [0, 1]; and notes on what was done.

    Raises:
        ImageError: The values have no plain meaning as colours.
        Exception: Whatever decoders of damaged files raise.
    """
    notes: list[str] = []
    if image.format in ("MPO", "HEIF") and getattr(image, "n_frames", 1) > 1:
        notes.append("first of several pictures in the file")
    bits = _bits(image)
    # Pillow turns a TIFF upright while loading it and forgets how it lay.
    turned = _orientation(image) if image.format == "TIFF" else 1
    if factor > 1:
        notes.append(f"reduced by {factor} from {image.width}x{image.height}, it is too large to be read whole")
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (image.width // factor, image.height // factor))
            factor = 1
    image.load()
    lies = 1 if image.format == "TIFF" else _orientation(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        pixels = _deep_grey(image, factor, bits, source, structure, notes)
    else:
        pixels = _shallow(image, factor, bits, source, notes)
    result = _assemble(image, pixels, factor, lies)
    if max(turned, lies) in range(2, 9):
        notes.append("EXIF rotation applied")
    return result, notes


def _assemble(image: Image.Image, pixels: _Pixels, factor: int, orientation: int) -> np.ndarray:
    """Return all floats of a picture, which is closed as soon as nothing but them needs memory."""
    height, width = image.height // factor, image.width // factor
    shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    result = np.empty((*shape, 3), np.float32)
    first = pixels.stored(next(_strips(image, factor)))
    # What is held before it becomes floats lies at the end of their memory. Floats overtake it nowhere: they take more
    # bytes a pixel, and end where it ends.
    size = height * width * first.shape[2] * first.itemsize
    held = result.reshape(-1).view(np.uint8)[-size:].view(first.dtype).reshape(*shape, first.shape[2])
    lying, top = _lying(held, orientation), 0
    for strip in _strips(image, factor):
        values = pixels.stored(strip)
        lying[top : top + len(values)] = values
        top += len(values)
    image.close()
    step = max(1, _STRIP_PIXELS // shape[1])
    for top in range(0, shape[0], step):
        values = held[top : top + step].copy()
        result[top : top + step] = pixels.floats(values)
    return result


def _strips(image: Image.Image, factor: int = 1) -> Iterator[Image.Image]:
    """Yield a picture from its top down; heights and widths are multiples of `factor`, the rest is cut off."""
    width, height = (length // factor * factor for length in image.size)
    step = max(1, _STRIP_PIXELS // width // factor) * factor
    for top in range(0, height, step):
        yield image.crop((0, top, width, min(top + step, height)))


def _lying(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return the view of an (h, w, c) array in which a picture of EXIF orientation 2 to 8 lies as in its file."""
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return upright.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else upright


def _bits(image: Image.Image) -> int:
    """Return the bits per channel in the file.

    Decoding hides them: they are known only from the decoder's arguments, before it runs.
    """
    found = re.search(r"[A-Z];(\d+)", str(getattr(image, "tile", ""))) if image.format in ("PNG", "TIFF") else None
    return int(found[1]) if found else int(image.info.get("bit_depth", 8))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF says nothing, and the picture is fine without
        return 1


def _deep_grey(
    image: Image.Image, factor: int, bits: int, source: object, structure: Structure, notes: list[str]
) -> _Pixels:
    """Greyscale of more than 8 bits, or floats."""
    extremes = [(values.min(), values.max()) for values in map(np.asarray, _strips(image))]
    low, high = (function([pair[i] for pair in extremes]) for i, function in ((0, np.min), (1, np.max)))
    is_float = image.mode == "F"
    top = 1 if is_float else 4095 if bits == 12 else 65535
    if not (low >= 0 and high <= top):
        raise ImageError(
            source,
            f"greyscale values from {low:.6g} to {high:.6g}, expected 0 to {top}; scale them and save it as PNG",
        )
    if not is_float:
        top = _declared_top(image, bits, int(high), structure) or top
    depth = 32 if bits == 32 else 16
    held = "" if top in (1, 4095 if bits == 12 else 65535) else f" holding {top.bit_length()} bits"
    notes.append(f"{'floating-point' if is_float else f'{depth}-bit'} greyscale{held} expanded to RGB")
    if not is_float and 0 < high <= top * _DARK:
        fits = max(8, int(high).bit_length())
        notes.append(f"all but black: no value above {high} of {top}; if it holds {fits} bits, scale its values")
    key = image.info.get("transparency")
    if key is not None and bool(sum(np.count_nonzero(np.asarray(strip) == key) for strip in _strips(image))):
        notes.append("composited on white")
    else:
        key = None
    profile = image.info.get("icc_profile")

    def grey_of(strip: Image.Image) -> np.ndarray:
        values = np.asarray(strip)
        grey = (values / np.float64(top)).astype(np.float32)
        if key is not None:
            grey[values == key] = 1
        height, width = grey.shape[0] // factor, grey.shape[1] // factor
        return grey if factor == 1 else grey.reshape(height, factor, width, factor).mean((1, 3))

    if not profile:
        return _Pixels(lambda strip: grey_of(strip)[..., None], lambda grey: np.repeat(grey, 3, axis=2))

    def in_8_bits(strip: Image.Image) -> Image.Image:  # colour management works on 8 bits
        return Image.fromarray(to_uint8(grey_of(strip)))

    colours = _colours(_strips(image, factor), "L", in_8_bits, profile, notes)
    return _Pixels(lambda strip: colours(in_8_bits(strip)), from_uint8)


def _declared_top(image: Image.Image, bits: int, high: int, structure: Structure) -> int | None:
    """Return the largest value of grey's range where that is no guess: the file names it, or 32 bits hold 8."""
    tags = getattr(image, "tag_v2", {})
    named = {int(np.max(tags[tag])) for tag in (281, 341) if tag in tags}  # MaxSampleValue, SMaxSampleValue
    if structure.significant_bits is not None:
        named.add(2**structure.significant_bits - 1)
    # MaxSampleValue may be the largest value that happens to occur: only those of a whole number of bits are ranges.
    ranges = [top for top in named if 255 <= top < 65535 and not top & (top + 1) and high <= top]
    if ranges:
        return max(ranges)
    return 255 if bits == 32 and high <= 255 else None


def _shallow(image: Image.Image, factor: int, bits: int, source: object, notes: list[str]) -> _Pixels:
    """Pictures of 8 bits per channel, or that decoders bring to 8."""
    if bits > 8:
        notes.append(f"{bits}-bit colour read as 8-bit")
    key = image.info.get("transparency")
    if key is not None and image.mode in ("L", "RGB") and bits != 8:
        # The file gives its transparent value in its own depth, the decoded pixels have 8 bits.
        image.info["transparency"] = tuple(k >> 8 for k in key) if bits == 16 else key * 255 // (2**bits - 1)
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("P", "PA"):
        notes.append("palette expanded")
    if is_grey:
        notes.append("greyscale expanded to RGB")
    elif image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA", "YCbCr", "CMYK"):
        raise ImageError(source, f"colours of kind {image.mode!r} are not read; save it as an RGB PNG")
    transparent = image.has_transparency_data
    mode = "L" if is_grey else "CMYK" if image.mode == "CMYK" else "RGB"

    def reduced(strip: Image.Image) -> Image.Image:
        # With transparency first, so that a transparent value is known by its colour.
        strip = strip.convert(("LA" if is_grey else "RGBA") if transparent else mode)
        return strip if factor == 1 else strip.reduce(factor)

    def stored(strip: Image.Image) -> np.ndarray:
        strip = reduced(strip)
        levels = colours(strip.convert(mode))
        return np.dstack([levels, np.asarray(strip.getchannel("A"))]) if transparent else levels

    strips = _strips(image, factor)
    colours = _colours(strips, mode, lambda strip: reduced(strip).convert(mode), image.info.get("icc_profile"), notes)
    if bits > 8 and 0 < max(_high(strip) for strip in _strips(image)) <= 255 * _DARK:
        notes.append(f"all but black; if the values of its {bits} bits have fewer, scale them")
    transparent = transparent and any(_shows_through(reduced(strip)) for strip in _strips(image, factor))
    if transparent:
        notes.append("composited on white")
    return _Pixels(stored, _on_white if transparent else from_uint8)


def _shows_through(strip: Image.Image) -> bool:
    return bool(np.asarray(strip.getchannel("A")).min() < 255)


def _high(strip: Image.Image) -> int:
    """Return the largest value of the colours of 8 bits."""
    return int(np.asarray(strip.convert("RGB")).max())


def _on_white(levels: np.ndarray) -> np.ndarray:
    colours, alpha = from_uint8(levels[..., :3]), from_uint8(levels[..., 3:])
    colours *= alpha
    colours += 1 - alpha
    return colours


def _colours(
    strips: Iterable[Image.Image],
    mode: str,
    flat: Callable[[Image.Image], Image.Image],
    profile: bytes | None,
    notes: list[str],
) -> _Convert:
    """Return what takes an L, RGB or CMYK strip to sRGB levels (h, w, 3), by its ICC profile if it has a sound one.

    Args:
        strips: The picture, to be looked at.
        mode: What `flat` makes of its strips.
        flat: Takes strips to that mode.
        profile: ICC profile, if there is one.
        notes: Where it is told.
    """
    if profile:
        try:
            convert, name = _conversion(profile, mode)
            # Most profiles are sRGB itself: what differs by a rounding only stays as it was.
            flats = map(flat, strips)
            differs = any(np.abs(convert(one).astype(np.int16) - _plain(one)).max() > 1 for one in flats)
        except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
            notes.append("damaged or unsuitable ICC profile ignored")
        else:
            if differs:
                notes.append(f"converted from ICC profile {name} to sRGB")
            return convert if differs else _plain
    if mode == "CMYK":
        notes.append("CMYK converted without a profile, colours are approximate")
    return _plain


def _plain(strip: Image.Image) -> np.ndarray:
    return np.asarray(strip.convert("RGB"))


def _conversion(profile: bytes, mode: str) -> tuple[_Convert, str]:
    """Return what takes strips of a mode to sRGB, and the profile's name; raises what `ImageCms` does, or KeyError."""
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    wanted = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}[profile[16:20]]
    if wanted != mode and (mode, wanted) != ("L", "RGB"):
        raise ImageCms.PyCMSError(f"a {wanted} profile on a {mode} picture")
    # Optimised transforms put dark greys of a linear profile several levels off; 256 levels are quick without.
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    flags |= ImageCms.Flags.NOOPTIMIZE if wanted == "L" else ImageCms.Flags.NONE
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, wanted, "RGB", renderingIntent=intent, flags=flags)
    name = printable(ImageCms.getProfileDescription(source).strip(), 60) or "without a name"

    def applied(image: Image.Image) -> np.ndarray:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # as it is not in place
        return np.asarray(converted)

    if wanted == "L":
        levels = applied(Image.fromarray(np.arange(256, dtype=np.uint8)[None]))[0]
        return lambda strip: levels[np.asarray(strip)], name
    return lambda strip: applied(strip.convert(wanted)), name
