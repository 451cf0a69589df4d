"""Folders that a process of its own writes: whole, in order, or told; what is left however it or its parent ends."""

import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pytest

from pulse_jax.system.folder_process import FolderProcess, HeldFolder


def held(**files):
    folder = HeldFolder()
    for name, data in files.items():
        assert (folder / name).write_bytes(data) == len(data)
    return folder


def test_folders_appear_whole_and_are_told_in_order(tmp_path):
    told = []
    with FolderProcess() as process:
        for number in range(200):
            files = held(a=bytes([number]) * number, b=b"x" * 100_000 if number == 7 else b"")
            process.write(tmp_path / f".{number}", tmp_path / f"ü {number}", files, lambda n=number: told.append(n))
    assert told == list(range(200))
    assert sorted(os.listdir(tmp_path)) == sorted(f"ü {number}" for number in range(200))
    for number in range(200):
        folder = tmp_path / f"ü {number}"
        assert sorted(os.listdir(folder)) == ["a", "b"]
        assert (folder / "a").read_bytes() == bytes([number]) * number
        assert (folder / "b").stat().st_size == (100_000 if number == 7 else 0)
        assert (folder / "a").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def until_refused(process, path, message):
    """What was told before an error comes; folders are given until it does."""
    told = []
    with pytest.raises(OSError, match=message):
        for number in range(100_000):
            process.write(path / f".{number}", path / str(number), held(a=b"1" * 5000), lambda n=number: told.append(n))
    return told


def test_what_cannot_be_written_is_told_and_nothing_is_left_of_it(tmp_path):
    with FolderProcess() as process:
        process.write(tmp_path / ".a", tmp_path / "a", held(x=b"1"), lambda: None)
        for _ in range(1000):  # so that it comes to be before the limit does
            if (tmp_path / "a").exists():
                break
            time.sleep(0.01)
        resource.prlimit(process._process.pid, resource.RLIMIT_FSIZE, (4000, 4000))
        assert until_refused(process, tmp_path, "File too large") == []
    assert os.listdir(tmp_path) == ["a"]


def test_the_end_waits_for_failures_too(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(OSError, match="not empty"), FolderProcess() as process:
        process.write(tmp_path / ".a", tmp_path / "there", held(x=b"1"), lambda: None)
    assert os.listdir(tmp_path) == ["there"] and os.listdir(tmp_path / "there") == ["file"]


def test_a_process_that_was_killed_is_told(tmp_path):
    with FolderProcess() as process:
        process._process.kill()
        assert until_refused(process, tmp_path, r"ended by itself, exit code -9") == []
    assert os.listdir(tmp_path) == []


def test_an_interrupt_of_the_terminal_does_not_end_it(tmp_path):
    told = []
    with FolderProcess() as process:
        process.write(tmp_path / ".a", tmp_path / "a", held(x=b"1"), lambda: told.append(1))
        while not (tmp_path / "a").exists():
            time.sleep(0.01)
        process._process.send_signal(signal.SIGINT)
        process.write(tmp_path / ".b", tmp_path / "b", held(x=b"1"), lambda: told.append(2))
    assert told == [1, 2]


_PARENT = """
import os, pathlib, signal, sys
from pulse_jax.system.folder_process import FolderProcess, HeldFolder
home = pathlib.Path(sys.argv[1])
process = FolderProcess()
print(process._process.pid, flush=True)
folder = HeldFolder()
folder.files = {"a": b"1" * 100_000}
for number in range(20):
    process.write(home / f".{number}", home / str(number), folder, lambda: None)
process._messages.write(b"\\x03\\x00\\x00\\x00ab")  # as one that ends in the middle of a message
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_its_parent_and_leaves_no_half(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    words = [sys.executable, "-c", _PARENT, str(tmp_path)]
    parent = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=root, check=False)
    assert parent.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while _runs(int(parent.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    there = sorted(map(int, os.listdir(tmp_path)))
    assert there == list(range(len(there))) and len(there) >= 16  # a pipe and what is read ahead of it hold the rest
    assert all((tmp_path / str(number) / "a").stat().st_size == 100_000 for number in there)


def _runs(pid):
    """Whether that process still runs, and is no other one of the same number."""
    try:
        return b"folder_server" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
