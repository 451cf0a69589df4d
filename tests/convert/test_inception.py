"""Inception's file: read from torch's files as its program writes them, refused by name."""

import numpy as np
import pytest

from convert import CheckpointError, read_inception
from pulse_jax.generators.networks import inception
from tests.convert import hostile
from tests.inception_weights import network_of, state_of

CLASSIFIER = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.ones(3, np.float32)}


@pytest.fixture
def state(monkeypatch):
    """Arrays of a network with the layers' names and few channels, which is taken for a whole one."""
    shapes = {name: (*shape[:2], 2, 3) for name, shape in inception.layer_shapes().items()}
    monkeypatch.setattr(inception, "layer_shapes", lambda: shapes)
    return state_of(shapes)


def _write(path, arrays, legacy=False):
    file = hostile.Torch()
    tensors = {
        key: file.tensor(value, legacy=legacy) if isinstance(value, np.ndarray) else value
        for key, value in arrays.items()
    }
    path.write_bytes(file.legacy(tensors) if legacy else file.zip(tensors))
    return path


@pytest.mark.parametrize("legacy", [True, False])
def test_the_programs_file_is_read(legacy, state, tmp_path):
    found = read_inception(_write(tmp_path / "inception.pth", state | CLASSIFIER, legacy))
    expected = network_of(state)
    assert list(found) == list(expected)
    for name, layer in expected.items():
        for ours, theirs in zip(found[name], layer, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs)


KEY = "Mixed_6b.branch7x7_2.conv.weight"
REFUSED = {
    "missing": (lambda s: {k: v for k, v in s.items() if k != KEY}, rf"'{KEY}' of shape \(3, 2, 1, 7\) is missing"),
    "unknown": (
        lambda s: s | {"AuxLogits.fc.weight": np.ones((2, 3), np.float32)},
        r"'AuxLogits\.fc\.weight' of shape",
    ),
    "another shape": (lambda s: s | {KEY: np.ones((3, 2, 7, 1), np.float32)}, r"expected shape \(3, 2, 1, 7\)"),
    "integers": (lambda s: s | {KEY: np.ones((3, 2, 1, 7), np.int64)}, "expected floating point numbers"),
    "NaN": (lambda s: s | {"Conv2d_1a_3x3.bn.bias": np.full(3, np.nan, np.float32)}, "holds NaN"),
    "variances": (lambda s: s | {"Conv2d_1a_3x3.bn.running_var": -np.ones(3, np.float32)}, "negative variances"),
    "an object": (
        lambda s: s | {KEY: hostile.Call(hostile.G("os", "system"), ("touch canary",))},
        rf"'{KEY}' is not an array but os\.system",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case, state, tmp_path):
    change, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=rf"inception\.pth: .*{message}") as error:
        read_inception(_write(tmp_path / "inception.pth", change(state)))
    assert "\n" not in str(error.value) and len(str(error.value)) < 700
