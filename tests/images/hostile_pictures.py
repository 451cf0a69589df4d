"""Pictures that cost far more to read than their bytes suggest, each written by a function of its own."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_GREY = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]


def tiff(entries, tail=b""):
    """A little-endian TIFF of one directory; `entries` are (tag, type, count, value), `tail` follows at once."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + bytes(4) + tail


def tiff_of_many_strips(count=4_000_000):
    """8x8 pixels in millions of strips."""
    start = 10 + 12 * (len(_GREY) + 3) + 4
    entries = [*_GREY, (273, 4, count, start), (278, 4, 1, 1), (279, 4, count, start + 4 * count)]
    return tiff(entries, struct.pack("<I", start) * count + struct.pack("<I", 8) * count)


def tiff_of_many_pages(count=80_000):
    """As many directories, one behind the other, each of the same picture."""
    entries = [*_GREY, (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    first = 8 + 64
    pages = (table + struct.pack("<I", first + (i + 1) * (len(table) + 4)) for i in range(count - 1))
    return struct.pack("<2sHI", b"II", 42, first) + bytes(64) + b"".join(pages) + table + bytes(4)


def tiff_of_overlapping_tags(count=60_000, size=1_000_000):
    """Private tags that all hold the same megabyte."""
    start = 10 + 12 * (len(_GREY) + 3 + count) + 4
    entries = [*_GREY, (273, 4, 1, start), (278, 4, 1, 8), (279, 4, 1, 64)]
    entries += [(300 + i, 7, size, start) for i in range(count)]
    return tiff(entries, bytes(size))


def tiff_of_a_huge_tile(side=60_000):
    """8x8 pixels out of a tile of gigabytes."""
    start = 10 + 12 * (len(_GREY) + 4) + 4
    entries = [e if e[0] != 259 else (259, 3, 1, 8) for e in _GREY]
    entries += [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, start), (325, 4, 1, 4096)]
    return tiff(entries, zlib.compress(bytes(3_000_000)).ljust(4096, b"\0"))


def jpeg_of_many_scans(count=5000, side=4096):
    """A progressive picture whose last scan comes again and again."""
    data = flat_picture("JPEG", "L", side, progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * count + b"\xff\xd9"


def jpeg_of_many_segments(segment=b"\xff\xfe\0\2", size=100 * 2**20):
    """As many comments as fit before the picture; or fill bytes, or junk."""
    data = flat_picture("JPEG", "L", 8)
    return data[:2] + segment * (size // len(segment)) + data[2:]


def jpeg_of_much_exif(segments=40):
    """EXIF in many segments, whose entries all hold nearly all of it."""
    size = segments * 65_000
    count = min((size - 14) // 12, 65_535)
    table = b"".join(struct.pack("<HHII", 1000 + i % 60_000, 7, size - 20, 8) for i in range(count))
    exif = (struct.pack("<2sHIH", b"II", 42, 8, count) + table).ljust(size, b"\0")
    parts = [b"Exif\0\0" + exif[i : i + 65_000] for i in range(0, size, 65_000)]
    segment = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return jpeg_of_many_segments(segment, len(segment))


def png_of_many_chunks(kind=b"aaAa", size=200 * 2**20):
    """As many empty chunks as fit before the picture's own."""
    data = flat_picture("PNG", "L", 8)
    chunk = struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind))
    return data[:33] + chunk * (size // len(chunk)) + data[33:]


def bmp_of_runs(size=60 * 2**20):
    """Run lengths that fill no pixel, for a decoder that takes them one by one."""
    header = struct.pack("<IiiHHIIiiII", 40, 4000, 4000, 1, 8, 1, size, 0, 0, 256, 0)
    offset = 14 + len(header) + 1024
    return b"BM" + struct.pack("<IHHI", offset + size, 0, 0, offset) + header + bytes(1024) + b"\1\0" * (size // 2)


def webp_of_many_frames(count=2_000_000):
    """An animation of as many frames of one pixel."""
    frame = bytes(12) + b"\1\0\0\0" + flat_picture("WEBP", "RGB", 1, lossless=True)[12:]
    frame = b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)
    body = b"WEBPVP8X" + struct.pack("<IB9x", 10, 2) + b"ANIM" + struct.pack("<I6x", 6) + frame * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flat_picture(kind, mode, side, **options):
    """A square of one colour, or a rectangle if `side` is (height, width)."""
    height, width = side if isinstance(side, tuple) else (side, side)
    if mode == "I;16":
        image = Image.fromarray(np.full((height, width), 40_000, np.uint16))
    else:
        image = Image.new(mode, (width, height), (100, 150, 200, 128)[: len(mode)] if len(mode) > 1 else 100)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
