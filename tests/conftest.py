"""Shape annotations are checked while testing: jaxtyping's hook must be in place before pulse_jax is first imported."""

import gc
import importlib
import importlib.metadata
import logging
import os
import pkgutil

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the suite is compilation: without the backend's optimisations it takes half the time, with its older emitters
# a third less again, and goldens still hold. Tests that start processes of their own leave those to the newer ones.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    # later ones have no others, and end the process at a flag that they do not know
    + " --xla_cpu_use_fusion_emitters=false" * importlib.metadata.version("jaxlib").startswith("0.10."),
)
# Nothing that was compiled earlier takes part, and nothing is left behind.
os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook("pulse_jax", "beartype.beartype")

# All at once, before any thread starts: the hook rewrites syntax trees, and CPython cannot do that in two threads.
for module in pkgutil.walk_packages(importlib.import_module("pulse_jax").__path__, "pulse_jax."):
    importlib.import_module(module.name)


# Tracing makes very many objects, and collections at the usual pace, each over all that was made before, are a sixth of
# the time of searches' tests.
_USUAL_PACE = gc.get_threshold()
gc.set_threshold(100_000, 20, 50)


def pytest_collection_finish():
    """Leave what lives as long as the process to no collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _forgotten():
    """Forget a module's programs after it: workers would grow to several gigabytes."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def usual_collections():
    """Collect garbage at users' pace, and leave no other pace behind: for what depends on it."""
    rarer = gc.get_threshold()
    gc.set_threshold(*_USUAL_PACE)
    yield
    gc.set_threshold(*rarer)


def pytest_collection_modifyitems(items):
    """Skip what only a GPU can show where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and jax.default_backend() != "gpu":
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture
def compiled(monkeypatch):
    """What JAX has compiled since the test began or `clear` was called, a message each."""
    messages = []

    def keep(_: logging.Logger, record: logging.LogRecord) -> None:
        if "Compiling" in record.getMessage():
            messages.append(record.getMessage())

    monkeypatch.setattr(logging.Logger, "handle", keep)
    with jax.log_compiles():
        yield messages


@pytest.fixture
def unchecked(monkeypatch):
    """Turn the annotation checks off: a user has only the library's own."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
