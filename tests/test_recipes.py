"""Each kind of change is one place: toys, added as tests/README.md says, searched through the command line and killed.

Whatever touches the tables happens in processes of their own.
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pulse_jax.images.files import save_png
from tests.cli.test_kills import assert_same_results

ROOT = pathlib.Path(__file__).parents[1]
TOYS = ("optimizer", "term", "presets", "family", "option", "method", "degradation")
ENVIRONMENT = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
GENERATOR = """
import jax, tests.toys.rows
from pulse_jax.generators.random_weights import random_generator
from tests.toys.family import ToyConfig
random_generator(ToyConfig(resolution=8, latent_dim=5, scales=(1, 2, 4), gain=0.5)).save("generator")
"""
# Searches that cannot succeed, long enough to be killed in the middle.
COMMAND = ["upsample", "in", "--generator", "generator", "--eps", "1e-12", "--steps", "30000", "--lanes", "2"]
COMMAND += ["--restarts", "3", "--word", "hello", "--seed", "2"]


def start(work, program, *words):
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=work, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )


def run(work, preset, output):
    program = "import sys, tests.toys.rows; from pulse_jax.cli import main; sys.exit(main())"
    return start(work, program, *COMMAND, "--preset", preset, "--output", output)


def ended(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("recipes")
    (work / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        save_png(work / "in" / f"{number}.png", rng.uniform(size=(2, 2, 3)))
    ended(start(work, GENERATOR))
    return work


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["toy", "toy_walk"])
def test_toys_of_every_kind_are_searched_with_killed_and_resumed(work, preset):
    whole, killed = work / f"{preset}_whole", work / f"{preset}_killed"
    assert "the word is hello" in ended(run(work, preset, whole.name))
    process = run(work, preset, killed.name)
    saved = killed / ".pulse-jax-state" / "searches" / "lanes_0.npz"
    deadline = time.monotonic() + 120
    while not saved.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not json.loads((killed / "summary.json").read_text())["finished"]
    assert "going on with the unfinished run" in ended(run(work, preset, killed.name))
    assert_same_results(killed, whole)

    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["preset"], summary["word"], summary["settings"]["word"]) == (preset, "hello", "hello")
    assert summary["generator"]["architecture"]["family"] == "toy"
    config = summary["config"]
    assert (config["loss"], config["degradation"]) == ("1*L2+0.5*FOURTH", "blocks")
    first = summary["inputs"][0]["solutions"][0]
    words = shlex.split(first["command"])
    assert words[words.index("--word") + 1] == "hello"
    assert first["evaluations"] == first["steps"] == 30000
    check_the_proof(whole, summary["inputs"])


def check_the_proof(folder, entries):
    """The delivered error is that of block means, in float64, of the files alone."""
    from PIL import Image

    for entry in entries:
        low = np.asarray(Image.open(folder / entry["solved"]), np.float64) / 255
        for solution in entry["solutions"]:
            high = np.asarray(Image.open(folder / solution["image"]), np.float64) / 255
            small = high.reshape(2, 4, 2, 4, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(solution["downscaling_error"], np.mean((small - low) ** 2), rtol=1e-6)


def test_recipes_name_files_that_exist():
    """The files that each recipe of tests/README.md sends a contributor to."""
    import re

    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    _, _, recipes = text.partition("kinds of change")
    named = set(re.findall(r"`((?:pulse_jax|convert|tests)/[\w/.]+?)`", recipes))
    assert {"pulse_jax/optimizers/registry.py", "pulse_jax/objectives/terms.py"} <= named
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []
