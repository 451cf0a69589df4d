"""Programs compiled so that they give the same bits every time."""

from types import SimpleNamespace

import jax
import pytest

from pulse_jax.system import programs


@pytest.fixture
def asked(monkeypatch):
    """What `jax.jit` is asked for, and a stand-in for a device of each platform."""
    found = []

    def jit(function, compiler_options=None, **_):
        found.append(compiler_options)
        return SimpleNamespace(lower=lambda *some: SimpleNamespace(compile=lambda: None))

    monkeypatch.setattr(jax, "jit", jit)
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: jax.devices("cpu"))
    programs._compiler_options.cache_clear()
    yield found
    programs._compiler_options.cache_clear()


def test_on_a_gpu_only_operations_that_repeat_their_bits_are_taken(asked):
    """Without that, an H100 gave six searches other bits when they were repeated by the same program."""
    programs.Program(lambda x: x).on("gpu")
    assert asked[-1] == {"xla_gpu_exclude_nondeterministic_ops": True}
    assert programs.repeats_bits("gpu")


def test_on_a_tpu_nothing_is_asked_for(asked):
    programs.Program(lambda x: x).on("tpu")
    assert asked == [None]
    assert programs.repeats_bits("tpu")


def test_a_compiler_without_the_option_is_told_of(monkeypatch):
    def jit(function, compiler_options=None, **_):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: No such compile option")

    monkeypatch.setattr(jax, "jit", jit)
    programs._compiler_options.cache_clear()
    assert not programs.repeats_bits("cpu")
    programs._compiler_options.cache_clear()
