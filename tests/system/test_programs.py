"""Programs compiled so that they give the same bits every time."""

import threading
import time
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


def lowered_for(seconds, fails=False):
    def compile_it():
        time.sleep(seconds)
        if fails:
            raise RuntimeError("RESOURCE_EXHAUSTED")

    return SimpleNamespace(compile=compile_it)


def test_while_a_program_compiles_the_caller_is_asked():
    told = []
    programs.compile_watched(lowered_for(0.7), told.append)
    assert 2 <= len(told) <= 4 and told == sorted(told) and not programs.is_compiling()


def test_what_the_caller_raises_ends_the_waiting_at_once():
    class Stop(Exception):
        pass

    def stop(seconds):
        raise Stop

    began = time.monotonic()
    with pytest.raises(Stop):
        programs.compile_watched(lowered_for(2.0), stop)
    assert programs.is_compiling() and time.monotonic() - began < 1.5
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(5)
    assert not programs.is_compiling()


@pytest.mark.parametrize("watched", [None, lambda seconds: None])
def test_what_the_compiler_raises_is_raised(watched):
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        programs.compile_watched(lowered_for(0.0, fails=True), watched)
