"""The notebook runs from top to bottom as a reader runs it, shows pictures, and is stored without what it showed."""

import os
import re
import subprocess
import sys

import pytest

from tests.layers import ROOT

NOTEBOOK = ROOT / "examples" / "quickstart" / "pulse_jax.ipynb"
PROGRAM = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_it_is_stored_without_outputs_and_names_no_machine():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert {(len(cell.outputs), cell.execution_count) for cell in code} == {(0, None)}
    assert "%pip install" in code[0].source
    assert re.findall(r"/(?:home|root|tmp|content|Users)/", NOTEBOOK.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_it_runs_and_shows_what_it_says(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # As a user runs it: without the suite's settings of the compiler.
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", PROGRAM, NOTEBOOK, tmp_path / "run.ipynb"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in nbformat.read(tmp_path / "run.ipynb", as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    told = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert told.count(": error ") == 4 and re.search(r"\d+ of 24 are feasible", told)
    # The ends of the way are feasible solutions.
    way = [float(word) for word in told.splitlines()[-1].split()]
    assert len(way) == 8 and way[0] <= 1.05 and way[-1] <= 1.05
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 7 and not [output for output in outputs if output.output_type == "error"]
