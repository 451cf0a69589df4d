"""The layers: no package imports upward; what must answer at once imports no JAX; public names exist."""

import importlib
import pathlib
import subprocess
import sys

import pytest

import pulse_jax
from tests.layers import PACKAGE, PACKAGES, ROOT, arrows, imports, levels, modules, upward

WITHOUT_JAX = [
    "pulse_jax",
    *(f"pulse_jax.{package}" for package in PACKAGES if package not in ("manifold", "optimizers")),
    "pulse_jax.generators.architectures",
    "pulse_jax.objectives.language",
    "pulse_jax.search.config",
    "pulse_jax.search.presets",
]
# Besides JAX, what these may not load either: they are about signals, files and texts.
WITHOUT_ENGINE = ["pulse_jax.cli.interrupts", "pulse_jax.system.files", "pulse_jax.system.text"]
HEAVY = {"jax", "jaxlib", "flax", "orbax", "optax", "PIL", "numpy"}
FORBIDDEN = {"torch", "torchvision", "tensorflow"}


def test_every_package_has_its_place():
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == set(PACKAGES), "add the package to PACKAGES in tests/layers.py, above what it imports"
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py", "__main__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_upward(package):
    assert [line for path in (PACKAGE / package).rglob("*.py") for line in upward(package, path)] == []


@pytest.mark.parametrize(
    "line",
    ["from pulse_jax.engine import stream", "import pulse_jax.search.step", "import pulse_jax", "import convert"],
)
def test_an_upward_import_is_found(line, tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(f"def f():\n    {line}\n")
    assert [text.partition(" ")[0] for text in upward("generators", path)] == ["layers.py:2:"]
    path.write_text("from pulse_jax.images import files\nfrom pulse_jax.system.text import printable\nimport numpy\n")
    assert list(upward("generators", path)) == []


def test_no_circle_of_modules():
    edges = arrows(modules())
    assert max(levels(modules(), edges).values()) > 1  # raises for a circle


@pytest.mark.parametrize("folder", ["pulse_jax", "convert"])
def test_neither_torch_nor_tensorflow_is_imported(folder):
    found = [
        f"{path.name}:{line}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name, line in imports(path)
        if name.split(".")[0] in FORBIDDEN
    ]
    assert not found


def _loaded(module):
    program = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}}, *sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_what_must_answer_at_once_imports_nothing_heavy(module):
    assert _loaded(module) & HEAVY == set()


@pytest.mark.parametrize("module", WITHOUT_ENGINE)
def test_signals_files_and_texts_do_without_the_engine(module):
    loaded = _loaded(module)
    assert loaded & HEAVY == set()
    assert not [name for name in loaded if name.startswith(("pulse_jax.engine", "pulse_jax.search"))]


def test_gradio_is_imported_by_functions_alone_and_the_page_by_its_command_alone():
    loaded = _loaded("pulse_jax.cli.serve, pulse_jax.web.page, pulse_jax.web.server")
    assert loaded & {"gradio", "fastapi", "uvicorn"} == set()
    users = {user for user, used in arrows(modules()) if used.startswith("pulse_jax.web.")}
    assert {user for user in users if not user.startswith("pulse_jax.web.")} == {"pulse_jax.cli.serve"}


def test_ray_is_imported_by_functions_alone():
    loaded = _loaded("pulse_jax.cli.upsample, pulse_jax.distributed.rows, pulse_jax.distributed.stream")
    assert loaded & {"ray", "pyarrow", "pandas"} == set()


def test_help_does_without_jax():
    program = (
        "import sys, pulse_jax.cli\n"
        "try: pulse_jax.cli.main(['upsample', '--help'])\n"
        "except SystemExit: pass\n"
        "print(*({'jax', 'jaxlib', 'flax', 'orbax', 'optax'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "--restarts" in result.stdout
    assert result.stderr.split() == []


@pytest.mark.parametrize("module", modules())
def test_every_public_name_exists(module):
    loaded = importlib.import_module(module)
    assert (loaded.__doc__ or "").strip()
    names = getattr(loaded, "__all__", [] if module.endswith("__main__") else None)
    if loaded.__file__.endswith("__init__.py"):
        source = pathlib.Path(loaded.__file__ or "").read_text(encoding="utf-8")
        assert len(source.splitlines()) <= 30, "a package's own file only hands on"
        names = [] if names is None else names
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in names if not hasattr(loaded, name)] == []
    assert len(names) == len(set(names))


def test_the_package_offers_its_names():
    assert dir(pulse_jax) == sorted(pulse_jax.__all__)
    for name in pulse_jax.__all__:
        if name == "__version__":
            continue
        offered = getattr(pulse_jax, name).__name__.split(".")[-1]
        assert offered == {"perceptual": "lpips"}.get(name, name)
    with pytest.raises(AttributeError, match="module 'pulse_jax' has no attribute 'upsampel'"):
        _ = pulse_jax.upsampel
