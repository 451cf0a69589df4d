"""Reading and writing pictures. In memory they are NumPy floats (h, w, 3) in [0, 1], RGB.

Whatever a file holds, the answer is either such an array with notes on what was done to it, or one `ImageError` that
says what is wrong and what to do.
"""

import os
import re
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pulse_jax.images.decoding import decode
from pulse_jax.images.errors import ImageError
from pulse_jax.images.rounding import to_uint8
from pulse_jax.images.structure import Structure, structure_of
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import reason_of

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

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF")
FORMATS_TEXT = "PNG, JPEG, WebP, AVIF, BMP, TIFF or HEIC"
_MAX_PIXELS = 64 * 2**20
# What Pillow reads at most, unless it is told otherwise.
_MAX_REDUCED = 178_956_970
_MAX_SIDE = 16384
_MAX_BYTES = 256 * 2**20
# Of 1 GB, without what the program itself takes.
_MAX_MEMORY = 830e6
# Bytes a pixel that these decoders take: they hold a picture several times over, and cannot reduce it.
_COSTS = {"WEBP": 21.0, "AVIF": 24.0, "HEIF": 16.0}
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


def read_image(path: str | os.PathLike[str], *, shortest_side: int | None = None) -> ReadImage:
    """Read a PNG, JPEG, WebP, AVIF, BMP, TIFF or HEIC file, whatever its name says; no other decoder is ever started.

    The picture comes upright (EXIF), in sRGB (ICC), on white (transparency) and as three channels (grey, palette,
    CMYK); the notes tell which of these were needed. Reading takes at most about 1 GB, the result included.

    Args:
        path: File to read.
        shortest_side: Pixels that the shorter side must keep if a picture that is too large to be read whole is
            reduced; None if none may be.

    Raises:
        ImageError: The file is missing, not a regular file, empty, truncated, damaged, not a picture, of another
            format, too large (by its header, before it is decoded), of more parts than sound files have, animated or
            of several pages, or holds values that have no plain meaning as colours.
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open(path, "rb") as file:
                head = file.read(64)
                structure = structure_of(file)
                if structure.excess:
                    raise ImageError(path, f"{structure.excess}, which no sound picture has; save it again")
                file.seek(0)
                with Image.open(file, formats=_openers(head, path)) as image:
                    factor = _reduction(image, path, structure, shortest_side)
                    _check_pages(image, path, structure)
                    pixels, notes = decode(image, path, structure, factor)
                    return ReadImage(pixels, tuple(notes))
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


def _openers(head: bytes, path: Path) -> tuple[str, ...]:
    """Return the formats that may be opened; HEIC only if the file is one."""
    if _kind(head) != "HEIC":
        return _FORMATS
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImageError(path, "HEIC needs pillow-heif: pip install pulse-jax[heic]; or convert it to JPEG") from None
    pillow_heif.register_heif_opener()
    return (*_FORMATS, "HEIF")


def _kind(head: bytes) -> str | None:
    return next((name for signature, name in _SIGNATURES if re.match(signature, head, re.DOTALL)), None)


def _describe(head: bytes) -> str:
    kind = _kind(head)
    if kind is None:
        return f"not a picture; expected a {FORMATS_TEXT} file"
    if kind.upper() in (*_FORMATS, "HEIC"):
        return f"starts like a {kind} file but is truncated or damaged; fetch or save it again"
    return f"this is a file of another format ({kind}); expected {FORMATS_TEXT}: convert it, for example to PNG"


def _check_pages(image: Image.Image, path: Path, structure: Structure) -> None:
    # Phones put previews and depth maps behind the picture of an MPO or HEIC file: that is one picture, no animation.
    if image.format in ("MPO", "HEIF"):
        return
    is_tiff = image.format == "TIFF"  # Pillow goes through all its pages to count them
    frames = structure.pages if is_tiff else getattr(image, "n_frames", 1)
    if frames > 1:
        what = f"{frames} pages" if is_tiff else f"an animation of {frames} frames"
        raise ImageError(path, f"{what}, expected a single picture; save the one you want as PNG")


def _reduction(image: Image.Image, path: Path, structure: Structure, shortest_side: int | None) -> int:
    """Return by how much a picture is reduced while it is read: by 1, unless it is too large and may be."""
    width, height = image.size
    pixels = width * height
    factor = 1
    if pixels > _MAX_PIXELS and shortest_side is not None:
        steps = (2, 4, 8) if image.format in ("JPEG", "MPO") else range(2, 65)
        factor = next((step for step in steps if pixels <= _MAX_PIXELS * step**2), 1)
        factor = factor if min(width, height) // factor >= shortest_side else 1
    if pixels > (_MAX_PIXELS if factor == 1 else _MAX_REDUCED) or max(width, height) > _MAX_SIDE:
        raise ImageError(
            path,
            f"{width}x{height} is too large; at most {_MAX_PIXELS / 1e6:.4g} million pixels and {_MAX_SIDE} a side "
            f"are read, and up to {_MAX_REDUCED / 1e6:.4g} million where they may be reduced (--fit resize): crop it "
            "or save it smaller",
        )
    # The result's floats take the place of what was decoded.
    decoding = pixels * _cost(image, structure, factor)
    if image.format in (*_COSTS, "TIFF"):  # these hold the file too
        decoding += path.stat().st_size
    needed = max(decoding, 12 * pixels / factor**2)
    if needed > _MAX_MEMORY:
        raise ImageError(
            path,
            f"{width}x{height} is too large for a file of its kind: decoding {image.format} would take "
            f"{needed / 1e9:.2g} GB; crop it or save it smaller",
        )
    return factor


def _cost(image: Image.Image, structure: Structure, factor: int) -> float:
    """Return bytes a pixel that decoding takes at most, as measured, with the 8 bits that are held of it."""
    if image.format in _COSTS:
        return _COSTS[image.format]
    shallow = image.mode in ("1", "L", "P")
    stored = 1.1 if shallow else 4.2
    if image.format in ("JPEG", "MPO"):
        # Several scans are put together in coefficients, two bytes each, of the whole picture.
        layers = [layer[1:3] for layer in getattr(image, "layer", ())]
        whole = max((h for h, _ in layers), default=1) * max((v for _, v in layers), default=1)
        several = structure.scans > 1 or "progressive" in image.info
        return stored / factor**2 + several * 2 * sum(h * v for h, v in layers) / whole
    if image.format == "TIFF":
        turned = 2 * stored if image.getexif().get(ExifTags.Base.Orientation, 1) != 1 else 0
        return max(stored + _strip_cost(image), turned, stored + 4)
    return stored + 3 / factor**2


def _strip_cost(image: Image.Image) -> float:
    """Return bytes a pixel of the picture that libtiff takes for one strip of a TIFF, packed and unpacked."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(259, 1) == 1 or 322 in tags:  # uncompressed, or in tiles, whose size was checked
        return 0.0
    share = min(1, tags.get(278, image.height) / image.height)
    bits = tags.get(258, (1,))
    return 2.2 * float(share) * sum(bits if isinstance(bits, tuple) else (bits,)) / 8


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
