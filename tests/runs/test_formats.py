"""The formats of what runs write: the types, the page that explains them, and files of real runs agree."""

import json
import re
import types
from typing import get_type_hints, is_typeddict

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli import main
from pulse_jax.runs import formats, study_formats
from pulse_jax.runs.formats import (
    DownscaleSummary,
    EvaluateSummary,
    InputRecord,
    PosteriorSummary,
    SampleSummary,
    SolutionRecord,
    SolutionsFile,
    Summary,
    UpsampleSummary,
)
from tests.layers import PACKAGE
from tests.runs.records_check import faults
from tests.tiny_networks import tiny_generator

PAGE = (PACKAGE / "runs" / "FORMATS.md").read_text(encoding="utf-8")
TYPES = {
    name: kind
    for module in (formats, study_formats)
    for name in module.__all__
    if is_typeddict(kind := getattr(module, name))
}
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def sections():
    """The rows of the page's tables, key to type, by the types that their headings name."""
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        names = tuple(name for name in re.findall(r"`(\w+)`", heading) if name in TYPES)
        if names:
            found[names] = dict(row[:2] for row in _ROW.findall(text))
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with runs of commands: a search with all that can be added, an interpolation, and others."""
    home = tmp_path_factory.mktemp("formats")
    tiny_generator("stylegan2-4", contrast=0.1).save(home / "generator")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (2, 2, 3), np.uint8)).save(home / f"{name}.png")
    (home / "c.png").write_bytes(b"")
    inputs = [home / f"{name}.png" for name in "abc"]
    search = ["--solutions", 2, "--max-restarts", 3, "--diverse", "--noise-samples", 2, "--save-intermediate"]
    search += ["--steps", 3, "--eps", 1, "--lanes", 2]

    def run(code, command, *words):
        assert main([str(word) for word in (command, *words)]) == code

    generator = ["--generator", home / "generator"]
    run(1, "upsample", *inputs, "--output", home / "search", *generator, *search)
    run(1, "upsample", *inputs, "--output", home / "nearest", *generator, "--preset", "nearest")
    run(0, "downscale", home / "search" / "a" / "solution_01.png", "--output", home / "downscale", "--factor", 1)
    latents = home / "search" / "a" / "solutions.npz"
    run(0, "sample", "--output", home / "sample", *generator, "--latents", latents)
    words = ["--samples", 8, "--chains", 2, "--warm-up", 40, "--sampler", "riemannian_langevin", "--thinning", 1]
    run(0, "sample-posterior", inputs[0], "--output", home / "posterior", *generator, *words)
    truths = home / "search" / "a" / "solution_01.png"
    words = ["--factors", 2, "--presets", "nearest,lanczos"]
    run(0, "evaluate", "--data", truths, "--output", home / "evaluate", *generator, *words)
    return home


def test_every_key_is_explained_and_no_other():
    explained = sections()
    assert {names[0] for names in explained} == set(TYPES)
    tables = {names[0]: rows for names, rows in explained.items()}
    for names, rows in explained.items():
        kind = TYPES[names[0]]
        shared = {key for name in names[1:] for key in tables[name]}
        assert rows.keys() | shared == get_type_hints(kind).keys(), names
        optional = {key for key, text in rows.items() if "optional" in text}
        assert optional == kind.__optional_keys__ - shared, names


def test_the_page_says_json_types():
    words = {int: "integer", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}
    for names, rows in sections().items():
        hints = get_type_hints(TYPES[names[0]])
        for key, text in rows.items():
            parts = hints[key].__args__ if isinstance(hints[key], types.UnionType) else (hints[key],)
            said = {words[part] for part in parts if part in words}
            assert said == {word for word in words.values() if re.search(rf"\b{word}\b", text)}, (names, key)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("search", UpsampleSummary),
        ("nearest", UpsampleSummary),
        ("downscale", DownscaleSummary),
        ("sample", SampleSummary),
        ("posterior", PosteriorSummary),
        ("evaluate", EvaluateSummary),
    ],
)
def test_summaries_are_what_their_types_say(runs, name, kind):
    summary = json.loads((runs / name / "summary.json").read_text())
    assert faults(summary, kind) == []
    assert summary["format"] == 1 and summary["finished"]


def test_solutions_json_is_the_entry_of_the_summary(runs):
    summary = json.loads((runs / "search" / "summary.json").read_text())
    assert len(summary["inputs"]) == 2 and len(summary["failed"]) == 1
    for entry in summary["inputs"]:
        name = entry["sheet"].partition("/")[0]
        stored = json.loads((runs / "search" / name / "solutions.json").read_text())
        assert faults(stored, SolutionsFile) == []
        assert stored == {"format": 1, **entry}
        assert entry["animations"] and all("unseen_distance" in solution for solution in entry["solutions"])
        assert any(solution["variations"] for solution in entry["solutions"])


@pytest.mark.parametrize("name", ["search", "nearest"])
def test_the_arrays_of_solutions_npz_are_those_of_the_page(runs, name):
    rows = _ROW.findall(PAGE[PAGE.index("## The arrays of `solutions.npz`") :])
    table = {array: (shape, dtype.strip()) for array, shape, dtype in rows}
    with np.load(runs / name / "a" / "solutions.npz", allow_pickle=False) as stored:
        arrays = {re.sub(r"noise_\d\d", "noise_NN", key): array for key, array in stored.items()}
    assert arrays.keys() == table.keys() - {"offset_NN"} - (set() if name == "search" else {"noise_NN"})
    k, (rows, d) = len(arrays["latents"]), arrays["latents"].shape[1:]
    layers = arrays["w"].shape[1]
    r = arrays["noise_NN"].shape[1] if "noise_NN" in arrays else 0
    for key, array in arrays.items():
        shape, dtype = table[key]
        assert array.shape == eval(shape, {"k": k, "rows": rows, "L": layers, "d": d, "r": r, "h": 2}), key
        assert ("string" if array.dtype.kind == "U" else str(array.dtype)) == dtype, key


def test_the_example_reads_a_run(runs, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(runs)
    names = {}
    exec(code.replace('Path("out")', 'Path("search")'), names)
    assert capsys.readouterr().out.count("search/") == 2
    assert names["latents"].shape[0] == 2 and len(names["noise"]) == 1


def test_faults_are_found():
    """The check itself: of missing, strange and mistyped keys, deep inside."""
    solution = {"image": 3, "extra": 1}
    found = faults({"solutions": [solution], "notes": ["x", None], "size": True}, InputRecord)
    assert "it.solutions[0].image is 3, expected <class 'str'>" in found
    assert "it.solutions[0].extra is strange" in found and "it.solutions[0].loss is missing" in found
    assert any(fault.startswith("it.notes[1] is None") for fault in found)
    assert any(fault.startswith("it.size is True") for fault in found)
    assert faults({"program": "p", "format": 1, "command": "c", "finished": True, "files": []}, Summary) == []
    assert faults(None, SolutionRecord) == ["it is no object"]
