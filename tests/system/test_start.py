"""A device that cannot be started is told as that, by every command and in Python."""

import os
import subprocess
import sys

import pytest


def run(words, platforms):
    settings = {**os.environ, "JAX_PLATFORMS": platforms}
    return subprocess.run([sys.executable, *words], env=settings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("platforms", ["cuda", "tpu", "cpuu"])
def test_the_command_line_says_where_jax_cannot_start_and_why(platforms):
    done = run(["-m", "pulse_jax", "info"], platforms)
    assert done.returncode == 1 and done.stdout == ""
    told = [line for line in done.stderr.splitlines() if line.startswith("pulse-jax: ")]
    assert len(told) == 1 and told[0].startswith(f"pulse-jax: JAX cannot start on {platforms}: ")
    assert told[0].endswith("JAX_PLATFORMS=cpu computes on the CPU, JAX_PLATFORMS= wherever JAX can")
    assert "Traceback" not in done.stderr and "damaged" not in done.stderr
    if platforms == "cpuu":
        assert "not in the list of known backends" in told[0]


def test_python_raises_the_same():
    program = (
        "import pulse_jax\n"
        "try: pulse_jax.load_generator()\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    done = run(["-c", program], "cuda")
    assert done.stdout.startswith("DeviceError JAX cannot start on cuda: "), done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
        pytest.param({"JAX_DEBUG_INFS": "1", "JAX_DEBUG_NANS": "1"}, marks=pytest.mark.slow),
    ],
)
def test_settings_of_jax_change_no_result(setting):
    program = (
        "import numpy as np, pulse_jax\n"
        "picture = np.full((8, 8, 3), 0.5, np.float32)\n"
        "found = pulse_jax.upsample(pulse_jax.load_generator(), picture, config=pulse_jax.presets.pulse(steps=3))\n"
        "print(found.keys, found.loss, found.images.sum(dtype=float))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "JAX_PLATFORMS": "cpu", **more},
            capture_output=True,
            text=True,
            timeout=300,
        )
        for more in ({}, setting)
    ]
    assert printed[1].returncode == 0, printed[1].stderr
    assert printed[0].stdout == printed[1].stdout != ""
