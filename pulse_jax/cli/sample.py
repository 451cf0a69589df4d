"""The command `sample`: random pictures of a generator, or stored solutions drawn again."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.latent_files import drawn_noise, read_latents
from pulse_jax.cli.options.sample import Sample
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, read_image, save_png
from pulse_jax.images.rounding import quantize, to_uint8
from pulse_jax.reports.picture_grid import picture_grid
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import GeneratorRecord
from pulse_jax.runs.solution_files import StoredSolutions, file_names
from pulse_jax.runs.stored_noise import noise_of
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.objective import decode
from pulse_jax.search.space import Variables
from pulse_jax.system.devices import device_summary, versions
from pulse_jax.system.errors import UsageError
from pulse_jax.system.keys import random_key
from pulse_jax.system.programs import Program
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable

if TYPE_CHECKING:
    from convert.latents import Latents

__all__ = ["run_sample"]

_SHEET_MOST = 64


def run_sample(options: Sample, screen: Screen) -> int:
    """Draw pictures, or stored solutions again.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code.

    Raises:
        UsageError: The output folder, the label or the truncation cannot be used.
        RunError: The generator or the stored solutions cannot be used, or writing failed.
    """
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, (), options.latents)
    generator = generators.with_label(generators.open_generator(options.generator), options.label)
    stored = None if options.latents is None else read_latents(options.latents, generator)
    described = generators.generator_record(generator, options.generator)
    count, seed, truncation = options.draw
    if stored is None:
        generators.check_mapping(generator, options.generator)
        if truncation != 1.0 and generator.w_avg is None:
            raise UsageError("--truncation: this generator knows no average to draw towards; leave the option out")
        with Count(screen, "drawing") as bar:
            drawn = generator.sample(
                random_key(seed),
                count,
                truncation=truncation,
                on_compiling=bar.compiling,
                on_progress=bar.update if count > 8 else None,
            )
        images = to_uint8(np.asarray(drawn))
    elif not isinstance(stored, StoredSolutions):
        images = _synthesize_again(generator, stored, printable(options.latents), screen)
    else:
        # The loss, and what only it takes, has no part in drawing.
        drawn = dataclasses.replace(stored.config, loss="L2")
        generator = generators.with_fit(generator, options.generator, drawn, options.label, screen)
        images = _draw_again(generator, stored, options.latents, described, screen)
    names = [f"sample_{number:04}.png" for number in range(1, len(images) + 1)]
    summary = {
        "command": "sample",
        "seed": seed if stored is None else None,
        "truncation": truncation if stored is None else None,
        "latents": None if options.latents is None else str(options.latents.absolute()),
        "label": options.label,
        "generator": described,
        "versions": versions(),
        "device": device_summary(),
    }
    with folder.write_once([*names, "sheet.png"], summary) as part:
        for name, image in zip(names, images, strict=True):
            save_png(part / name, image)
        save_png(part / "sheet.png", picture_grid(images[:_SHEET_MOST]))
    if options.latents is not None and isinstance(stored, StoredSolutions):
        if stored.config.exact:
            screen.note("These are as the generator draws them; --exact had moved the pictures beside the latents.")
        else:
            _compare(options.latents.parent, images, screen)
    shown = f" (the first {_SHEET_MOST})" if len(images) > _SHEET_MOST else ""
    screen.result(f"{len(images)} pictures; look at {printable(options.output / 'sheet.png')}{shown}", "bold")
    return 0


@functools.partial(Program, static_argnames="config")
def _decode(generator: Generator, config: SearchConfig, latent: jax.Array, noise: tuple[jax.Array, ...]) -> jax.Array:
    # All noise inputs are given, so that none is left to be searched.
    return quantize(decode(generator, config, Variables(latent=latent, noise=()), noise)[0])[1]


def _draw_again(
    generator: Generator, stored: StoredSolutions, path: Path | None, described: GeneratorRecord, screen: Screen
) -> np.ndarray:
    """The pictures (k, H, W, 3) uint8 of stored solutions."""
    if stored.generator != described["sha256"]:
        screen.note(
            f"{printable(path)} was made with another generator of the same shape, or another label: other pictures.",
            "yellow",
        )
    images = []
    # One by one, so that a picture's bits do not depend on the others.
    for latent, *noise in zip(stored.latents, *noise_of(stored, generator), strict=True):
        image = _decode(generator, stored.config, latent, tuple(noise))
        images.append(to_uint8(np.nan_to_num(np.asarray(image))))
    return np.stack(images)


@Program
def _synthesize(generator: Generator, w: jax.Array, noise: tuple[jax.Array, ...]) -> jax.Array:
    return quantize(generator.synthesize(w, noise))[1]


def _synthesize_again(generator: Generator, latents: "Latents", name: str, screen: Screen) -> np.ndarray:
    """The pictures (k, H, W, 3) uint8 of w."""
    count, rows, width = latents.w.shape
    if not latents.noise and generator.noise_shapes:
        screen.note(f"{name}: holds no noise; it is drawn at random, the same for all pictures")
    images = []
    for w, *noise in zip(latents.w, *(latents.noise or drawn_noise(generator, count)), strict=True):
        w = np.broadcast_to(w, (generator.num_layers, width)) if rows == 1 else w
        images.append(to_uint8(np.nan_to_num(np.asarray(_synthesize(generator, w, tuple(noise))))))
    return np.stack(images)


def _compare(folder: Path, images: np.ndarray, screen: Screen) -> None:
    """Says how well the pictures agree with those that lie beside the latents."""
    files = [folder / image for image, _ in file_names(len(images))]
    try:
        earlier = [to_uint8(read_image(file).pixels) for file in files]
        differences = [int(np.abs(a.astype(int) - b).max()) for a, b in zip(earlier, images, strict=True)]
    except (ImageError, ValueError):
        return
    largest = max(differences)
    same = "exactly the same" if largest == 0 else f"the same within {largest} of 255 levels"
    screen.result(
        f"Compared with {printable(files[0])} and the others beside the latents: "
        + (same if largest <= 1 else f"different, by up to {largest} of 255 levels"),
        "green" if largest <= 1 else "yellow",
    )
