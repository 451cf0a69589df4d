"""What the engine's tests share."""

import pytest

from pulse_jax.engine import stream


@pytest.fixture
def together(monkeypatch):
    """Let one program hold all lanes of a device, as on other devices than CPUs."""
    monkeypatch.setattr(stream, "groups", lambda device, lanes, strict=False: [lanes])
