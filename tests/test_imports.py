"""The layers: nothing imports upwards; what must answer at once imports no JAX; public names exist."""

import ast
import importlib
import pathlib
import subprocess
import sys

import pytest

import pulse_jax

PACKAGE = pathlib.Path(pulse_jax.__file__).parent
ROOT = PACKAGE.parent

# From the ground up. A module imports from lower floors, and on its own floor only from those listed before it.
FLOORS = [
    [
        "loss_terms",
        "architectures",
        "config",
        "sphere",
        "schedules",
        "matrix_convolutions",
        "layers",
        "degradations",
        "diversity",
        "files",
        "images",
        "inputs",
        "drawing",
        "sheets",
    ],
    ["moments", "principal", "flow", "flow_fitting", "perceptual", "manifold", "prepared", "stylegan1", "stylegan2"],
    ["optimizers", "latents", "regularizers", "losses", "storage", "generator"],
    ["objective"],
    ["phases", "search", "presets"],
    [
        "problems",
        "interpolation",
        "tasks",
        "lanes",
        "memory",
        "checkpoints",
        "workers",
        "engine",
        "variations",
        "animations",
    ],
    [
        "metrics",
        "background",
        "options",
        "runs",
        "progress",
        "interrupts",
        "reading",
        "environment",
        "kept",
        "results",
        "given",
        "extras",
        "wanted",
        "outputs",
        "records",
        "upsampling",
        "demo",
        "measures",
        "plots",
        "cells",
        "benchmark",
        "prior_report",
        "prior_plots",
        "prior_fitting",
        "commands",
        "cli",
    ],
]
ORDER = [module for floor in FLOORS for module in floor]
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
WITHOUT_JAX = [
    "pulse_jax",
    "pulse_jax.architectures",
    "pulse_jax.config",
    "pulse_jax.loss_terms",
    "pulse_jax.presets",
    "pulse_jax.cli",
]
FORBIDDEN = {"torch", "torchvision", "tensorflow"}


def _imports(path):
    """The dotted names that a file imports anywhere, each with its line; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: write the import absolutely, from pulse_jax"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _upward(module, path):
    """Imports of `pulse_jax` in a file that stands at `module`'s place and does not lie above what it imports."""
    place = ORDER.index(module)
    for name, line in _imports(path):
        top, *rest = name.split(".")
        if top == "pulse_jax" and (not rest or rest[0] not in ORDER[:place]):
            yield f"{path.name}:{line}: {module} imports {name}, which is not below it"


def test_every_module_has_its_floor():
    unknown = sorted(set(MODULES) - set(ORDER))
    assert not unknown, f"{', '.join(unknown)}: add to FLOORS in tests/test_imports.py, on its floor"
    assert len(ORDER) == len(set(ORDER))
    missing = sorted(set(ORDER) - set(MODULES))
    assert not missing, f"{', '.join(missing)}: no such module; remove from FLOORS in tests/test_imports.py"


@pytest.mark.parametrize("module", [module for module in MODULES if module in ORDER])
def test_no_import_runs_upward(module):
    assert list(_upward(module, PACKAGE / f"{module}.py")) == []


@pytest.mark.parametrize("line", ["from pulse_jax import engine", "import pulse_jax.losses", "import pulse_jax"])
def test_an_upward_import_is_found(line, tmp_path):
    path = tmp_path / "latents.py"
    path.write_text(f"def f():\n    {line}\n")
    assert [text.partition(" ")[0] for text in _upward("latents", path)] == ["latents.py:2:"]
    path.write_text("from pulse_jax import config\nfrom pulse_jax.optimizers import schedule\nimport numpy\n")
    assert list(_upward("latents", path)) == []


@pytest.mark.parametrize("folder", ["pulse_jax", "convert"])
def test_neither_torch_nor_tensorflow_is_imported(folder):
    found = [
        f"{path.name}:{line}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name, line in _imports(path)
        if name.split(".")[0] in FORBIDDEN
    ]
    assert not found


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_what_must_answer_at_once_imports_no_jax(module):
    program = f"import {module}, sys; print(*({{'jax', 'jaxlib', 'flax', 'orbax', 'optax'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_exists(module):
    loaded = importlib.import_module(f"pulse_jax.{module}")
    assert loaded.__all__ == sorted(loaded.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    assert len(loaded.__all__) == len(set(loaded.__all__))
    assert (loaded.__doc__ or "").strip()


def test_the_package_offers_its_names():
    assert dir(pulse_jax) == sorted(pulse_jax.__all__)
    for name in pulse_jax.__all__:
        assert getattr(pulse_jax, name).__name__.split(".")[-1] == name
    with pytest.raises(AttributeError, match="module 'pulse_jax' has no attribute 'upsampel'"):
        _ = pulse_jax.upsampel
