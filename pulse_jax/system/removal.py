"""Removing files: the one place that does, and only what lies where it seems to lie.

A folder may come from a stranger. Names are taken from a folder that is given, one by one; where one of them is a link,
nothing is removed, since what it leads to belongs to somebody else.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

__all__ = ["is_plain_folder", "remove_file", "remove_folder_if_empty", "remove_tree"]


def is_plain_folder(path: Path) -> bool:
    """Return whether a path itself is a folder, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def remove_file(root: Path, name: str) -> bool:
    """Remove a file, or a link in its place; nothing where there is none.

    Args:
        root: Folder that is taken as it is.
        name: Name of the file below it, `/` between folders.

    Returns:
        Whether it is gone; not where it is a folder, or a link lies on the way.

    Raises:
        OSError: There is no permission, or the like.
    """
    place = _below(root, name)
    if place is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        if is_plain_folder(place):
            return False
        place.unlink()
    return True


def remove_tree(root: Path, name: str) -> bool:
    """Remove a folder with all that lies in it; links in it go, what they lead to stays.

    Args:
        root: Folder that is taken as it is.
        name: Name of the folder below it, `/` between folders.

    Returns:
        Whether it is gone; not where it is something else, or a link lies on the way.

    Raises:
        OSError: There is no permission, or the like.
    """
    place = _below(root, name)
    if place is None or not os.path.lexists(place):
        return place is not None
    if not is_plain_folder(place):
        return False
    shutil.rmtree(place)
    return True


def remove_folder_if_empty(root: Path, name: str) -> None:
    """Remove a folder that holds nothing, and no link in its place."""
    place = _below(root, name)
    if place is not None and is_plain_folder(place):
        with contextlib.suppress(OSError):
            place.rmdir()


def _below(root: Path, name: str) -> Path | None:
    """The place of a name, if every folder on the way to it is one; None else."""
    *folders, last = _parts(name)
    place = root
    for folder in folders:
        place = place / folder
        if os.path.lexists(place) and not is_plain_folder(place):
            return None
    return place / last


def _parts(name: str) -> Iterable[str]:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in name:
        raise ValueError(f"name: expected one below the folder, got {name!r:.80}")
    return parts
