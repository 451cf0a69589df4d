"""Converts random StyleGANs of full size, and says how long it takes and how much memory.

    python -m examples.benchmarks.convert_full_size

A 1024x1024 StyleGAN under TensorFlow's names and a StyleGAN2 (config f) under StyleGAN2-ADA's are drawn at random,
written as safetensors, converted and run once; each step in a process of its own, whose peak of memory is its own too.
What is written is removed again.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

import convert
from convert.families import ada, tensorflow
from convert.safetensors_file import save_safetensors
from pulse_jax import load_generator
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.generator import Generator

CONFIGS = {"stylegan1": StyleGAN1Config(resolution=1024), "stylegan2": StyleGAN2Config(resolution=1024)}
NAMINGS = {"stylegan1": tensorflow.STYLEGAN1.name, "stylegan2": ada.STYLEGAN2.name}


def main() -> None:
    """Start one process per architecture and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000, help="draws of the Gaussian fit")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, kind, folder = options.step
        began = time.monotonic()
        words = STEPS[step](kind, pathlib.Path(folder), options.samples)
        # Not getrusage, which knows the parent's peak as well.
        peak = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
        seconds = f"{time.monotonic() - began:.1f} s in all, {time.process_time():.1f} s of processors"
        print(f"{kind} {step}: {words}; {seconds}, peak {peak:.0f} MB", flush=True)
        return
    for kind in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                command = [
                    sys.executable,
                    "-m",
                    "examples.benchmarks.convert_full_size",
                    "--samples",
                    str(options.samples),
                ]
                subprocess.run([*command, "--step", step, kind, folder], check=True)


def _write(kind: str, folder: pathlib.Path, samples: int) -> str:
    """A checkpoint of random weights, small enough that no activation overflows."""
    config, rng = CONFIGS[kind], np.random.default_rng(0)
    params: dict = {"mapping": {}, "synthesis": {}}
    for path, shape in config.array_shapes().items():
        array = rng.standard_normal(shape, np.float32)
        if path.startswith("mapping/"):
            array /= config.mapping_lr_multiplier
        node = params
        *parents, leaf = path.split("/")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array
    arrays = convert.export(Generator(config=config, params=params, w_avg=jnp.zeros(config.latent_dim)), NAMINGS[kind])
    save_safetensors(folder / "weights.safetensors", arrays)
    size = (folder / "weights.safetensors").stat().st_size
    return f"{sum(array.size for array in arrays.values()):,} numbers, {size / 2**20:.0f} MB"


def _inspect(kind: str, folder: pathlib.Path, samples: int) -> str:
    inspection = convert.inspect(folder / "weights.safetensors")
    assert not inspection.fault, inspection.fault
    return inspection.account.plan.name


def _convert(kind: str, folder: pathlib.Path, samples: int) -> str:
    fitting = [0.0, 0.0]

    def on_progress(done: int, total: int) -> None:
        # The first call comes after compiling and the first batch.
        fitting[0], fitting[1] = fitting[0] or time.monotonic(), time.monotonic()

    began = time.monotonic()
    convert.convert(folder / "weights.safetensors", folder / "generator", samples=samples, on_progress=on_progress)
    fit = fitting[1] - fitting[0]
    return f"{time.monotonic() - began - fit:.1f} s, and {fit:.1f} s for the Gaussian fit over {samples:,} draws"


def _run(kind: str, folder: pathlib.Path, samples: int) -> str:
    began = time.monotonic()
    generator = load_generator(folder / "generator")
    loaded = time.monotonic()
    draw = jax.jit(lambda key: generator.sample(key, 1))
    compiled = draw.lower(jax.random.key(0)).compile()
    start = time.monotonic()
    image = np.asarray(compiled(jax.random.key(0)))
    assert image.shape == (1, 1024, 1024, 3) and np.isfinite(image).all()
    ended = time.monotonic()
    return f"loaded in {loaded - began:.1f} s, compiled in {start - loaded:.1f} s, one picture in {ended - start:.1f} s"


STEPS = {"write": _write, "inspect": _inspect, "convert": _convert, "run": _run}

if __name__ == "__main__":
    main()
