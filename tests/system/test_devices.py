"""Devices: their memory, what counts as too little of it, and where compiled programs are kept."""

import os
import platform
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
import pytest

from pulse_jax.system import devices


class Device:
    """A device that counts its memory, or not."""

    def __init__(self, counted, platform="gpu"):
        self.platform, self._counted = platform, counted

    def memory_stats(self):
        return self._counted


@pytest.mark.parametrize(
    ("counted", "free"),
    [
        ({"bytes_limit": 100, "bytes_in_use": 30}, 70),
        ({"bytes_limit": 100}, 100),
        ({"bytes_in_use": 3}, None),
        (None, None),
    ],
)
def test_free_memory_is_what_the_limit_leaves(counted, free):
    assert devices.free_memory(Device(counted)) == free


def test_the_peak_of_a_device_is_told_where_it_is_counted(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [Device({"peak_bytes_in_use": 7})])
    assert devices.peak_memory()["device"] == 7
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(None)])
    assert "device" not in devices.peak_memory()


def test_the_peak_of_the_process_is_in_bytes():
    touched = np.ones(2**23)
    assert touched.nbytes < devices.peak_memory()["process"] < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_program_holds_its_arguments_results_and_what_is_between():
    x = jnp.ones(1 << 16, jnp.float32)
    program = jax.jit(lambda a: jnp.cumsum(a)[::-1] + a).lower(x).compile()
    assert devices.program_memory(program) >= 2 * x.nbytes
    donated = jax.jit(lambda a: a + 1, donate_argnums=0).lower(x).compile()
    kept = jax.jit(lambda a: a + 1).lower(x).compile()
    assert devices.program_memory(kept) - devices.program_memory(donated) == x.nbytes, "counted once"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes."), True),
        (jax.errors.JaxRuntimeError("INTERNAL: x"), False),
        (ValueError("out of range"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error, is_memory):
    assert devices.is_out_of_memory(error) == is_memory


def test_summaries_are_of_this_machine():
    summary = devices.device_summary()
    assert summary == {"platform": "cpu", "kind": jax.devices()[0].device_kind, "count": jax.local_device_count()}
    versions = devices.versions()
    assert versions["jax"] == jax.__version__ and versions["python"] == platform.python_version()
    assert set(versions) == {"pulse_jax", "jax", "jaxlib", "flax", "optax", "numpy", "python"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder where compiled programs would be kept, and what JAX is told, by a call."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *names, **settings: tmp_path / "cache")
    told = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    monkeypatch.setattr(devices, "getattr", lambda *some: None, raising=False)

    def use():
        devices.use_compilation_cache()
        return told.get("jax_compilation_cache_dir")

    return tmp_path / "cache" / "compiled", use


def test_programs_are_kept_in_a_folder_of_the_users_own(cache):
    folder, use = cache
    assert use() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755, 0o777])
def test_programs_are_not_run_from_a_folder_that_others_may_use(cache, mode):
    folder, use = cache
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert use() is None


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_is_no_folder_of_the_users_own(cache, tmp_path):
    folder, use = cache
    folder.parent.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert use() is None


def test_without_a_cache_folder_every_run_compiles(cache):
    folder, use = cache
    folder.parent.mkdir()
    folder.write_text("a file")
    assert use() is None


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("1000", "400", 600), ("1000", "1400", 0), ("max", "400", None), (None, None, None)]
)
def test_a_container_has_what_its_limit_leaves(tmp_path, limit, used, free):
    for name, text in (("memory.max", limit), ("memory.current", used)):
        if text is not None:
            (tmp_path / name).write_text(f"{text}\n")
    assert devices._containers_memory(tmp_path) == free


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux tells")
def test_what_caches_files_counts_as_free():
    counted = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
    assert devices._available_memory() == pytest.approx(1024 * int(counted["MemAvailable:"]), rel=0.2)
