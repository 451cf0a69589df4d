"""Shards: how they are written, and that every input falls into one of them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.runs.shards import Shard

HASHES = st.binary(max_size=8).map(lambda content: hashlib.sha256(content).hexdigest())


@given(HASHES, st.integers(1, 50))
def test_every_input_falls_into_exactly_one(sha256, count):
    holding = [number for number in range(1, count + 1) if Shard(number, count).holds(sha256)]
    assert holding == [int(sha256, 16) % count + 1]


@given(st.integers(1, 10**9 - 1), st.data())
def test_what_is_written_is_read(count, data):
    number = data.draw(st.integers(1, count))
    assert Shard.parse(f"{number}/{count}") == Shard(number, count) and str(Shard(number, count)) == f"{number}/{count}"


@pytest.mark.parametrize(
    "text",
    ["", "1", "/", "0/2", "3/2", "1/0", "-1/2", "01/2", "1/2/3", " 1/2", "1/2\n", "a/b", "1.0/2", "١/٢", "1 / 2"],
)
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="expected I/N with whole numbers 1 <= I <= N"):
        Shard.parse(text)


def test_shards_are_about_as_large_as_each_other():
    hashes = [hashlib.sha256(bytes([a, b])).hexdigest() for a in range(40) for b in range(40)]
    sizes = [sum(Shard(number, 4).holds(one) for one in hashes) for number in range(1, 5)]
    # 1,600 inputs: four standard deviations of a fair split are 69.
    assert sum(sizes) == 1600 and all(abs(size - 400) < 69 for size in sizes)
