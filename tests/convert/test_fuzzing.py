"""The fuzzer finds nothing in a few hundred files; `tests/convert/fuzz_reader.py` makes as many as wanted."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_mutated_files_end_in_an_error_of_ours_or_an_inspection():
    words = [sys.executable, "-m", "tests.convert.fuzz_reader", "--count", "400"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
