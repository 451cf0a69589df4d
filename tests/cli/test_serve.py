"""`serve` before it serves: what it refuses in a line, and what a visitor's request becomes."""

import socket

import pytest

from pulse_jax.cli import serve
from pulse_jax.cli.options.serve import Serve
from pulse_jax.web.request import Request
from tests.cli.fake_engine import draw, run


def test_without_gradio_it_says_how_to_get_it(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("serve", "--output", tmp_path / "served") == 1
    err = capsys.readouterr().err
    assert err == f"pulse-jax: serve needs Gradio: {serve._INSTALL}\n" and "pip install" in err
    assert not (tmp_path / "served").exists()


def test_a_port_or_a_folder_that_cannot_be_had_is_told(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("serve", "--output", tmp_path / "served", "--port", port) == 2
    assert f"--port {port}: 127.0.0.1 cannot be listened at" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    assert run("serve", "--output", tmp_path / "mine", "--port", 0) == 2
    assert "is not empty, and no server's" in capsys.readouterr().err
    assert run("serve", "--port", 65536) == 2
    assert capsys.readouterr().err == "pulse-jax: --port: expected 0 to 65535, got 65536\n"
    assert run("serve", "--label", 1) == 2
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    ("asked", "side", "expected"),
    [
        ({}, 4, {"restarts": 4, "input_size": 4, "eps": None}),
        ({}, 9, {"input_size": 2}),
        ({"input_size": 8, "eps": 0.5, "seed": 3}, 9, {"input_size": 8, "eps": 0.5, "seed": 3}),
        ({"face": True, "input_size": 8}, 9, {"input_size": None, "at": 8, "align": True, "largest": True}),
        ({"face": True}, 9, {"at": None, "align": True}),
        ({"preset": "bicubic"}, 4, {"restarts": None}),
    ],
)
def test_a_request_becomes_options_of_upsample(tmp_path, asked, side, expected):
    draw(tmp_path / "a.png", side)
    request = Request(**{"preset": "fast", **asked})
    found = serve._options(request, tmp_path / "a.png", tmp_path / "out", Serve(label=2), 16)
    found.check()
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.label == 2 and found.preset == request.preset and found.output == tmp_path / "out"


def test_a_picture_that_cannot_be_read_is_left_to_the_run_to_tell(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no")
    assert serve._suitable(tmp_path / "a.png", 16) == 2
