"""What reading any picture costs: at most about 1 GB and some seconds, or one line says why it is not read."""

import json
import subprocess
import sys

import pytest

from tests.images import hostile_pictures as hostile
from tests.images.test_images import SRGB_D50, matrix_profile

# A process of its own, whose peak is not that of others: `getrusage` would hand on the parent's.
_READER = """
import json, sys, time
from pathlib import Path
from PIL import Image
from pulse_jax.images.files import ImageError, read_image

def peak():
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))

before, began = peak(), time.monotonic()
try:
    read = read_image(sys.argv[1], shortest_side=int(sys.argv[2]) or None)
    told = [*read.pixels.shape, *read.notes]
except ImageError as error:
    told = [str(error)]
print(json.dumps({"told": told, "bytes": peak() - before, "seconds": time.monotonic() - began}))
"""


def cost(path, shortest_side=0):
    """What the reader told of a file, having taken no more than it may."""
    if not sys.platform.startswith("linux"):
        pytest.skip("peaks are read from /proc")
    command = [sys.executable, "-c", _READER, str(path), str(shortest_side)]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120, text=True).stdout)
    assert done["bytes"] < 1e9 and done["seconds"] < 20
    return done["told"]


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (hostile.tiff_of_many_strips, "4000000 values in one entry"),
        (hostile.tiff_of_many_pages, "1001 pages"),
        (hostile.tiff_of_overlapping_tags, "60008 entries"),
        (hostile.tiff_of_a_huge_tile, "a tile of 3600000000 pixels for 64"),
        (hostile.jpeg_of_many_scans, "more than 100 scans"),
        (hostile.jpeg_of_many_segments, "more than 10000 segments"),
        (lambda: hostile.jpeg_of_many_segments(b"\xff"), "bytes between its segments"),
        (hostile.png_of_many_chunks, "more than 131072 chunks"),
        (lambda: hostile.png_of_many_chunks(b"IDAT"), "more than 131072 chunks"),
        (lambda: hostile.png_of_many_chunks(b"iCCP", 2**20), "chunks"),
        (hostile.bmp_of_runs, "4000x4000 pixels in run lengths"),
        (hostile.webp_of_many_frames, "2000000 frames"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, write, text):
    (tmp_path / "a").write_bytes(write())
    (line,) = cost(tmp_path / "a")
    assert text in line and line.isprintable()


def test_much_exif_costs_little(tmp_path):
    (tmp_path / "a.jpg").write_bytes(hostile.jpeg_of_much_exif())
    assert cost(tmp_path / "a.jpg")[:3] == [8, 8, 3]


_PROFILE = {"icc_profile": matrix_profile(SRGB_D50, 1.0)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {"compress_level": 1, **_PROFILE}),
        ("PNG", "I;16", {"compress_level": 1}),
        ("TIFF", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, **_PROFILE}),
    ],
)
def test_the_largest_pictures_read_whole(tmp_path, kind, mode, options):
    (tmp_path / "a").write_bytes(hostile.flat_picture(kind, mode, 8192, **options))
    assert cost(tmp_path / "a")[:3] == [8192, 8192, 3]


@pytest.mark.slow
def test_a_webp_takes_several_times_its_pixels(tmp_path):
    (tmp_path / "a").write_bytes(hostile.flat_picture("WEBP", "RGBA", 6000, method=0))
    assert cost(tmp_path / "a")[:3] == [6000, 6000, 3]
    (tmp_path / "b").write_bytes(hostile.flat_picture("WEBP", "RGBA", 7000, method=0))
    assert "decoding WEBP would take 1 GB" in cost(tmp_path / "b")[0]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
def test_a_phones_108_million_pixels(tmp_path, options):
    (tmp_path / "a.jpg").write_bytes(hostile.flat_picture("JPEG", "RGB", (9000, 12000), **options))
    assert "12000x9000 is too large; at most 67.11 million pixels" in cost(tmp_path / "a.jpg")[0]
    told = cost(tmp_path / "a.jpg", 4096)
    assert told == [4500, 6000, 3, "reduced by 2 from 12000x9000, it is too large to be read whole"]


@pytest.mark.slow
def test_large_pictures_of_other_kinds_are_reduced_too(tmp_path):
    picture = hostile.flat_picture("PNG", "RGBA", (10_000, 16_000), compress_level=1, **_PROFILE)
    (tmp_path / "a.png").write_bytes(picture)
    assert cost(tmp_path / "a.png", 2048)[:3] == [5000, 8000, 3]


@pytest.mark.slow
def test_coefficients_that_would_not_fit_are_foreseen(tmp_path):
    picture = hostile.flat_picture("JPEG", "RGB", (11_180, 16_000), progressive=True, subsampling=0)
    (tmp_path / "a.jpg").write_bytes(picture)
    assert "decoding JPEG would take 1.3 GB" in cost(tmp_path / "a.jpg", 1000)[0]
