"""Ctrl-C while the compiler is at work ends the program at once, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time

from tests.cli.fake_engine import draw, summary_of


def test_an_interrupt_does_not_wait_for_the_compiler(tmp_path):
    draw(tmp_path / "a.png", side=8)
    words = [sys.executable, "-m", "pulse_jax", "upsample", tmp_path / "a.png", "--output", tmp_path / "out"]
    # What would be compiled with optimisations takes some seconds.
    settings = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    settings |= {"JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=settings) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("compiling"):
                break
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130 and "Interrupted: 0 of 1 inputs are finished" in told and "Traceback" not in told
    assert summary_of(tmp_path / "out")["finished"] is False
