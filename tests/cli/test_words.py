"""The words of a command line: what cannot be meant is told in one line, with what may be meant."""

import signal
import subprocess
import sys

import pytest

import pulse_jax
from tests.cli.fake_engine import draw, run, summary_of

SAID = [
    ("upsampel a.png", "unknown command upsampel; did you mean upsample?"),
    ("sutdy make a", "unknown command sutdy; did you mean study?"),
    ("study", "study: expected make or analyse, got nothing; --help lists all"),
    ("study mkae a", "study: expected make or analyse, got mkae; did you mean make?"),
    ("study --output o", "study: expected make or analyse, got --output; --help lists all"),
    ("study make a --otput o", "unknown option --otput; did you mean --output?"),
    ("upsample a.png --outptu o", "unknown option --outptu; did you mean --output?"),
    ("upsample a.png --out_put o", "unknown option --out-put; did you mean --output?"),
    ("info --zzzzz", "unknown option --zzzzz; --help lists all"),
    ("upsample a.png --output o --lanes foo", "--lanes: expected a whole number or auto, got 'foo'"),
    ("upsample a.png --output o --restarts few", "--restarts: expected a whole number, got 'few'"),
    ("upsample a.png --output=o --seed=1.5", "--seed: expected a whole number, got '1.5'"),
    ("upsample a.png --output o --eps small", "--eps: expected a number, got 'small'"),
    ("upsample a.png --output o --format jpg", "--format: expected png, webp or jpeg, got 'jpg'; did you mean jpeg?"),
    ("info --device cuda", "--device: expected cpu, gpu or tpu, got 'cuda'"),
    ("benchmark --lanes 1 2 x", "--lanes: expected a whole number, got 'x'"),
]


@pytest.mark.parametrize(("words", "told"), SAID, ids=[words for words, _ in SAID])
def test_one_line_says_what_was_not_meant(words, told, capsys):
    assert run(*words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"pulse-jax: {told}") and err.count("\n") == 1 and out == ""


def test_the_version_and_the_module(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"pulse-jax {pulse_jax.__version__}\n"
    done = subprocess.run([sys.executable, "-m", "pulse_jax", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"pulse-jax {pulse_jax.__version__}\n")


def test_a_reader_that_leaves_is_no_error():
    words = [sys.executable, "-m", "pulse_jax", "upsample", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait() == 128 + signal.SIGPIPE and process.stderr.read() == b""


def test_quiet_leaves_results_and_what_went_wrong(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    (inputs / "broken.png").write_text("no picture")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--quiet") == 1
    out, err = capsys.readouterr()
    assert "solutions are feasible" in out
    assert err.startswith("1 of 2 inputs failed:") and err.count("\n") == 2


def test_a_run_is_repeated_from_the_file_in_its_folder(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    first, again = tmp_path / "first", tmp_path / "again"
    words = ["--restarts", 2, "--seed", 7, "--eps", 0.5, "--no-sheets"]
    assert run("upsample", inputs, "--output", first, *words) == 0
    assert run("upsample", "--config", first / "run.toml", "--output", again) == 0
    one, other = summary_of(first), summary_of(again)
    for summary in (one, other):
        for entry in summary["inputs"][0]["solutions"]:
            del entry["command"]  # which names the folder
    assert one["settings"] == other["settings"] and one["inputs"] == other["inputs"]
    assert (first / "run.toml").read_bytes() == (again / "run.toml").read_bytes()
    # What is given beside the file counts.
    assert run("upsample", "--config", first / "run.toml", "--output", tmp_path / "third", "--seed", 8) == 0
    assert summary_of(tmp_path / "third")["seed"] == 8 and summary_of(tmp_path / "third")["restarts"] == 2
    draw(tmp_path / "other.png")
    words = ["upsample", tmp_path / "other.png", "--config", first / "run.toml", "--output", tmp_path / "fourth"]
    assert run(*words) == 0
    assert [entry["input"] for entry in summary_of(tmp_path / "fourth")["inputs"]] == [str(tmp_path / "other.png")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("restarts = ", "not a TOML file"),
        ("restart = 3", "unknown option --restart; did you mean --restarts?"),
        ("restarts = 'few'", "--restarts: expected a whole number, got 'few'"),
        ("diverse = 1", "diverse: expected true or false, got '1'"),
        ("[restarts]\nx = 1", "restarts: expected a value or a list of values, got a table"),
        ("[" * 5000, "not a TOML file"),
    ],
)
def test_a_file_of_options_that_cannot_be_used(fake, inputs, tmp_path, capsys, text, told):
    draw(inputs / "a.png")
    (tmp_path / "run.toml").write_text(text)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--config", tmp_path / "run.toml") == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_missing_file_of_options(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--config", tmp_path / "none.toml") == 2
    assert "none.toml: cannot be read (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["study", "--help"], ["study", "-h"]])
def test_help_of_two_words_is_on_the_commands_that_the_first_begins(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*words)
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and "study make" in shown and "study analyse" in shown and "upsample" not in shown
    with pytest.raises(SystemExit) as ended:
        run("study", "make", "--help")
    assert ended.value.code == 0 and "usage: pulse-jax study make " in capsys.readouterr().out
