"""The programs that teach run as they stand, and do what they say; each has at most 40 lines."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "quickstart"
PROGRAMS = sorted(FOLDER.glob("*.py"))


def output_of(name, work, *words):
    # As a user runs it: without the suite's settings of the compiler.
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(FOLDER.parents[1]), "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, str(FOLDER / f"{name}.py"), *words]
    done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def picture(path):
    return np.asarray(Image.open(path), np.float64) / 255


def test_there_are_seven_of_at_most_forty_lines():
    assert len(PROGRAMS) == 7
    assert {path.stem: count for path in PROGRAMS if (count := len(path.read_text().splitlines())) > 40} == {}


def test_own_optimizer(tmp_path):
    told = output_of("own_optimizer", tmp_path)
    last = re.findall(r"([\d.]+) after 256 steps", told)
    assert len(last) == 2 and all(float(angle) < 2 for angle in last)


def test_optimizers_alone(tmp_path):
    told = output_of("optimizers_alone", tmp_path)
    errors = dict(re.findall(r"(\w+): [\d.]+ ms a matrix, eigenvalues within ([\de.-]+)", told))
    assert errors.keys() == {"pulse_jax", "pymanopt"} and all(float(error) < 1e-5 for error in errors.values())


def test_own_generator(tmp_path):
    told = output_of("own_generator", tmp_path)
    assert int(re.search(r"(\d) of 7 are feasible", told).group(1)) >= 1
    assert picture(tmp_path / "quickstart-output" / "own_generator.png").ndim == 3


@pytest.mark.slow
def test_one_picture(tmp_path):
    told = output_of("one_picture", tmp_path, "--output", "here")
    assert told.count("feasible") == 4
    pictures = [picture(tmp_path / "here" / f"one_picture_{number}.png") for number in range(1, 5)]
    assert {one.shape for one in pictures} == {(64, 64, 3)}
    assert min(np.abs(pictures[0] - other).max() for other in pictures[1:]) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        (
            "a_folder",
            ["a_folder.png", *(f"a_folder/head_{i}_{k}.png" for i in range(1, 9) for k in (1, 2))],
            "restart 1",
        ),
        ("many_diverse", ["many_diverse.png"], "the four most different"),
        (
            "stream_with_resume",
            [f"stream_with_resume/head_{i}_{k}.png" for i in range(1, 5) for k in (1, 2, 3)],
            "12 of 12",
        ),
    ],
)
def test_streams_of_searches(name, written, said, tmp_path):
    told = output_of(name, tmp_path)
    assert said in told
    for file in written:
        assert picture(tmp_path / "quickstart-output" / file).ndim == 3
    assert not (tmp_path / "quickstart-output" / "stream_with_resume" / "searches").exists()
