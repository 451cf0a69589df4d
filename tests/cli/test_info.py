"""`info`: what a generator is."""

import jax

from pulse_jax.cli import generators
from tests.cli.fake_engine import run


def test_info(capsys, monkeypatch):
    arrays = jax.tree.leaves(generators.open_generator(None).params)
    monkeypatch.setattr("pulse_jax.generators.folder._read", None)  # no array is loaded
    assert run("info") == 0
    out = capsys.readouterr().out
    for text in ("embedded", "64x64", "10 rows of 256", "2x2, 4x4, 8x8", "Gaussian fit", "model_card.md", "jaxlib"):
        assert text in out
    assert f"{sum(array.size for array in arrays):,}" in out and "cpu" in out
