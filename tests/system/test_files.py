"""Files: hashes of what they hold."""

import hashlib

import pytest

from pulse_jax.system.files import sha256_of


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5000])
def test_a_files_hash_is_that_of_its_bytes(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    assert sha256_of(tmp_path / "x", b"more", b"!") == hashlib.sha256(content + b"more!").hexdigest()


def test_a_missing_file_has_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "x")
