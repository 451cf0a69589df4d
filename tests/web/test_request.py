"""What may be asked for: ranges, kinds, names of uploads."""

import pytest

from pulse_jax.runs.names import is_input_name
from pulse_jax.system.errors import UsageError
from pulse_jax.web.request import Offer, Request, picture_name

OFFER = Offer(presets=["fast", "pulse"], sizes=[2, 4, 8], size=16, finds_faces=False)


def test_what_is_left_out_is_as_by_default():
    assert Request.of({}, OFFER) == Request(preset="fast", restarts=4, seed=0)
    given = {"preset": "pulse", "restarts": 7.0, "seed": 2**32 - 1, "eps": "5e-4", "input_size": 8}
    assert Request.of(given, OFFER) == Request(preset="pulse", restarts=7, seed=2**32 - 1, eps=5e-4, input_size=8)
    assert Request.of({"eps": ""}, OFFER).eps is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"preset": "<b>"}, "preset: expected one of fast, pulse, got '<b>'"),
        ({"preset": ["fast"]}, "preset: expected one of"),
        ({"restarts": 0}, "restarts: expected a whole number from 1 to 32, got 0"),
        ({"restarts": 33}, "restarts: expected"),
        ({"restarts": 1.5}, "restarts: expected"),
        ({"restarts": True}, "restarts: expected"),
        ({"restarts": "4"}, "restarts: expected"),
        ({"restarts": float("nan")}, "restarts: expected"),
        ({"restarts": None}, "restarts: expected"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed: expected"),
        ({"eps": 0}, "eps: expected a mean squared error in (0, 1]"),
        ({"eps": 1.1}, "eps: expected"),
        ({"eps": float("nan")}, "eps: expected"),
        ({"eps": "much"}, "eps: expected a mean squared error in (0, 1], or nothing, got much"),
        ({"eps": [1]}, "eps: expected"),
        ({"input_size": 16}, "input size: expected one of 2, 4, 8, or none, got 16"),
        ({"input_size": [8]}, "input size: expected"),
        ({"face": True}, "faces: this server cannot find any"),
    ],
)
def test_anything_else_is_refused_in_a_line(values, text):
    with pytest.raises(UsageError) as refused:
        Request.of(values, OFFER)
    assert text in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("/elsewhere/x/face.png", "face.png"),
        ("C:\\photos\\me.jpg", "me.jpg"),
        ("face", "face"),
        ("../../etc/passwd", "passwd"),
        ("..", "picture"),
        (".hidden.png", "picture.png"),
        (".pulse-jax-state.png", "picture.png"),
        ("summary.json.png", "picture.png"),
        ("a" * 300 + ".png", "a" * 60 + ".png"),
        ("a\0b\n.png", "ab.png"),
        ("face.<svg onload=x>", "face"),
        ("", "picture"),
    ],
)
def test_uploads_get_names_that_results_can_carry(given, name):
    found = picture_name(given)
    assert found == name and "/" not in found and is_input_name(found.partition(".")[0])
