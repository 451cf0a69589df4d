"""The fuzzer finds nothing in a few hundred files; `examples/fuzz_reader.py` makes as many as wanted."""

import pathlib
import subprocess
import sys

FUZZER = pathlib.Path(__file__).parents[2] / "examples" / "fuzz_reader.py"


def test_mutated_files_end_in_an_error_of_ours_or_an_inspection():
    run = subprocess.run([sys.executable, FUZZER, "--count", "400"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
