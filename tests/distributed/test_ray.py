"""A real cluster of two machines of one core each, whose workers are killed: nothing is lost, doubled or changed."""

import collections
import contextlib
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pulse_jax.images.files import save_png
from tests.cli.test_kills import assert_same_results
from tests.layers import ROOT
from tests.tiny_networks import searchable_generator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray"),
    pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="finds workers in /proc"),
]
INPUTS = 12
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
PROGRAM = "import sys; from pulse_jax.cli import main; sys.exit(main())"
DATASET = """
import sys
import ray
from pulse_jax.distributed import upsample_dataset
from pulse_jax.search.presets import PRESETS

home, address, output = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
ray.data.DataContext.get_current().enable_progress_bars = False
rows = ray.data.read_binary_files(f"{home}/in", include_paths=True)
config = PRESETS["pulse"](eps=1e-9, steps=STEPS)
found = upsample_dataset(
    rows, id="path", image="bytes", generator=f"{home}/generator", config=config, restarts=2, workers=2, cores=1,
    batch_size=3,
)
print("ready", flush=True)
found.write_parquet(output)
"""
# Searches that cannot succeed, and take as long as each other.
STEPS = 400
WORDS = ["upsample", "in", "--generator", "generator", "--preset", "pulse", "--eps", "1e-9", "--steps", STEPS]
WORDS += ["--restarts", 2]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "RAY_USAGE_STATS_ENABLED": "0"}


def start(home, *words, **more):
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", *map(str, words)]
    return subprocess.Popen(words, cwd=home, env=environment() | more, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ended(process, code=0):
    out, told = process.communicate(timeout=300)
    assert process.returncode == code, told
    return out + told


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A generator, inputs, one of which is no picture, and what one process finds."""
    home = tmp_path_factory.mktemp("ray")
    searchable_generator().save(home / "generator")
    (home / "in").mkdir()
    for seed in range(INPUTS):
        save_png(home / "in" / f"{seed:02}.png", np.random.default_rng(seed).random((4, 4, 3)))
    (home / "in" / "bad.png").write_bytes(b"nothing")
    ended(start(home, PROGRAM, *WORDS, "--output", "alone"), 1)
    return home


@pytest.fixture(scope="module")
def address(home):
    process = start(home, CLUSTER)
    yield process.stdout.readline().strip()
    process.communicate(timeout=60)


def workers(kind):
    """The processes that Ray has named after an actor at work, of this test's clusters and of others."""
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if re.match(rf"ray::.*\b{kind}\b.*\.(solve|submit)", place.read_bytes().decode(errors="replace")):
                found.append(int(place.parent.name))
    return found


def until(condition, process, seconds=120):
    """Wait for a condition while a process runs."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_a_run_whose_workers_are_killed_ends_as_one_process_does(home, address):
    out = home / "killed"
    process = start(home, PROGRAM, *WORDS, "--output", "killed", "--ray", address)
    until(lambda: [*out.glob("*/solutions.json")], process)
    victims = until(lambda: workers("StreamWorker")[1:], process)
    os.kill(victims[0], signal.SIGKILL)
    told = ended(process, 1)
    assert told.count("a worker was lost") == 1 and "1 of 13 inputs failed" in told
    assert_same_results(out, home / "alone")
    count = collections.Counter(re.findall(r"^(\d\d)\.png: 0 of 2", told, re.MULTILINE))
    assert len(count) == INPUTS and set(count.values()) == {1}


def test_an_interrupted_run_goes_on_on_workers_and_without(home, address):
    out, told = home / "interrupted", []
    for words, code in ((["--ray", address], 130), ([], 1)):
        process = start(home, PROGRAM, *WORDS, "--output", "interrupted", *words)
        if code == 130:
            until(lambda: [*out.glob("*/solutions.json")], process)
            process.send_signal(signal.SIGINT)
        told.append(ended(process, code))
    assert "The same command goes on from here." in told[0] and "going on with the unfinished run" in told[1]
    assert_same_results(out, home / "alone")
    count = collections.Counter(re.findall(r"^(\d\d)\.png: 0 of 2", "".join(told), re.MULTILINE))
    assert len(count) == INPUTS and set(count.values()) == {1}


def test_a_worker_that_would_find_other_bits_is_refused(home, address):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_fast_min_max=false"
    process = start(home, PROGRAM, *WORDS, "--output", "other", "--ray", address, XLA_FLAGS=flags)
    told = ended(process, 1)
    assert "a worker there would find other last bits than this process (compiler was" in told
    assert not (home / "other").exists()


def test_a_dataset_whose_worker_is_killed_holds_each_solution_once(home, address):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = home / "rows"
    process = start(home, DATASET.replace("STEPS", str(STEPS)), home, address, out)
    victims = until(lambda: workers("RowWorker")[1:], process)
    time.sleep(1)
    os.kill(victims[0], signal.SIGKILL)
    ended(process)
    rows = parquet.read_table(out).to_pylist()
    failed = [row for row in rows if row["failure"]]
    assert [pathlib.Path(row["id"]).name for row in failed] == ["bad.png"]
    found = {(pathlib.Path(row["id"]).stem, row["rank"]): row["png"] for row in rows if not row["failure"]}
    assert len(found) == len(rows) - 1 == 2 * INPUTS
    for (name, rank), png in found.items():
        assert png == (home / "alone" / name / f"solution_{rank:02}.png").read_bytes()
