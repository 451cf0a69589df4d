"""Shape annotations are checked while testing: jaxtyping's hook must be in place before pulse_jax is first imported."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jaxtyping
import pytest

jaxtyping.install_import_hook("pulse_jax", "beartype.beartype")


@pytest.fixture
def unchecked(monkeypatch):
    """Turn the annotation checks off: a user has only the library's own."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
