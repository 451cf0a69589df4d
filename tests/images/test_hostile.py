"""Pictures that a stranger made to cost minutes or gigabytes, and large ones that phones make."""

import io
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from pulse_jax.images.files import ImageError, read_image


def refusal(path):
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert time.monotonic() - began < 20
    return str(caught.value)


def tiff(count, big=False):
    """8x8 pixels, with so many strip offsets claimed."""
    entries = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, count, 512), (277, 3, 1, 1)]
    entries += [(278, 3, 1, 1), (279, 4, count, 512)]
    if big:
        body = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + struct.pack("<Q", len(entries))
        body += b"".join(struct.pack("<HHQQ", *entry) for entry in entries) + bytes(8)
    else:
        body = b"II" + struct.pack("<HI", 42, 8) + struct.pack("<H", len(entries))
        body += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return body.ljust(512, b"\0") + b"\0\2\0\0" * min(count, 2**20)


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_of_a_million_strips(tmp_path, big):
    (tmp_path / "a.tif").write_bytes(tiff(4_000_000, big))
    assert "a TIFF of 4000000 strips, at most 262144 are read; save it again as PNG" in refusal(tmp_path / "a.tif")


def test_a_jpeg_of_thousands_of_scans(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 4000), (90, 90, 90)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    # Its last scan again and again.
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + data[last:-2] * 120 + data[-2:])
    assert "scans, which would take long to decode; save it again" in refusal(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(data)
    assert read_image(tmp_path / "b.jpg").pixels.shape == (2000, 2000, 3)


def test_a_tiff_of_many_pages_is_not_counted(tmp_path):
    page = Image.new("L", (8, 8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page] * 3000)
    assert "several pages, expected a single picture" in refusal(tmp_path / "a.tif")


def test_a_large_photograph_is_read_smaller(tmp_path):
    ramp = np.linspace(0, 255, 12000).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (9000, 12000))).save(tmp_path / "a.jpg", quality=60)
    read = read_image(tmp_path / "a.jpg")
    height, width, _ = read.pixels.shape
    assert height * width <= 8 * 2**20 and width / height == pytest.approx(4 / 3, rel=1e-3)
    assert read.notes[0].startswith("read at 1/") and read.pixels[0, -1].min() > 0.98
    assert read.pixels[height // 2, width // 2] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("values", "top"), [((0, 255), 255), ((3, 1000), 1023), ((0, 4000), 4095)])
@pytest.mark.parametrize("kind", [np.int32, np.uint16])
def test_the_range_of_deep_greys_is_found_out(tmp_path, values, top, kind):
    Image.fromarray(np.array([values] * 2, kind)).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(read.pixels[0, :, 0], np.array(values) / top, atol=1e-6)
    assert f"values up to {values[1]} are taken for" in read.notes[0]


def test_a_dark_deep_png_is_told(tmp_path):
    Image.fromarray(np.array([[0, 1000]], np.uint16)).save(tmp_path / "a.png")
    assert (
        read_image(tmp_path / "a.png").notes[0] == "dark: no value above 1000 of 65535; if it holds 10 bits, scale it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RGBA", "P", "I;16", "CMYK"])
def test_any_picture_costs_a_gigabyte_at_most(tmp_path, kind):
    """64 million pixels, with a colour profile."""
    path = tmp_path / ("a.tif" if kind == "CMYK" else "a.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB" if kind == "CMYK" else "sRGB")).tobytes()
    Image.new(kind, (8192, 8192), 9 if kind in ("P", "I;16") else (200, 9, 90, 90)).save(
        path, icc_profile=profile, **({"compression": "tiff_lzw"} if kind == "CMYK" else {})
    )
    # Not getrusage: a child's starts with its parent's.
    program = (
        "import re, sys\n"
        "from pulse_jax.images.files import read_image\n"
        "shape = read_image(sys.argv[1]).pixels.shape\n"
        "print(shape, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 20
    assert int(done.stdout.split()[-1]) < 2**20, done.stdout
