"""A run that is killed, whenever, goes on when the same command is given again, and ends with the same files."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pulse_jax.images.files import save_png
from pulse_jax.system.devices import usable_cores
from tests.tiny_networks import tiny_generator

INPUTS, RESTARTS = 2, 3
# Searches that cannot succeed, so that there is always one under way.
COMMAND = ["upsample", "in", "--generator", "generator", "--eps", "1e-9", "--steps", "1500", "--lanes", "2"]
COMMAND += ["--restarts", str(RESTARTS)]
ENVIRONMENT = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
ENVIRONMENT |= {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with inputs, a generator, and the results of a run that nobody disturbed."""
    work = tmp_path_factory.mktemp("kills")
    tiny_generator("stylegan2-4", contrast=0.1).save(work / "generator")
    (work / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(INPUTS):
        save_png(work / "in" / f"{number}.png", rng.uniform(size=(2, 2, 3)))
    done = start(work, "whole")
    assert done.wait(300) == 0, done.stderr.read()
    done.stderr.close()
    # Compiled programs are kept for the next run, where nobody else can put others.
    cache = work / "cache" / "pulse-jax" / "compiled"
    assert list(cache.iterdir()) and cache.stat().st_mode & 0o777 == 0o700
    return work


def start(work, output, *words, prelude=""):
    """The command, as a process of its own."""
    program = f"{prelude}\nimport sys; from pulse_jax.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", program, *COMMAND, "--output", output, *words]
    environment = ENVIRONMENT | {"XDG_CACHE_HOME": str(work / "cache")}
    return subprocess.Popen(words, cwd=work, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def listing(path):
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())


def assert_same_results(ours, theirs):
    assert listing(ours) == listing(theirs)
    for name in listing(ours):
        one, two = ours / name, theirs / name
        if name.endswith(".npz"):
            with np.load(one) as a, np.load(two) as b:
                assert set(a) == set(b)
                for key in a:
                    np.testing.assert_array_equal(a[key], b[key])
        elif name == "index.html":
            a, b = (file.read_text().replace(f"{out}/", "OUT/") for file, out in ((one, ours), (two, theirs)))
            assert a == b
        elif name.endswith(".json"):
            a = json.loads(one.read_text().replace(f"{ours}/", "OUT/"))
            b = json.loads(two.read_text().replace(f"{theirs}/", "OUT/"))
            assert {**a, "speed": None} == {**b, "speed": None}
        else:
            assert one.read_bytes() == two.read_bytes()


def kept(out):
    """Searches that are on disk."""
    finished = len([*out.glob("*/solutions.json")])
    return len([*out.glob(".pulse-jax-state/inputs/*/*.npz")]) + RESTARTS * finished


@pytest.mark.slow
def test_killed_again_and_again(work):
    out = work / "killed"
    written = {}
    kills = before = 0
    while kills < 4 and before < INPUTS * RESTARTS - 2:
        process = start(work, out.name)
        if kills == 0:
            wait_for((out / ".pulse-jax-state" / "searches" / "lanes_0.npz").exists, process)
        else:
            wait_for(functools.partial(has_more, out, before), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        kills += 1
        # What was there is kept, and not written again.
        for path, stamp in written.items():
            assert path.stat().st_mtime_ns == stamp
        written = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*/*")}
        before = kept(out)
    assert kills >= 3
    process = start(work, out.name)
    assert process.wait(300) == 0, process.stderr.read()
    process.stderr.close()
    assert_same_results(out, work / "whole")


def has_more(out, before):
    return kept(out) > before


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=lambda number: number.name,
)
def test_a_signal_saves_and_says_how_to_go_on(work, number):
    out = work / number.name
    process = start(work, number.name)
    wait_for((out / ".pulse-jax-state" / "searches" / "lanes_0.npz").exists, process)
    process.send_signal(number)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number
    assert "Stopping; once more" in told and "The same command goes on from here." in told
    assert not json.loads((out / "summary.json").read_text())["finished"]
    names = []
    for path in (out / ".pulse-jax-state" / "searches").glob("lanes_*.npz"):
        with np.load(path) as saved:
            names += list(saved["names"])
    assert len(names) == len({*names}) == min(2, usable_cores())
    process = start(work, number.name)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and "going on with the unfinished run" in told
    assert_same_results(out, work / "whole")


# Kills the process when it is about to remove the third of an earlier run's files.
KILLED_REMOVING = """
import os, signal, sys
removed = 0
def count(event, arguments):
    global removed
    if event == "os.remove" and str(arguments[0]).startswith("replaced/") and "pulse-jax-" not in str(arguments[0]):
        removed += 1
        if removed == 3:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
"""


@pytest.mark.slow
def test_killed_while_it_replaces_an_earlier_run(work):
    out = work / "replaced"
    shutil.copytree(work / "whole", out)
    (out / "2").mkdir()
    (out / "2" / "input.png").write_text("of an input that is no more")
    summary = json.loads((out / "summary.json").read_text())
    summary["files"].append("2/input.png")
    (out / "summary.json").write_text(json.dumps(summary))
    before = listing(out)
    process = start(work, out.name, "--overwrite", prelude=KILLED_REMOVING)
    assert process.wait(300) == -signal.SIGKILL, process.stderr.read()
    process.stderr.close()
    assert len(set(before) - set(listing(out))) == 2
    process = start(work, out.name, "--overwrite")
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and "going on with the unfinished run" in told
    assert_same_results(out, work / "whole")


@pytest.mark.slow
def test_a_vanished_output_folder_stops_the_run_in_one_line(work):
    process = start(work, "vanished")
    out = work / "vanished"
    wait_for((out / ".pulse-jax-state" / "searches" / "lanes_0.npz").exists, process)
    shutil.rmtree(out, ignore_errors=True)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    (line,) = [line for line in told.splitlines() if line.startswith("pulse-jax:")]
    assert "vanished: cannot be written to" in line and "Traceback" not in told
