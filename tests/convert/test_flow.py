"""The flow of SRLS's program: its own files and numbers, and refusals in one line."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert import CheckpointError, convert_flow, read_flow
from convert.source import read_source
from pulse_jax.cli import main
from pulse_jax.generators.generator import load_generator
from pulse_jax.generators.priors.flow import forward, inverse, log_prob
from tests.convert import hostile
from tests.golden_weights import GOLDENS, load
from tests.tiny_networks import searchable_generator, tiny_generator

PLACE = GOLDENS / "methods" / "flow"
FILES = [PLACE / "best_model.pth", PLACE / "wlatent_face1024.pkl"]


@pytest.fixture
def folder(tmp_path):
    searchable_generator().save(tmp_path / "generator", source="a test")
    return tmp_path / "generator"


def test_its_numbers_are_the_programs():
    golden, flow = jax.tree.map(jnp.asarray, load("methods/flow/expected")), read_flow(FILES)
    assert flow.is_srls
    u, log_det = forward(flow, golden["w"])
    np.testing.assert_allclose(u, golden["u"], atol=1e-5)
    # The program's determinant and density are those of standardised w.
    constant = np.log(flow.std).sum()
    np.testing.assert_allclose(log_det + constant, golden["log_det"], atol=1e-5)
    np.testing.assert_allclose(log_prob(flow, golden["w"]) + constant, golden["log_prob"], atol=1e-4)
    np.testing.assert_allclose(inverse(flow, golden["u"]), golden["w"], atol=1e-4)


def test_the_files_may_come_in_any_order():
    for one, other in zip(jax.tree.leaves(read_flow(FILES)), jax.tree.leaves(read_flow(FILES[::-1])), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_on_the_command_line_a_folder_gets_it(folder, capsys):
    words = ["convert", "--flow", *map(str, FILES), str(folder)]
    assert main(words) == 0
    assert f"flow of SRLS's program in {folder}" in capsys.readouterr().out
    generator = load_generator(folder)
    before = searchable_generator()
    for one, other in zip(jax.tree.leaves(generator.flow), jax.tree.leaves(read_flow(FILES)), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(jax.tree.leaves(generator.params), jax.tree.leaves(before.params), strict=True):
        np.testing.assert_array_equal(one, other)
    assert main(words) == 1
    assert "holds a flow already; --overwrite replaces it" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_a_flow_of_another_width_is_refused(tmp_path):
    tiny_generator("stylegan2-16").save(tmp_path / "generator")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="a flow of width 8, the generator's w has 7"):
        convert_flow(FILES, tmp_path / "generator")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def _arrays():
    arrays = read_source(FILES[0]).networks["model"]
    return {key: np.array(array) for key, array in arrays.items()}


def _without(*keys):
    return lambda a: {key: a[key] for key in a if key not in keys}


def _changed(key, change):
    return lambda arrays: arrays | {key: change(arrays[key])}


REFUSED = {
    "a missing bias": (_without("6.trunk.1.linear.bias"), r"'6\.trunk\.1\.linear\.bias' of shape \(16,\) is missing"),
    "a missing block": (
        lambda a: {key: a[key] for key in a if not key.startswith(("3.", "4."))},
        "its blocks are at 0, 6, 9, 12, expected every third module",
    ),
    "another layer": (lambda a: a | {"0.cond.weight": np.ones(3, np.float32)}, r"'0\.cond\.weight' is unknown"),
    "another width": (_changed("1.beta", lambda x: x[:-1]), r"'1\.beta': expected shape \(8,\)"),
    "integers": (_changed("1.beta", lambda x: x.astype(np.int64)), "expected floating point numbers, got int64"),
    "another order": (_changed("3.joiner.mask", lambda x: x[::-1].copy()), r"'3\.joiner\.mask' is not that of"),
    "NaN": (_changed("4.beta", lambda x: x * np.nan), r"'4\.beta' holds NaN"),
    "no variance": (_changed("7.running_var", lambda x: 0 * x), r"'7\.running_var' is not positive"),
    "huge gains": (_changed("7.log_gamma", lambda x: x + 500), r"'7\.log_gamma' holds huge values"),
    "no flow": (lambda a: {"w": np.ones(3, np.float32)}, r"the state dict of its flow .* is there nowhere"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case, folder, tmp_path):
    change, message = REFUSED[case]
    file = hostile.Torch()
    path = tmp_path / "bad.pth"
    path.write_bytes(file.zip({"model": {key: file.tensor(value) for key, value in change(_arrays()).items()}}))
    with pytest.raises(CheckpointError, match=rf"bad\.pth.*{message}") as error:
        convert_flow([path, FILES[1]], folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 900
    assert load_generator(folder).flow is None


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mu": np.zeros(8), "std": np.zeros(8)}, "'std' is not positive everywhere"),
        ({"mu": np.zeros(7), "std": np.ones(8)}, r"'mu' and 'std' have shapes \(7,\) and \(8,\)"),
        ({"mu": np.zeros(8), "spread": np.ones(8)}, r"the mean and spread of w .* is there nowhere"),
    ],
)
def test_statistics_are_checked(statistics, message, tmp_path):
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps(statistics))
    with pytest.raises(CheckpointError, match=message):
        read_flow([FILES[0], path])
    with pytest.raises(CheckpointError, match="is there 2 times"):
        read_flow([FILES[0], FILES[0], FILES[1]])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--flow", "a", "b"], "--flow: expected two files and a generator folder, got 2 paths"),
        (["--flow", "--inspect", "a", "b", "c"], "--inspect: has no meaning with --flow"),
        (["--flow", "--perceptual", "a", "b", "c"], "--flow: has no meaning with --perceptual"),
    ],
)
def test_wrong_usage_is_one_line(words, text, capsys):
    assert main(["convert", *words]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1
