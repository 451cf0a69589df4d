"""Reading and writing pictures. In memory they are NumPy floats (h, w, 3) in [0, 1], RGB.

Whatever a file holds, the answer is either such an array with notes on what was done to it, or one `ImageError` that
says what is wrong and what to do.
"""

import math
import os
import re
import stat
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import printable, reason_of

__all__ = [
    "FORMATS_TEXT",
    "ImageError",
    "ReadImage",
    "centre_crop",
    "check_regular",
    "file_status",
    "read_image",
    "save_png",
]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
FORMATS_TEXT = "PNG, JPEG, WebP, BMP or TIFF"
# Up to so many pixels are decoded; from JPEGs, which can be decoded smaller, up to what Pillow opens.
_MAX_PIXELS, _MAX_JPEG = 64 * 2**20, 2 * (Image.MAX_IMAGE_PIXELS or 2**26)
_MAX_SIDE = 16384
# What has more is reduced while it is read: in floats it would take a gigabyte.
_KEPT_PIXELS = 8 * 2**20
# Every scan of a JPEG passes over all its pixels; pictures have a dozen.
_MAX_SCANNED = 20 * _MAX_PIXELS
# A picture has no more strips or tiles than rows and columns of pixels make.
_MAX_STRIPS = 2**18
_STRIPS = (273, 279, 324, 325)  # StripOffsets, StripByteCounts, TileOffsets, TileByteCounts
_USUAL_SCANS = 16
_MAX_BYTES = 256 * 2**20
_SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"BM", "BMP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"GIF8", "GIF"),
    (rb"%PDF", "PDF"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb"....ftypavi", "AVIF"),
    (rb"....ftyp(hei|hev|mif|msf)", "HEIC"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"8BPS", "Photoshop"),
    (rb"\0\0\x01\0", "icon"),
    (rb"P[1-7]\s", "Netpbm"),
    (rb"\s*<(\?xml|svg|!DOCTYPE|html)", "XML or web"),
)


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


@dataclass(frozen=True)
class ReadImage:
    """A picture as it was read.

    Attributes:
        pixels: Colours (h, w, 3) in [0, 1], float32, sRGB.
        notes: What was done to the picture, in a few words each.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def file_status(path: Path) -> os.stat_result:
    """Return `path.stat()`; raises `ImageError` for what is missing or cannot be reached."""
    try:
        return path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ImageError(path, "a link to a file that does not exist; mend it or name the file itself") from error
        raise ImageError(path, "no such file or folder; check the path") from error
    except (OSError, ValueError) as error:
        raise ImageError(path, f"cannot be reached ({reason_of(error)}); check the path and its permissions") from error


def check_regular(path: Path) -> os.stat_result:
    """Return the status of a regular file, the only kind ever opened: a fifo would wait, a device might never end.

    Raises:
        ImageError: The path is missing, or anything else.
    """
    status = file_status(path)
    if stat.S_ISDIR(status.st_mode):
        link = "a link to a folder" if path.is_symlink() else "a folder"
        raise ImageError(path, f"{link}, expected a picture file; name the folder itself to use the pictures in it")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(path, "a device, pipe or socket, expected a picture file; name a regular file")
    return status


def read_image(path: str | os.PathLike[str]) -> ReadImage:
    """Read a PNG, JPEG, WebP, BMP or TIFF file, whatever its name says; no other decoder is ever started.

    The picture comes upright (EXIF), in sRGB (ICC), on white (transparency) and as three channels (grey, palette,
    CMYK); the notes tell which of these were needed.

    Args:
        path: File to read.

    Raises:
        ImageError: The file is missing, not a regular file, empty, truncated, damaged, not a picture, of another
            format, too large (by its header, before it is decoded), animated or of several pages, or holds values that
            have no plain meaning as colours.
    """
    path = Path(path)
    size = check_regular(path).st_size
    if size == 0:
        raise ImageError(path, "the file is empty (zero bytes); fetch or save it again")
    if size > _MAX_BYTES:
        raise ImageError(
            path, f"the file has {size / 2**20:.0f} MiB, at most {_MAX_BYTES >> 20} are read; save it smaller"
        )
    head = b""
    # Of all that Pillow warns about, only a picture's size concerns the user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open(path, "rb") as file:
                head = file.read(64)
                _check_strips(file, path)
                file.seek(0)
                with Image.open(file, formats=_FORMATS) as image:
                    _check_header(image, path)
                    if image.format in ("JPEG", "MPO"):
                        _check_scans(image, file, path)
                    return _decode(image, path)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(path, _describe(head)) from error
        except Image.DecompressionBombError as error:
            raise ImageError(path, f"far too large to decode ({reason_of(error)}); save it smaller") from error
        except PermissionError as error:
            raise ImageError(path, "no permission to read the file; check its permissions") from error
        except Exception as error:  # decoders of damaged files raise anything from struct.error to MemoryError
            raise ImageError(
                path, f"truncated or damaged, it cannot be decoded ({reason_of(error)}); fetch or save it again"
            ) from error


def _describe(head: bytes) -> str:
    kind = next((name for signature, name in _SIGNATURES if re.match(signature, head, re.DOTALL)), None)
    if kind is None:
        return f"not a picture; expected a {FORMATS_TEXT} file"
    if kind.upper() in _FORMATS:
        return f"starts like a {kind} file but is truncated or damaged; fetch or save it again"
    return f"this is a file of another format ({kind}); expected {FORMATS_TEXT}: convert it, for example to PNG"


def _check_header(image: Image.Image, path: Path) -> None:
    width, height = image.size
    most = _MAX_JPEG if image.format in ("JPEG", "MPO") else _MAX_PIXELS
    if width * height > most or max(width, height) > _MAX_SIDE:
        raise ImageError(
            path,
            f"{width}x{height} is too large; at most {most / 1e6:.4g} million pixels and {_MAX_SIDE} a side "
            "are read: crop it or save it smaller",
        )
    # Phones put previews and depth maps behind the picture of an MPO file: that is one picture, not an animation.
    if image.format == "TIFF":
        what = "several pages" if _has_another_page(image) else ""
    else:
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        what = f"an animation of {frames} frames" if frames > 1 else ""
    if what:
        raise ImageError(path, f"{what}, expected a single picture; save the one you want as PNG")


def _has_another_page(image: Image.Image) -> bool:
    """Whether there is a second page; counting them would read the whole file."""
    try:
        image.seek(1)
    except EOFError:
        return False
    image.seek(0)
    return True


def _check_strips(file: BinaryIO, path: Path) -> None:
    """Raises `ImageError` for a TIFF whose first page claims more strips than a picture has, before it is read."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version not in (42, 43):
        return
    is_big = version == 43
    at = struct.unpack(f"{order}Q", head[8:16])[0] if is_big else struct.unpack(f"{order}I", head[4:8])[0]
    file.seek(at)
    number, entry = (f"{order}Q", f"{order}HHQQ") if is_big else (f"{order}H", f"{order}HHII")
    raw = file.read(struct.calcsize(number))
    if len(raw) < struct.calcsize(number):
        return
    size = struct.calcsize(entry)
    for _ in range(min(struct.unpack(number, raw)[0], 2**16)):
        raw = file.read(size)
        if len(raw) < size:
            return
        tag, _, count, _ = struct.unpack(entry, raw)
        if tag in _STRIPS and count > _MAX_STRIPS:
            raise ImageError(path, f"a TIFF of {count} strips, at most {_MAX_STRIPS} are read; save it again as PNG")


def _check_scans(image: Image.Image, file: BinaryIO, path: Path) -> None:
    """Raises `ImageError` for a JPEG of so many scans that decoding it would take minutes."""
    at = file.tell()
    file.seek(0)
    # Within a scan's data a byte of 255 is followed by a zero: this counts markers.
    scans = file.read().count(b"\xff\xda")
    file.seek(at)
    if scans * image.width * image.height > _MAX_SCANNED and scans > _USUAL_SCANS:
        raise ImageError(path, f"a JPEG of {scans} scans, which would take long to decode; save it again")


def _reduced(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture with whole blocks of pixels as one, so that few enough are left."""
    share = image.width * image.height / _KEPT_PIXELS
    if share <= 1:
        return image
    factor = math.ceil(math.sqrt(share))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode.startswith("I;"):
        image = image.convert("I")
    elif image.mode == "1":
        image = image.convert("L")
    notes.append(f"reduced to 1/{factor} while it was read")
    return image.reduce(factor)


def _decode(image: Image.Image, path: Path) -> ReadImage:
    """Return the opened picture as upright sRGB floats on white."""
    notes: list[str] = []
    width, height = image.size
    if width * height > _KEPT_PIXELS:
        # JPEGs are decoded at a half, a quarter or an eighth at no cost.
        factor = math.ceil(math.sqrt(width * height / _KEPT_PIXELS))
        drafted = image.draft(None, (width // factor, height // factor))
        if drafted is not None and image.size != (width, height):
            notes.append(f"read at 1/{round(width / image.width)} of its size")
    if image.format == "MPO":
        notes.append("first of several pictures in the file")
    bits = _bits(image)
    # Pillow turns a TIFF upright while loading it and forgets how it lay.
    orientation = _orientation(image) if image.format == "TIFF" else 1
    image.load()
    profile = image.info.get("icc_profile")
    info = image.info
    image = _reduced(image, notes)
    image.info = info
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        grey, alpha = _deep_grey(image, bits, path, notes)
        if profile:  # colour management works on 8 bits
            pixels = _to_srgb(Image.fromarray(to_uint8(grey)), profile, notes)
        else:
            pixels = np.repeat(grey[..., None], 3, axis=2)
    else:
        flat, alpha = _split_alpha(image, bits, path, notes)
        pixels = _to_srgb(flat, profile, notes)
    if alpha is not None and alpha.min() < 1:
        pixels = pixels * alpha[..., None] + (1 - alpha[..., None])
        notes.append("composited on white")
    if image.format != "TIFF":
        orientation = _orientation(image)
        pixels = _upright(pixels, orientation)
    if orientation in range(2, 9):
        notes.append("EXIF rotation applied")
    return ReadImage(np.ascontiguousarray(pixels, np.float32), tuple(notes))


def _bits(image: Image.Image) -> int:
    """Return the bits per channel in the file.

    Decoding hides them: they are known only from the decoder's arguments, before it runs.
    """
    found = re.search(r"[A-Z];(\d+)", str(getattr(image, "tile", ""))) if image.format in ("PNG", "TIFF") else None
    return int(found[1]) if found else 8


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF says nothing, and the picture is fine without
        return 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF orientations 2 to 8 of an (h, w, 3) array."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _deep_grey(image: Image.Image, bits: int, path: Path, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return greyscale of more than 8 bits, or floats, as float32 (h, w) in [0, 1].

    Beside it, the alpha of the picture if one value is transparent.
    """
    values = np.asarray(image)
    kind, top = ("floating-point", 1) if image.mode == "F" else ("16-bit", 4095 if bits == 12 else 65535)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):
        raise ImageError(
            path,
            f"greyscale values from {low:.6g} to {high:.6g}, expected 0 to {top}; scale them and save it as PNG",
        )
    if image.mode != "F" and top == 65535 and 0 < high <= 4095:
        # Cameras and microscopes store 8, 10 or 12 bits in files of 16, and in files of 32.
        held = next(count for count in (8, 10, 12) if high < 2**count)
        if image.format == "TIFF":
            top = 2**held - 1
            notes.append(f"values up to {high} are taken for {held} bits")
        else:  # a PNG's depth is what it says
            notes.append(f"dark: no value above {high} of {top}; if it holds {held} bits, scale it")
    notes.append(f"{kind} greyscale expanded to RGB")
    key = image.info.get("transparency")
    alpha = None if key is None else (values != key).astype(np.float32)
    return (values / np.float64(top)).astype(np.float32), alpha


def _split_alpha(image: Image.Image, bits: int, path: Path, notes: list[str]) -> tuple[Image.Image, np.ndarray | None]:
    """Return an 8-bit picture as L, RGB or CMYK, and its alpha (h, w) in [0, 1] if it has one."""
    if bits == 16:
        notes.append("16-bit colour read as 8-bit")
    key = image.info.get("transparency")
    if key is not None and image.mode in ("L", "RGB") and bits != 8:
        # The file gives its transparent value in its own depth, the decoded pixels have 8 bits.
        image.info["transparency"] = tuple(k >> 8 for k in key) if bits == 16 else key * 255 // (2**bits - 1)
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("P", "PA"):
        notes.append("palette expanded")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if is_grey else "RGBA")
        alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    if is_grey:
        notes.append("greyscale expanded to RGB")
        return image.convert("L"), alpha
    if image.mode not in ("RGB", "RGBA", "RGBX", "P", "YCbCr", "CMYK"):
        raise ImageError(path, f"colours of kind {image.mode!r} are not read; save it as an RGB PNG")
    return (image if image.mode == "CMYK" else image.convert("RGB")), alpha


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> np.ndarray:
    """Return an L, RGB or CMYK picture as float32 (h, w, 3) sRGB, by its ICC profile if it has a sound one."""
    plain = from_uint8(np.asarray(image.convert("RGB")))
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            mode = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}[profile[16:20]]
            if mode != image.mode and (image.mode, mode) != ("L", "RGB"):
                raise ImageCms.PyCMSError(f"a {mode} profile on a {image.mode} picture")
            # Optimised transforms put dark greys of a linear profile several levels off; 256 levels are quick without.
            flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
            flags |= ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
            converted = ImageCms.profileToProfile(
                Image.fromarray(np.arange(256, dtype=np.uint8)[None]) if mode == "L" else image.convert(mode),
                source,
                ImageCms.createProfile("sRGB"),
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=flags,
            )
            levels = np.asarray(converted)
            levels = levels[0][np.asarray(image)] if mode == "L" else levels
            name = printable(ImageCms.getProfileDescription(source).strip(), 60) or "without a name"
        except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
            notes.append("damaged or unsuitable ICC profile ignored")
        else:
            pixels = from_uint8(levels)
            # Most profiles are sRGB itself: what differs by a rounding only stays as it was.
            if np.abs(pixels - plain).max() < 1.5 / 255:
                return plain
            notes.append(f"converted from ICC profile {name} to sRGB")
            return pixels
    if image.mode == "CMYK":
        notes.append("CMYK converted without a profile, colours are approximate")
    return plain


def centre_crop(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the centre (side, side, 3) of a picture (h, w, 3), h and w no smaller."""
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def save_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write (h, w, 3) floats in [0, 1], or uint8, as an 8-bit RGB PNG, whole or not at all.

    Raises:
        ValueError: `image` has another shape or dtype, or holds NaN.
        OSError: The folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: expected shape (h, w, 3), got {image.shape}")
    picture = Image.fromarray(image if image.dtype == np.uint8 else to_uint8(image))
    write_whole(path, lambda file: picture.save(file, format="PNG"))
