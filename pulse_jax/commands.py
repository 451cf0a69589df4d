"""What the commands do, one function each: options and a screen in, the exit code out."""

import dataclasses
import functools
import importlib.resources
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from pulse_jax import environment
from pulse_jax.benchmark import run_benchmark
from pulse_jax.config import SearchConfig
from pulse_jax.degradations import bicubic_float64
from pulse_jax.demo import run_demo
from pulse_jax.generator import Generator, GeneratorError
from pulse_jax.images import ImageError, ReadImage, centre_crop, printable, read_image, save_png, to_uint8
from pulse_jax.objective import Variables, decode, quantize
from pulse_jax.options import (
    Benchmark,
    Command,
    Convert,
    Demo,
    Downscale,
    FitPrior,
    Info,
    RunError,
    Sample,
    Upsample,
    UsageError,
)
from pulse_jax.presets import pulse
from pulse_jax.prior_fitting import run_fit_prior
from pulse_jax.problems import admissible_sizes
from pulse_jax.progress import Count, Screen
from pulse_jax.reading import find_inputs, read_each, report_failures
from pulse_jax.results import StoredSolutions, file_names, read_solutions
from pulse_jax.runs import RunFolder, check_output_apart
from pulse_jax.upsampling import run_upsample

__all__ = ["run"]

_PER_CALL = 8
_SHEET_MOST = 64


def run(options: Command) -> int:
    """Runs one command; the exit code.

    Raises:
        UsageError: a setting is out of range or the output folder cannot be used; nothing was written.
        RunError: a generator or another file cannot be used, or writing failed.
    """
    environment.use_compilation_cache()
    screen = Screen()
    match options:
        case Upsample():
            return run_upsample(options, screen)
        case Downscale():
            return _downscale(options, screen)
        case Demo():
            return run_demo(options, screen)
        case Sample():
            return _sample(options, screen)
        case Convert():
            return _convert(options, screen)
        case FitPrior():
            return run_fit_prior(options, screen)
        case Benchmark():
            return run_benchmark(options, screen)
        case Info():
            return _info(options, screen)


# --- downscale --------------------------------------------------------------------------------------------------------


def _downscale(options: Downscale, screen: Screen) -> int:
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, options.inputs)
    found, failures = find_inputs(options.inputs, options.output)
    total = len(found) + len(failures)
    small = _usable(read_each(found, functools.partial(_shrink, options)), failures)
    first = next(small, None)
    if first is not None:
        records: list[dict[str, Any]] = []
        summary: dict[str, Any] = {
            "command": "downscale",
            "size": options.size,
            "factor": options.factor,
            "versions": environment.versions(),
            "inputs": records,
            "failed": [],
        }
        with folder.write_once([f"{path.stem}.png" for path in found], summary) as part:
            for pixels, record in itertools.chain([first], small):
                save_png(part / record["image"], pixels)
                records.append(record)
                told = ", ".join((*record["notes"], f"factor {record['factor']}"))
                screen.note(f"{printable(Path(record['input']).name)}: {told}")
            summary["failed"] += [{"input": failure.source, "message": failure.message} for failure in failures]
        count = len(records)
        screen.result(f"{count} picture{'s' if count > 1 else ''} in {printable(options.output)}", "bold")
    report_failures(failures, total, screen)
    return 1 if failures else 0


def _usable(
    results: Iterable[tuple[np.ndarray, dict[str, Any]] | ImageError], failures: list[ImageError]
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Passes on what could be made; the rest is added to `failures`."""
    for result in results:
        if isinstance(result, ImageError):
            failures.append(result)
        else:
            yield result


def _shrink(options: Downscale, path: Path, picture: ReadImage) -> tuple[np.ndarray, dict[str, Any]]:
    """The centre square of a picture, as large as the factor allows, downscaled; and its entry of `summary.json`."""
    height, width = picture.pixels.shape[:2]
    side = min(height, width)
    step = options.size or options.factor or 1
    if side < step:
        wanted = f"--size {step}" if options.size else f"--factor {step}"
        raise ImageError(path, f"the picture is {width}x{height}, too small for {wanted}; choose a smaller one")
    side -= side % step
    factor = side // step if options.size else step
    notes = list(picture.notes)
    if not height == width == side:
        notes.append(f"cropped from {width}x{height} to its centre {side}x{side}")
    try:
        small = bicubic_float64(centre_crop(picture.pixels, side), factor)
    except ValueError:
        raise ImageError(
            path,
            f"a square of {side}x{side} is too small to be downscaled by {factor}; "
            "choose a smaller factor or a larger size",
        ) from None
    return to_uint8(small), {
        "input": str(path.absolute()),
        "notes": notes,
        "factor": factor,
        "size": len(small),
        "image": f"{path.stem}.png",
    }


# --- sample -----------------------------------------------------------------------------------------------------------


def _sample(options: Sample, screen: Screen) -> int:
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, (), options.latents)
    stored = None if options.latents is None else read_solutions(options.latents)
    generator = environment.with_label(environment.open_generator(options.generator), options.label)
    described = environment.generator_summary(generator, options.generator)
    count, seed, truncation = options.draw
    if stored is None:
        if truncation != 1.0 and generator.w_avg is None:
            raise UsageError("--truncation: this generator knows no average to draw towards; leave the option out")
        images = to_uint8(np.asarray(generator.sample(jax.random.key(seed), count, truncation=truncation)))
    else:
        # The loss, and what only it takes, has no part in drawing.
        drawn = dataclasses.replace(stored.config, loss="L2")
        generator = environment.with_fit(generator, options.generator, drawn, options.label, screen)
        images = _draw_again(generator, stored, options.latents, described, screen)
    names = [f"sample_{number:04}.png" for number in range(1, len(images) + 1)]
    summary = {
        "command": "sample",
        "seed": seed if stored is None else None,
        "truncation": truncation if stored is None else None,
        "latents": None if options.latents is None else str(options.latents.absolute()),
        "label": options.label,
        "generator": described,
        "versions": environment.versions(),
        "device": environment.device_summary(),
    }
    with folder.write_once([*names, "sheet.png"], summary) as part:
        for name, image in zip(names, images, strict=True):
            save_png(part / name, image)
        save_png(part / "sheet.png", _grid(images[:_SHEET_MOST]))
    if options.latents is not None:
        _compare(options.latents.parent, images, screen)
    shown = f" (the first {_SHEET_MOST})" if len(images) > _SHEET_MOST else ""
    screen.result(f"{len(images)} pictures; look at {printable(options.output / 'sheet.png')}{shown}", "bold")
    return 0


@functools.partial(jax.jit, static_argnames="config")
def _decode(generator: Generator, config: SearchConfig, latents: jax.Array, noise: tuple[jax.Array, ...]) -> jax.Array:
    def one(latent: jax.Array, fixed: tuple[jax.Array, ...]) -> jax.Array:
        # All noise inputs are given, so that none is left to be searched.
        return quantize(decode(generator, config, Variables(latent=latent, noise=()), fixed)[0])

    return jax.vmap(one)(latents, noise)


def _draw_again(
    generator: Generator, stored: StoredSolutions, path: Path | None, described: dict[str, Any], screen: Screen
) -> np.ndarray:
    """The pictures (k, H, W, 3) uint8 of stored solutions."""
    stored.check(generator, printable(path))
    if stored.generator != described["sha256"]:
        screen.note(
            f"{printable(path)} was made with another generator of the same shape, or another label: other pictures.",
            "yellow",
        )
    images = []
    for first in range(0, len(stored.latents), _PER_CALL):
        rows = np.minimum(np.arange(first, first + _PER_CALL), len(stored.latents) - 1)
        some = _decode(
            generator, stored.config, jnp.asarray(stored.latents[rows]), tuple(n[rows] for n in stored.noise)
        )
        images.append(to_uint8(np.nan_to_num(np.asarray(some))))
    return np.concatenate(images)[: len(stored.latents)]


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


def _grid(images: np.ndarray) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8 as one, eight to a line, small ones enlarged."""
    side = 128 if images.shape[1] <= 128 else 256
    columns = min(8, len(images))
    lines = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (side + 8) + 8, lines * (side + 8) + 8), (250, 249, 246))
    for i, image in enumerate(images):
        picture = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (8 + i % columns * (side + 8), 8 + i // columns * (side + 8)))
    return np.asarray(sheet)


# --- convert ----------------------------------------------------------------------------------------------------------


def _convert(options: Convert, screen: Screen) -> int:
    # Here, because the package of converters imports this one.
    import convert

    clamp = "file" if options.clamp is None else options.clamp or None
    try:
        if options.inspect:
            inspection = convert.inspect(options.paths, clamp=clamp)
            for line in inspection.lines():
                screen.result(line)
            return 1 if inspection.fault else 0
        *checkpoints, output = options.paths
        if options.perceptual:
            convert.convert_perceptual(checkpoints, output, overwrite=options.overwrite)
            screen.result(f"VGG16 and the heads of LPIPS in {printable(output)}", "bold")
            return 0
        screen.note("reading; then a Gaussian is fitted to the mapping network, unless a file holds one ...")
        with Count(screen, "fitting") as count:
            generator = convert.convert(
                checkpoints,
                output,
                samples=options.samples,
                clamp=clamp,
                overwrite=options.overwrite,
                on_progress=count.update,
            )
    except (convert.CheckpointError, GeneratorError) as error:
        raise RunError(printable(error, 600)) from error
    parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.params))
    size = generator.resolution
    screen.result(f"{size}x{size}, {parameters:,} parameters in {printable(output)}", "bold")
    return 0


# --- info -------------------------------------------------------------------------------------------------------------


def _labels(generator: Generator) -> str:
    """What `--label` may be."""
    if generator.label is not None:
        return "fixed"
    count = generator.label_dim
    return f"{count}, --label 0 to {count - 1}" if count else "none"


def _info(options: Info, screen: Screen) -> int:
    generator = environment.open_generator(options.generator)
    described = environment.generator_summary(generator, options.generator)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.params))
    fits = [
        name
        for name, fit in (
            ("Gaussian fit", generator.gaussian_fit),
            ("principal components", generator.principal),
            ("flow", generator.flow),
            ("average w", generator.w_avg),
            ("spread of w", generator.w_std),
        )
        if fit is not None
    ]
    sizes = [size for size in admissible_sizes(generator.resolution, pulse()) if size < generator.resolution]
    device = environment.device_summary()
    lines = {
        "generator": printable(described["folder"]),
        "family": described["architecture"]["family"],
        "pictures": f"{generator.resolution}x{generator.resolution}",
        "latents": f"{generator.num_layers} rows of {generator.latent_dim}",
        "labels": _labels(generator),
        "parameters": f"{parameters:,}",
        "fits": ", ".join(fits) or "none",
        "inputs that fit": ", ".join(f"{size}x{size}" for size in sizes),
    }
    if options.generator is None:
        lines["model card"] = printable(Path(str(importlib.resources.files("pulse_jax") / "data" / "model_card.md")))
    kinds = dict.fromkeys((device["kind"], device["platform"]))
    lines["devices"] = f"{device['count']} ({', '.join(kinds)})"
    lines["versions"] = ", ".join(
        f"{name} {version or 'from a checkout'}" for name, version in environment.versions().items()
    )
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        screen.result(f"{name:{width}}{value}")
    return 0
