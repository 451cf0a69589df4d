"""What the engine's tests share."""

import pytest

from pulse_jax.engine import stream


@pytest.fixture
def together(monkeypatch):
    """Let one program hold all lanes of a device, unless it is strict, as on other devices than CPUs."""
    monkeypatch.setattr(stream, "groups", lambda device, lanes, strict=False: [1] * lanes if strict else [lanes])
