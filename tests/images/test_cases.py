"""Cases of an evaluation: chains with their factors, and what of them a search may know."""

import pytest

from pulse_jax.images.degradations.cases import Case, cases_of


def test_every_degradation_at_every_factor_once():
    cases = cases_of([8, 16, 8], ["bicubic", "motion(100) | bicubic|gaussian(25)", "bicubic"])
    assert [case.name for case in cases] == ["8x", "8x-motion-100-gaussian-25", "16x", "16x-motion-100-gaussian-25"]
    assert cases[1].chain == "motion(100)|bicubic(8)|gaussian(25)"
    assert [case.is_disturbed for case in cases] == [False, True] * 2
    assert cases[3].title == "16×, motion(100)|bicubic|gaussian(25)" and cases[0].title == "8×"


def test_names_differ_where_chains_do():
    names = [case.name for case in cases_of([4], ["blur(1)|bicubic", "bicubic|blur(1)"])]
    assert names == ["4x-blur-1", "4x-blur-1-2"]


def test_what_is_known_is_linear():
    assert cases_of([8], ["blur(2)|bicubic|gaussian(25)|jpeg(50)"])[0].known == "blur(2)|bicubic"
    assert Case(8, "bicubic", "8x").known == "bicubic"
    with pytest.raises(ValueError, match=r"motion\(length, degrees\)"):
        _ = cases_of([8], ["motion(100)|bicubic"])[0].known


@pytest.mark.parametrize("text", ["gaussian(25)", "bicubic(8)", "bicubic|area", "sharpen|bicubic", ""])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="expected"):
        cases_of([8], [text])
