import io
import os
import pickle
import stat
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pulse_jax.images import decoding, files
from pulse_jax.images.files import ImageError, centre_crop, read_image, save_png
from pulse_jax.images.rounding import from_uint8, to_uint8

GREY_TYPE, RGB_TYPE, GREY_ALPHA_TYPE, RGBA_TYPE = 0, 2, 4, 6


def png(values, colour_type, depth=16, transparent=None, size=None):
    """A PNG written by hand, for the kinds that Pillow does not write; `values` are (h, w, channels)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = size or values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in values)
    key = b"" if transparent is None else chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)


def refusal(path):
    with pytest.raises(ImageError) as caught:
        read_image(path)
    line = str(caught.value)
    assert path.name in line and line.isprintable()
    return line


# --- reading ---


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tif"])
def test_plain_pictures_come_as_they_are(tmp_path, picture, name):
    Image.fromarray(picture).save(tmp_path / name, lossless=True)
    read = read_image(tmp_path / name)
    np.testing.assert_array_equal(read.pixels, picture.astype(np.float32) / np.float32(255))
    assert read.pixels.dtype == np.float32 and read.notes == ()


def test_the_content_counts_not_the_name(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.txt", "PNG")
    assert read_image(tmp_path / "a.txt").pixels.shape == (8, 12, 3)


def test_a_jpeg_is_close(tmp_path):
    ramp = np.repeat(np.linspace(0, 1, 64)[:, None, None], 64, 1).repeat(3, 2)
    Image.fromarray(to_uint8(ramp)).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").pixels, ramp, atol=0.03)


def test_avif(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.jpg", "AVIF", quality=100, subsampling="4:4:4")
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").pixels, from_uint8(picture), atol=0.05)


def test_heic_names_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "HEIC needs pillow-heif: pip install pulse-jax[heic]" in refusal(tmp_path / "a.jpg")


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    levels = np.kron(np.array([[20, 80, 140], [200, 230, 250]], np.uint8), np.ones((32, 32), np.uint8))
    image = Image.fromarray(levels).convert("RGB")
    image.info["exif"] = exif.tobytes()  # written as a rotation of the format's own
    image.save(tmp_path / "a.heic", quality=95)
    pixels = read_image(tmp_path / "a.heic").pixels
    expected = np.rot90(levels, -1)[16::32, 16::32] / 255
    np.testing.assert_allclose(pixels[16::32, 16::32, 0], expected, atol=0.03)
    (tmp_path / "cut.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:300])
    assert "damaged" in refusal(tmp_path / "cut.heic")


def encoded(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{"kind": k} for k in ("PNG", "JPEG", "WEBP", "BMP", "TIFF")], ids=str)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files(tmp_path, options, share, capfd):
    data = encoded(**options)
    (tmp_path / "cut.png").write_bytes(data[: int(share * len(data))])
    assert "damaged" in refusal(tmp_path / "cut.png")
    assert capfd.readouterr() == ("", "")


def test_a_truncated_compressed_tiff(tmp_path, capfd):
    data = encoded("TIFF", compression="tiff_lzw")
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    assert "damaged" in refusal(tmp_path / "cut.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty (zero bytes)"),
        (b"hello, I am no picture", "not a picture"),
        (bytes(1000), "not a picture"),
        (encoded("GIF"), "another format (GIF)"),
        (encoded("EPS"), "another format (PostScript)"),
        (encoded("PDF"), "another format (PDF)"),
        (encoded("PPM"), "another format (Netpbm)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "another format (XML or web)"),
        (png(np.zeros((1, 1, 3)), RGB_TYPE, 8, size=(20000, 20)), "20x20000 is too large"),
        (png(np.zeros((1, 1, 3)), RGB_TYPE, 8, size=(9000, 9000)), "9000x9000 is too large"),
        (png(np.zeros((1, 1, 3)), RGB_TYPE, 8, size=(12000, 12000)), "12000x12000 is too large"),
        (png(np.zeros((1, 1, 3)), RGB_TYPE, 8, size=(2**31 - 1, 2**31 - 1)), "far too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_content(tmp_path, data, text):
    (tmp_path / "a.png").write_bytes(data)
    line = refusal(tmp_path / "a.png")
    assert text in line
    assert any(remedy in line for remedy in ("save it", "fetch", "expected a PNG", "convert it"))


def test_no_size_is_decoded_before_it_is_checked(tmp_path, monkeypatch, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(files, "decode", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(files, "_MAX_PIXELS", 95)
    with pytest.raises(ImageError, match="12x8 is too large"):
        read_image(tmp_path / "a.png")


def test_a_picture_too_large_to_be_read_whole_is_reduced_where_it_may_be(tmp_path, monkeypatch):
    levels = np.random.default_rng(0).integers(0, 256, (20, 12, 3), np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    monkeypatch.setattr(files, "_MAX_PIXELS", 60)
    read = read_image(tmp_path / "a.png", shortest_side=6)
    np.testing.assert_allclose(read.pixels, levels.reshape(10, 2, 6, 2, 3).mean((1, 3)) / 255, atol=0.6 / 255)
    assert read.notes == ("reduced by 2 from 12x20, it is too large to be read whole",)
    with pytest.raises(ImageError, match="12x20 is too large"):
        read_image(tmp_path / "a.png", shortest_side=7)
    monkeypatch.setattr(files, "_MAX_PIXELS", 240)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", shortest_side=6).pixels, from_uint8(levels))


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_every_kind_of_picture_can_be_reduced(tmp_path, monkeypatch, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    levels = np.kron(np.array([[0, 255], [255, 255]], np.uint8), np.ones((6, 8), np.uint8))
    image = Image.fromarray(levels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    image.save(tmp_path / "a", "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    monkeypatch.setattr(files, "_MAX_PIXELS", 60)
    pixels = read_image(tmp_path / "a", shortest_side=6).pixels
    expected = np.kron([[0, 1], [1, 1]], np.ones((3, 4)))
    expected = expected.T[:, ::-1] if orientation == 6 else expected
    np.testing.assert_allclose(pixels, expected[..., None].repeat(3, 2), atol=0.01)


def test_strips_make_no_difference(tmp_path, monkeypatch):
    levels = np.random.default_rng(0).integers(0, 256, (31, 12, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 7
    for name, array in (("a.png", levels), ("b.png", levels[..., 0].astype(np.uint16) * 200)):
        Image.fromarray(array).save(tmp_path / name, exif=exif, icc_profile=matrix_profile(SRGB_D50, 1.0))
        whole = read_image(tmp_path / name)
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "_STRIP_PIXELS", 40)
            parts = read_image(tmp_path / name)
        np.testing.assert_array_equal(parts.pixels, whole.pixels)
        assert parts.notes == whole.notes


def test_files_of_too_many_bytes(tmp_path, monkeypatch, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(files, "_MAX_BYTES", 100)
    assert "MiB" in refusal(tmp_path / "a.png")


def test_paths_that_are_no_files(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    assert "regular file" in refusal(tmp_path / "pipe.png")
    assert "no such file" in refusal(tmp_path / "absent.png")
    assert "a folder" in refusal(tmp_path)
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "permission" in refusal(path)


@pytest.mark.parametrize(("kind", "text"), [("PNG", "3 frames"), ("WEBP", "3 frames"), ("TIFF", "3 pages")])
def test_several_frames_are_refused(tmp_path, kind, text):
    first, *rest = (Image.new("RGB", (8, 8), (60 * i, 0, 0)) for i in range(3))
    first.save(tmp_path / "a.png", kind, save_all=True, append_images=rest)
    line = refusal(tmp_path / "a.png")
    assert text in line and "save the one you want" in line


def test_a_phones_jpeg_with_a_second_picture_gives_the_first(tmp_path):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    read = read_image(tmp_path / "a.jpg")
    assert read.notes == ("first of several pictures in the file",)
    np.testing.assert_allclose(read.pixels[4, 4], [1, 0, 0], atol=0.02)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_all_its_bits(tmp_path, kind):
    values = np.array([[0, 1, 255, 256], [32768, 65279, 65280, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a", kind)
    read = read_image(tmp_path / "a")
    assert read.notes == ("16-bit greyscale expanded to RGB",)
    for channel in range(3):
        np.testing.assert_array_equal(read.pixels[..., channel], (values / 65535).astype(np.float32))


def test_32_bit_integers_of_16_bit_range(tmp_path):
    values = np.array([[0, 65535], [32768, 3]], np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[..., 0], (values / 65535).astype(np.float32))
    Image.fromarray(values + 1).save(tmp_path / "b.tif")
    assert "values from 1 to 65536, expected 0 to 65535" in refusal(tmp_path / "b.tif")


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_a_range_that_the_file_names_is_taken(tmp_path, bits):
    values = np.array([[0, 2**bits - 1], [2 ** (bits - 1), 3]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={281: 2**bits - 1})
    shifted = bytearray(png(values[..., None], GREY_TYPE))
    body = b"sBIT" + bytes([bits])
    shifted[33:33] = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(shifted)
    for name in ("a.tif", "a.png"):
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read.pixels[..., 0], (values / (2**bits - 1)).astype(np.float32))
        assert read.notes == (f"16-bit greyscale holding {bits} bits expanded to RGB",)


def test_a_range_that_is_named_but_exceeded_is_none(tmp_path):
    values = np.array([[0, 40_000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={281: 4095})
    Image.fromarray(values).save(tmp_path / "b.tif", tiffinfo={281: 40_000})  # what happens to occur, not a range
    for name in ("a.tif", "b.tif"):
        assert read_image(tmp_path / name).pixels.max() == np.float32(40_000 / 65535)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_32_bit_integers_of_8_bit_range(tmp_path, compression):
    values = np.array([[0, 255], [100, 3]], np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels[..., 0], (values / 255).astype(np.float32))
    assert read.notes == ("32-bit greyscale holding 8 bits expanded to RGB",)


@pytest.mark.parametrize(("high", "bits"), [(200, 8), (1023, 10), (4095, 12)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_darkness_is_told_where_the_range_is_a_guess(tmp_path, kind, high, bits):
    Image.fromarray(np.array([[0, high]], np.uint16)).save(tmp_path / "a", kind)
    note = read_image(tmp_path / "a").notes[-1]
    assert note == f"all but black: no value above {high} of 65535; if it holds {bits} bits, scale its values"


def test_dark_16_bit_colour_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(png(np.full((2, 2, 3), 4000), RGB_TYPE))
    assert "all but black" in read_image(tmp_path / "a.png").notes[-1]


def test_float_grey(tmp_path):
    values = np.array([[0.0, 0.25], [0.5, 1.0]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, np.repeat(values[..., None], 3, 2))
    assert read.notes == ("floating-point greyscale expanded to RGB",)
    for bad in (values * 255, values - 0.1, values * np.float32(np.nan)):
        Image.fromarray(bad).save(tmp_path / "b.tif")
        assert "expected 0 to 1; scale them" in refusal(tmp_path / "b.tif")


@pytest.mark.parametrize("colour_type", [RGB_TYPE, RGBA_TYPE, GREY_ALPHA_TYPE])
def test_16_bit_colour_is_read_as_8_bit_and_told(tmp_path, colour_type):
    channels = {RGB_TYPE: 3, RGBA_TYPE: 4, GREY_ALPHA_TYPE: 2}[colour_type]
    values = np.full((2, 2, channels), 65535, np.uint16)
    values[..., : channels if channels == 3 else channels - 1] = 0x80FF
    (tmp_path / "a.png").write_bytes(png(values, colour_type))
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels, np.full((2, 2, 3), np.float32(0x80) / np.float32(255)))
    assert read.notes == ("16-bit colour read as 8-bit",)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path, mode):
    pixels = np.array([[[100, 30, 200, 0], [100, 30, 200, 255], [100, 30, 200, 51]]], np.uint8)
    if mode == "LA":
        pixels = pixels[..., [0, 3]]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    colour = np.array([100, 30, 200] if mode == "RGBA" else [100] * 3) / 255
    np.testing.assert_allclose(read.pixels[0], np.stack([np.ones(3), colour, 0.2 * colour + 0.8]), atol=1e-6)
    assert read.notes[-1] == "composited on white"


def test_an_opaque_alpha_channel_needs_no_word(tmp_path, picture):
    opaque = np.concatenate([picture, np.full((8, 12, 1), 255, np.uint8)], axis=2)
    Image.fromarray(opaque).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels, from_uint8(picture))
    assert read.notes == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(np.array([[[7], [1000]]]), GREY_TYPE, transparent=[7]), [[1] * 3, [1000 / 65535] * 3]),
        (
            png(np.array([[[0x1234, 0, 0], [0x8000, 0, 0]]]), RGB_TYPE, transparent=[0x1234, 0, 0]),
            [[1] * 3, [128 / 255, 0, 0]],
        ),
        (png(np.array([[[9], [5]]]), GREY_TYPE, 8, transparent=[9]), [[1] * 3, [5 / 255] * 3]),
        # Two pixels of four bits in one byte: 3, transparent, and 5.
        (png(np.array([[[0x35]]]), GREY_TYPE, 4, transparent=[3], size=(1, 2)), [[1] * 3, [5 / 15] * 3]),
        # One bit each: black, transparent, and white; then the reverse.
        (png(np.array([[[0x00]]]), GREY_TYPE, 1, transparent=[0], size=(1, 2)), [[1] * 3, [1] * 3]),
        (png(np.array([[[0x40]]]), GREY_TYPE, 1, transparent=[1], size=(1, 2)), [[0] * 3, [1] * 3]),
    ],
    ids=["grey 16", "rgb 16", "grey 8", "grey 4", "black", "white"],
)
def test_a_transparent_value_becomes_white(tmp_path, data, expected):
    (tmp_path / "a.png").write_bytes(data)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(read.pixels[0], expected, atol=1e-6)
    assert "composited on white" in read.notes


@pytest.mark.parametrize("transparency", [None, 1, bytes([255, 0])])
def test_palette(tmp_path, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", **({} if transparency is None else {"transparency": transparency}))
    read = read_image(tmp_path / "a.png")
    second = [40 / 255, 50 / 255, 60 / 255] if transparency is None else [1, 1, 1]
    np.testing.assert_allclose(read.pixels[0], [[10 / 255, 20 / 255, 30 / 255], second], atol=1e-6)
    assert read.notes == ("palette expanded",) + (() if transparency is None else ("composited on white",))


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_is_expanded(tmp_path, mode):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels, [[[0, 0, 0], [1, 1, 1]]])
    assert read.notes == ("greyscale expanded to RGB",)


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    read = read_image(tmp_path / "a.jpg")
    np.testing.assert_allclose(read.pixels[8, 8], [1, 0, 0], atol=0.02)
    assert read.notes == ("CMYK converted without a profile, colours are approximate",)


def test_lab_is_refused(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "a.tif")
    assert "save it as an RGB PNG" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, kind, orientation):
    # The standard names, for each value, the sides of the scene at which row 0 and column 0 of the file lie.
    row_0, column_0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    levels = np.array([[20, 80, 140], [200, 230, 250]], np.uint8)
    stored = np.kron(levels, np.ones((16, 16), np.uint8))[..., None].repeat(3, 2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a", kind, exif=exif, **({"quality": 100} if kind != "TIFF" else {}))
    read = read_image(tmp_path / "a")
    scene = levels.T if row_0 in ("left", "right") else levels
    scene = scene[::-1] if "bottom" in (row_0, column_0) else scene
    scene = scene[:, ::-1] if "right" in (row_0, column_0) else scene
    np.testing.assert_allclose(read.pixels[8::16, 8::16, 0], scene / 255, atol=0.03)
    assert read.notes == (() if orientation == 1 else ("EXIF rotation applied",))


def test_damaged_exif_is_no_obstacle(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, from_uint8(picture))


def matrix_profile(columns, gamma, space=b"RGB "):
    """A minimal ICC profile of the display class: linear RGB to XYZ by `columns`, one gamma; or grey of that gamma."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    description = b"Test" + b"\0"
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + description + bytes(78 + 3)}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)
    if space == b"RGB ":
        for name, column in zip(b"rgb", columns, strict=True):
            tags[bytes([name]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
            tags[bytes([name]) + b"TRC"] = curve
    else:
        tags[b"kTRC"] = curve
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


# Primaries of sRGB adapted to D50, as its specification gives them.
SRGB_D50 = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def srgb_encode(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_of_another_gamma_is_converted(tmp_path, mode):
    levels = np.arange(0, 256, 5, dtype=np.uint8)[None].repeat(2, 0)
    image = Image.fromarray(levels).convert(mode)
    profile = matrix_profile(SRGB_D50, 1.0, b"RGB " if mode == "RGB" else b"GRAY")
    image.save(tmp_path / "a.png", icc_profile=profile)
    read = read_image(tmp_path / "a.png")
    expected = srgb_encode(levels / 255)[..., None].repeat(3, 2)
    np.testing.assert_allclose(read.pixels, expected, atol=2.5 / 255)
    assert read.notes[-1] == "converted from ICC profile Test to sRGB"


def test_swapped_primaries_swap_the_channels(tmp_path):
    red, green, blue = SRGB_D50
    image = Image.new("RGB", (4, 4), (255, 0, 0))
    image.save(tmp_path / "a.png", icc_profile=matrix_profile((blue, green, red), 2.2))
    np.testing.assert_allclose(read_image(tmp_path / "a.png").pixels[0, 0], [0, 0, 1], atol=0.02)


def test_transparency_and_a_profile_together(tmp_path):
    image = Image.new("RGBA", (4, 4), (64, 64, 64, 51))
    image.save(tmp_path / "a.png", icc_profile=matrix_profile(SRGB_D50, 1.0))
    read = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(read.pixels, 0.2 * srgb_encode(64 / 255) + 0.8, atol=1 / 255)
    assert len(read.notes) == 2


def test_16_bit_grey_with_a_profile(tmp_path):
    values = np.linspace(0, 65535, 32).astype(np.uint16)[None]
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=matrix_profile(SRGB_D50, 1.0, b"GRAY"))
    pixels = read_image(tmp_path / "a.png").pixels
    np.testing.assert_allclose(pixels[0, :, 0], srgb_encode(to_uint8(values[0] / 65535) / 255), atol=2.5 / 255)


def test_a_profile_of_srgb_changes_nothing(tmp_path, picture):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture).save(tmp_path / "a.png", icc_profile=profile)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels, from_uint8(picture))
    assert read.notes == ()


@pytest.mark.parametrize("profile", [b"nonsense", bytes(200), matrix_profile(SRGB_D50, 1.0, b"GRAY")])
def test_a_damaged_or_unsuitable_profile_is_ignored_and_told(tmp_path, picture, profile):
    Image.fromarray(picture).save(tmp_path / "a.png", icc_profile=profile)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels, from_uint8(picture))
    assert read.notes == ("damaged or unsuitable ICC profile ignored",)


# --- cropping and writing ---


def test_the_centre_is_cropped():
    pixels = np.arange(5 * 9 * 3).reshape(5, 9, 3)
    np.testing.assert_array_equal(centre_crop(pixels, 5), pixels[:, 2:7])
    np.testing.assert_array_equal(centre_crop(pixels, 2), pixels[1:3, 3:5])


def test_save_png_writes_what_is_read(tmp_path, picture):
    for image in (picture, from_uint8(picture)):
        save_png(tmp_path / "a.png", image)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, from_uint8(picture))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_save_png_follows_the_umask(tmp_path, picture):
    previous = os.umask(0o022)
    try:
        save_png(tmp_path / "a.png", picture)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["save", "replace"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, picture, step):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    save_png(tmp_path / "a.png", picture)
    monkeypatch.setattr(*((Image.Image, "save") if step == "save" else (os, "replace")), fail)
    with pytest.raises(OSError, match="No space left"):
        save_png(tmp_path / "a.png", 255 - picture)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, from_uint8(picture))


def test_nan_is_refused_before_a_file_is_made(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        save_png(tmp_path / "a.png", np.full((2, 2, 3), np.nan))
    with pytest.raises(ValueError, match="expected shape"):
        save_png(tmp_path / "a.png", np.zeros((2, 2)))
    assert not list(tmp_path.iterdir())


# --- words ---


def test_hostile_names_stay_on_one_line(tmp_path):
    path = tmp_path / "a\n\x1b]0;x\x07.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).isprintable()


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ImageError("a.png", "is odd")))
    assert str(error) == "a.png: is odd" and error.source == "a.png"
