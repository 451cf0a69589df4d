"""Removing: only what lies where it seems to, and never behind a link."""

import pytest

from pulse_jax.system.removal import remove_file, remove_folder_if_empty, remove_tree


@pytest.fixture
def victim(tmp_path):
    folder = tmp_path / "victim" / "face"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    return tmp_path / "victim"


def test_nothing_behind_a_link_goes(tmp_path, victim):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(victim)
    assert not remove_tree(root, "link/face") and not remove_file(root, "link/face/mine.txt")
    assert not remove_tree(root, "link")
    remove_folder_if_empty(root, "link")
    assert (victim / "face" / "mine.txt").read_text() == "mine" and (root / "link").is_symlink()


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path, victim):
    root = tmp_path / "root"
    (root / "tree").mkdir(parents=True)
    (root / "tree" / "link").symlink_to(victim)
    (root / "file").symlink_to(victim / "face" / "mine.txt")
    assert remove_tree(root, "tree") and remove_file(root, "file")
    assert list(root.iterdir()) == [] and (victim / "face" / "mine.txt").exists()


def test_what_is_not_there_is_gone_already(tmp_path):
    assert remove_file(tmp_path, "a/b") and remove_tree(tmp_path, "a")
    remove_folder_if_empty(tmp_path, "a")


def test_a_folder_is_no_file_and_a_full_one_is_not_empty(tmp_path, victim):
    assert not remove_file(tmp_path, "victim/face") and not remove_tree(tmp_path, "victim/face/mine.txt")
    remove_folder_if_empty(tmp_path, "victim/face")
    assert (victim / "face" / "mine.txt").exists()


@pytest.mark.parametrize("name", ["", "../victim", "a/../../victim", "/etc", "a\0b"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    for remove in (remove_file, remove_tree, remove_folder_if_empty):
        with pytest.raises(ValueError, match="name: expected one below the folder"):
            remove(tmp_path, name)
