"""What a picture file consists of, counted in its bytes before any decoder sees them.

Decoders go through millions of segments, directories or runs one by one, for minutes, before they tell a picture's
size. Sound files have few; what has more is refused here, in a second at most.
"""

import mmap
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Structure", "structure_of"]

_MAX_SEGMENTS = 10_000
_MAX_STRAY = 2**16
_MAX_SCANS = 100
_MAX_CHUNKS = 2**17
_MAX_COMPRESSED_CHUNKS = 1000
_MAX_ENTRIES = 4096
_MAX_VALUES = 2**17
_MAX_TAG_BYTES = 64 * 2**20
_MAX_PAGES = 1000
_MAX_TILE = 4096**2
_MAX_RUN_PIXELS = 16 * 2**20
_MAX_RUN_BYTES = 16 * 2**20
_MAX_WEBP_PIXELS = 64 * 2**20

# In a JPEG's coded data FF is followed by 0 or a restart marker only.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_BYTES = (1, 2, 6, 7)


@dataclass(frozen=True)
class Structure:
    """What was counted.

    Attributes:
        excess: What no sound picture has so many of, in words; "" if there is nothing of the kind.
        pages: Pages of a TIFF, counted up to a limit.
        scans: Scans of a JPEG.
        significant_bits: Bits per channel that a PNG says its values had before they were stored; None if it does not.
    """

    excess: str = ""
    pages: int = 1
    scans: int = 1
    significant_bits: int | None = None


def structure_of(file: BinaryIO) -> Structure:
    """Count what a file that is not empty consists of. Damage ends the count: it is for decoders to tell.

    Args:
        file: Open file with a descriptor; its position does not matter.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            if data[:3] == b"\xff\xd8\xff":
                return _jpeg(data)
            if data[:8] == b"\x89PNG\r\n\x1a\n":
                return _png(data)
            if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return _tiff(data)
            if data[:2] == b"BM":
                return _bmp(data)
            if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
                return _webp(data)
        except struct.error:  # cut off
            pass
    return Structure()


def _jpeg(data: mmap.mmap) -> Structure:
    position, segments, stray, scans = 2, 0, 0, 0
    while found := _MARKER.search(data, position):
        if not scans:
            stray += found.start() - position
            if stray > _MAX_STRAY:
                return Structure(f"{stray} bytes between its segments")
        marker, position = found[0][1], found.end()
        segments += 1
        if segments > _MAX_SEGMENTS:
            return Structure(f"more than {_MAX_SEGMENTS} segments")
        if marker == 0xD9 and scans:
            break
        if marker == 0xDA:
            scans += 1
            if scans > _MAX_SCANS:
                return Structure(f"more than {_MAX_SCANS} scans")
        if marker not in (0x01, 0xD8, 0xD9):  # those stand alone
            position += struct.unpack_from(">H", data, position)[0]
    return Structure(scans=scans)


def _png(data: mmap.mmap) -> Structure:
    position, chunks, compressed, bits = 8, 0, 0, None
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks += 1
        compressed += kind in (b"iCCP", b"zTXt", b"iTXt")
        if chunks > _MAX_CHUNKS or compressed > _MAX_COMPRESSED_CHUNKS:
            return Structure(f"more than {chunks - 1} chunks")
        if kind == b"sBIT" and length:
            bits = data[position + 8]
        if kind == b"IEND":
            break
        position += 12 + length
    return Structure(significant_bits=bits)


def _tiff(data: mmap.mmap) -> Structure:
    order = "<" if data[:1] == b"I" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count_of, entry, offset_of = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    count_size, entry_size = struct.calcsize(f"={count_of}"), struct.calcsize(f"={entry}")
    (first,) = struct.unpack_from(order + offset_of, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + count_of, data, first)
    if entries > _MAX_ENTRIES:
        return Structure(f"{entries} entries in its directory")
    total, numbers = 0, {}
    for i in range(entries):
        tag, kind, count, value = struct.unpack_from(order + entry, data, first + count_size + entry_size * i)
        size = _TIFF_SIZES.get(kind, 0) * count
        total += size if size > len(value) else 0
        if total > _MAX_TAG_BYTES or (kind not in _TIFF_BYTES and count > _MAX_VALUES):
            return Structure(f"{count} values in one entry of its directory")
        if count == 1 and kind in (3, 4):
            (numbers[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), value)
    tile, picture = (numbers.get(a, 0) * numbers.get(b, 0) for a, b in ((322, 323), (256, 257)))
    if tile > max(_MAX_TILE, 2 * picture):
        return Structure(f"a tile of {tile} pixels for {picture}")
    pages, page = 0, first
    while page and pages <= _MAX_PAGES:
        pages += 1
        (entries,) = struct.unpack_from(order + count_of, data, page)
        try:
            (page,) = struct.unpack_from(order + offset_of, data, page + count_size + entry_size * entries)
        except (struct.error, OverflowError):  # cut off behind the last page
            break
    return Structure(pages=pages)


def _bmp(data: mmap.mmap) -> Structure:
    width, height = struct.unpack_from("<ii", data, 18)
    (compression,) = struct.unpack_from("<I", data, 30)
    # Run lengths are decoded in Python.
    in_runs = struct.unpack_from("<I", data, 14)[0] >= 40 and compression in (1, 2)
    if in_runs and (abs(width * height) > _MAX_RUN_PIXELS or len(data) > _MAX_RUN_BYTES):
        return Structure(f"{abs(width)}x{abs(height)} pixels in run lengths of {len(data) / 2**20:.3g} MiB")
    return Structure()


def _webp(data: mmap.mmap) -> Structure:
    """The canvas is allocated when the file is opened."""
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        if width * height > _MAX_WEBP_PIXELS:
            return Structure(f"a canvas of {width}x{height}")
    return Structure()
