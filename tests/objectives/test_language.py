"""The loss language."""

import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import pulse_jax.objectives.language
from pulse_jax.objectives.language import LossTerm, parse_loss
from pulse_jax.objectives.terms import TERMS

FLOAT32_MAX = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100*L2+0.05*GEOCROSS", [("L2", 100.0), ("GEOCROSS", 0.05)]),
        ("L2", [("L2", 1.0)]),
        ("L1 + 2*L2", [("L1", 1.0), ("L2", 2.0)]),
        (" 1 * L1\t+\n.5*GEOCROSS ", [("L1", 1.0), ("GEOCROSS", 0.5)]),
        ("0*GEOCROSS+3.*L1", [("GEOCROSS", 0.0), ("L1", 3.0)]),
        ("1e+2*L2+5E-3*GEOCROSS+1e2*L1", [("L2", 100.0), ("GEOCROSS", 0.005), ("L1", 100.0)]),
        ("3.4028234e38*L2", [("L2", 3.4028234e38)]),
    ],
)
def test_reads(text, expected):
    assert parse_loss(text) == tuple(LossTerm(name, weight) for name, weight in expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected terms from L2, L1, MAE.*got '' in ''"),
        ("   ", "expected terms from L2, L1, MAE"),
        ("L2+", "expected terms from .*got '' in"),
        ("+L2", "expected terms from .*got '' in"),
        ("L2++L1", "expected terms from .*got '' in"),
        ("100*", "expected terms from .*got '' in"),
        ("100", "expected terms from .*got '100'"),
        ("100*FFT", "expected terms from L2, L1, MAE.*got 'FFT' in '100\\*FFT'"),
        ("100*l2", "expected terms from .*got 'l2'"),
        ("L2*100", "expected terms from .*got '100'"),
        ("100*L2-1*L1", "expected terms from .*got 'L2-1\\*L1'"),
        ("*L2", "weight .* for L2, got ''"),
        ("nan*L2", "weight .* for L2, got 'nan' in 'nan\\*L2'"),
        ("inf*L2", "weight .* for L2, got 'inf'"),
        ("1e400*L2", "weight .* for L2, got '1e400' in"),
        ("1e39*L2", "weight .* for L2, got '1e39'"),
        ("-1*L2", "weight .* for L2, got '-1'"),
        ("1_000*L2", "weight .* for L2, got '1_000'"),
        ("0x10*L2", "weight .* for L2, got '0x10'"),
        ("1.2.3*L2", "weight .* for L2, got '1.2.3'"),
        ("1e*L2", "weight .* for L2, got '1e'"),
        ("2*3*L2", "expected terms from .*got '3\\*L2'"),
        ("٣*L2", "weight .* for L2, got '٣'"),
        ("1 0*L2", "weight .* for L2, got '1 0'"),
        ("__import__('os').getcwd()*L2", "weight .* for L2, got .__import__"),
        ("L2+GEOCROSS+2*L2", "each term once, got L2 repeated in"),
    ],
)
def test_refuses_by_name(text, complaint):
    with pytest.raises(ValueError, match=f"^loss: expected .*{complaint.removeprefix('expected ')}"):
        parse_loss(text)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), 2 * FLOAT32_MAX])
def test_a_term_itself_refuses_bad_weights(weight):
    with pytest.raises(ValueError, match=r"^loss: expected a weight of 0 to 3\.4e38 for L1, got"):
        LossTerm("L1", weight)


def test_a_term_itself_refuses_unknown_names(unchecked):
    with pytest.raises(ValueError, match=r"^loss: expected terms from L2, L1, MAE, .*got 'FFT'"):
        LossTerm("FFT", 1.0)


def written(terms):
    return "+".join(f"{term.weight!r}*{term.name}" for term in terms)


@given(
    names=st.lists(st.sampled_from(list(TERMS)), min_size=1, unique=True),
    weights=st.lists(st.floats(0, FLOAT32_MAX), min_size=len(TERMS), max_size=len(TERMS)),
)
def test_round_trip(names, weights):
    terms = tuple(LossTerm(name, weight) for name, weight in zip(names, weights, strict=False))
    assert parse_loss(written(terms)) == terms


@given(st.text(alphabet="L12GEOCRS*+.eE- \t0nainf", max_size=30))
def test_reads_or_refuses_whatever_it_is_given(text):
    try:
        terms = parse_loss(text)
    except ValueError as error:
        assert str(error).startswith("loss: expected ")
    else:
        assert parse_loss(written(terms)) == terms


def test_needs_the_standard_library_only():
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); "
        "sys.exit(bool({'jax', 'numpy', 'jaxtyping'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, pulse_jax.objectives.language.__file__], check=False).returncode
        == 0
    )
