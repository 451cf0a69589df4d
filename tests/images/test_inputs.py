import os

import numpy as np
import pytest

from pulse_jax.images import inputs
from pulse_jax.images.files import ImageError
from pulse_jax.images.inputs import find_images, fit_low_res
from pulse_jax.system.text import printable

# --- finding ---


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_a_folder_gives_its_pictures_in_natural_order(tmp_path):
    for name in ("a10.png", "A2.jpg", "b.TIFF", ".hidden.png", "notes.txt", "more/c.png"):
        touch(tmp_path / name)
    found, errors = find_images([tmp_path])
    assert [file.name for file in found] == ["A2.jpg", "a10.png", "b.TIFF"]
    assert not errors


def test_files_keep_their_order_and_count_once(tmp_path):
    b, a = touch(tmp_path / "b.png"), touch(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(a)
    assert find_images([b, str(a), tmp_path / "link.png", tmp_path]) == ([b, a], [])


def test_a_link_to_a_file_is_followed(tmp_path):
    target = touch(tmp_path / "elsewhere" / "x.png")
    link = tmp_path / "in" / "y.png"
    link.parent.mkdir()
    link.symlink_to(target)
    assert find_images([tmp_path / "in"]) == ([link], [])


def test_faulty_paths_give_one_error_each_and_the_rest_goes_on(tmp_path):
    good = touch(tmp_path / "good.png")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    cases = {
        tmp_path / "absent.png": "no such file",
        tmp_path / "empty": "no pictures in this folder",
        tmp_path / "pipe.png": "device, pipe or socket",
        tmp_path / "dangling.png": "a link to a file that does not exist",
        tmp_path / "loop.png": "cannot be reached",
        tmp_path / "null\0.png": "cannot be reached",
        good / "inside": "cannot be reached",
    }
    found, errors = find_images([*cases, good])
    assert found == [good]
    assert len(errors) == len(cases)
    for error, (path, text) in zip(errors, cases.items(), strict=True):
        assert error.source == printable(path) and text in error.message


def test_a_folders_links_to_folders_and_devices_are_named(tmp_path):
    folder = tmp_path / "in"
    good = touch(folder / "good.png")
    (folder / "sub.png").mkdir()
    (folder / "album").symlink_to(tmp_path)
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "gone.png").symlink_to(tmp_path / "gone")
    (folder / "stale-lock").symlink_to(tmp_path / "gone")
    found, errors = find_images([folder])
    assert found == [good]
    assert [error.source.rpartition("/")[2] for error in errors] == ["album", "gone.png", "zero.png"]
    assert "link to a folder" in errors[0].message


def test_an_unreadable_folder_is_an_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inputs.Path, "iterdir", refuse)
    ((), (error,)) = find_images([tmp_path])
    assert "cannot be read (Permission denied)" in str(error)


def test_inputs_of_one_name_are_all_found(tmp_path):
    paths = [touch(tmp_path / name) for name in ("x/a.png", "x/A.jpg", "y/a.png")]
    assert find_images(paths) == (paths, [])


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.hif", "a.avif"])
def test_pictures_of_phones_are_found(tmp_path, name):
    path = touch(tmp_path / name)
    assert find_images([tmp_path]) == ([path], [])


def test_sub_folders_are_searched_if_asked_for(tmp_path):
    names = ("b/2.png", "b/10.png", "b/deep/er/1.png", "z.png", "a/1.png", ".git/x.png", "out/old.png", "b/notes.txt")
    for name in names:
        touch(tmp_path / name)
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    found, errors = find_images([tmp_path], exclude=tmp_path / "out", recursive=True)
    assert [str(file.relative_to(tmp_path)) for file in found] == [
        "z.png",
        "a/1.png",
        "b/2.png",
        "b/10.png",
        "b/deep/er/1.png",
    ]
    assert [error.source for error in errors] == [str(tmp_path / "b" / "round")]
    assert [file.name for file in find_images([tmp_path])[0]] == ["z.png"]
    (tmp_path / "none" / "at" / "all").mkdir(parents=True)
    ((), (error,)) = find_images([tmp_path / "none"], recursive=True)
    assert "in it or its sub-folders" in error.message
    ((), (error,)) = find_images([tmp_path / "none"])
    assert "--recursive" in error.message


def test_patterns_are_expanded_where_no_shell_did(tmp_path, monkeypatch):
    for name in ("a10.png", "a2.png", "b.jpg", "in/c.png"):
        touch(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [str(file) for file in find_images(["a*.png", "[b].jpg"])[0]] == ["a2.png", "a10.png", "b.jpg"]
    assert [str(file) for file in find_images(["**/c.png", "i?"])[0]] == ["in/c.png"]
    ((), (error,)) = find_images(["*.bmp"])
    assert "no file matches" in str(error)
    literal = touch(tmp_path / "x[1].png")
    touch(tmp_path / "x1.png")
    assert find_images([literal]) == ([literal], [])


def test_inputs_inside_the_output_folder_are_refused(tmp_path):
    inside, outside = touch(tmp_path / "out" / "a.png"), touch(tmp_path / "b.png")
    found, errors = find_images([tmp_path / "out", inside, tmp_path], exclude=tmp_path / "out")
    assert found == [outside]
    assert [error.source for error in errors] == [str(tmp_path / "out"), str(inside)]
    assert all("another output folder" in error.message for error in errors)


# --- fitting ---

SIZES = (4, 8, 16, 32)


def coordinates(height, width):
    return np.stack(np.broadcast_arrays(*np.ogrid[:height, :width], 0), axis=-1).astype(np.float32) / 1000


@pytest.mark.parametrize("mode", [None, "crop", "pad", "resize"])
def test_an_input_that_fits_is_left_alone(mode):
    pixels = coordinates(16, 16)
    fitted, notes = fit_low_res(pixels, 64, mode, sizes=SIZES)
    assert fitted is pixels and notes == ()


def test_a_misfit_names_size_and_remedies():
    with pytest.raises(ImageError) as caught:
        fit_low_res(coordinates(20, 10), 64, sizes=SIZES, source="face.png")
    assert str(caught.value) == (
        "face.png: the picture is 10x20; expected a square of 4x4, 8x8, 16x16, 32x32 for a generator of 64x64; "
        "use --fit resize (8x8) or --fit crop (8x8) or --fit pad (32x32)"
    )


@pytest.mark.parametrize(
    ("height", "width", "mode", "remedy"),
    [
        (40, 30, "pad", "--fit resize (16x16)"),
        (3, 3, "crop", "--fit pad (4x4)"),
        (3, 3, "resize", "--fit pad (4x4)"),
        (2, 90, "resize", "use another picture"),
    ],
)
def test_a_mode_that_cannot_help_says_which_does(height, width, mode, remedy):
    with pytest.raises(ImageError, match=f"--fit {mode} cannot help") as caught:
        fit_low_res(coordinates(height, width), 64, mode, sizes=SIZES)
    assert remedy in str(caught.value)


def test_crop_takes_the_centre():
    fitted, notes = fit_low_res(coordinates(21, 12), 64, "crop", sizes=SIZES)
    np.testing.assert_array_equal(fitted, coordinates(21, 12)[6:14, 2:10])
    assert notes == ("cropped from 12x21 to its centre 8x8",)


def test_pad_repeats_the_edges():
    pixels = coordinates(5, 8)
    fitted, notes = fit_low_res(pixels, 64, "pad", sizes=SIZES)
    np.testing.assert_array_equal(fitted, pixels[[0, 0, 1, 2, 3, 4, 4, 4]])
    assert notes == ("padded from 8x5 to 8x8 by repeating its edges",)


def test_resize_keeps_means_and_constants():
    ramp = np.linspace(0.1, 0.9, 24)[:, None, None] * np.ones((1, 24, 3))
    fitted, notes = fit_low_res(ramp, 64, "resize", sizes=SIZES)
    assert fitted.shape == (16, 16, 3) and fitted.dtype == np.float32
    np.testing.assert_allclose(fitted.mean(), ramp.mean(), atol=1e-3)
    assert (np.diff(fitted[:, 0, 0]) > 0).all()
    assert notes == ("resized from the centre of 24x24 to 16x16",)
    edge = (np.arange(24) > 11)[:, None, None] * np.ones((1, 24, 3))
    sharp = fit_low_res(edge, 64, "resize", sizes=SIZES)[0]
    assert sharp.min() >= 0 and sharp.max() <= 1


def test_resize_of_a_fitting_height_only_crops():
    pixels = coordinates(16, 20)
    np.testing.assert_array_equal(fit_low_res(pixels, 64, "resize", sizes=SIZES)[0], pixels[:, 2:18])


@pytest.mark.parametrize(
    "change",
    [{"sizes": ()}, {"sizes": (8, 4)}, {"sizes": (4, 12)}, {"pixels": np.zeros((8, 8))}],
    ids=str,
)
def test_wrong_arguments(change):
    arguments = {"pixels": np.zeros((8, 8, 3)), "resolution": 64, "sizes": SIZES} | change
    with pytest.raises(ValueError, match="expected") as caught:
        fit_low_res(**arguments)
    assert not isinstance(caught.value, ImageError)
