"""From the options of `upsample` to the plan of its run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.latent_files import read_latents
from pulse_jax.cli.options.roles import roles
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.options_file import options_text
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import what_is_missing
from pulse_jax.images.files import ImageError
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import TERMS
from pulse_jax.runs.additions import Additions, Animations, Variations
from pulse_jax.runs.formats import GeneratorRecord
from pulse_jax.runs.inputs import Quota
from pulse_jax.runs.photographs import Alignment
from pulse_jax.runs.plan import AutomaticLanes, RunPlan
from pulse_jax.runs.shards import Part
from pulse_jax.runs.sheets import sheet_footer
from pulse_jax.runs.solution_files import StoredSolutions
from pulse_jax.runs.stored_noise import noise_of
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.plausibility import PlausibilityJudge
from pulse_jax.search.presets import INTERPOLATIONS, PERCEPTUAL, PRESETS
from pulse_jax.search.problems import Start
from pulse_jax.search.requirements import admissible_sizes, output_size
from pulse_jax.search.space import from_w, searched_layers
from pulse_jax.search.variations import redrawn_layers
from pulse_jax.system import devices, selfchecks
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["given_config", "make_plan"]


def given_config(options: Upsample) -> UpsamplingConfig:
    """Return the preset with all that is given otherwise.

    Args:
        options: Checked options.

    Raises:
        UsageError: A setting is out of range.
    """
    overrides = {
        name: getattr(options, name)
        for name, role in roles(type(options)).items()
        if role.decides == "config" and name != "preset" and _is_given(options, name)
    }
    if options.perceptual is not None:
        overrides["perceptual"] = True
    if options.precision == "auto" and options.preset not in INTERPOLATIONS and jax.default_backend() == "gpu":
        # Twice as fast there, and searches are as good: as many become feasible, in as many looks.
        overrides["precision"] = "tf32"
    try:
        return PRESETS[options.preset](**overrides)
    except ValueError as error:
        raise _of_flag(error) from error


def make_plan(
    options: Upsample,
    config: UpsamplingConfig,
    inputs: Sequence[Path],
    unusable: Sequence[ImageError],
    screen: Screen,
    *,
    command: str = "upsample",
    alignment: Alignment | None = None,
    part: Part | None = None,
    originals: Mapping[str, np.ndarray] | None = None,
) -> RunPlan:
    """Open the generator and decide all that can be decided before a run begins.

    Args:
        options: Checked options.
        config: What `given_config` makes of them.
        inputs: Picture files to solve.
        unusable: What is wrong with inputs that are no such files.
        screen: Screen on which the user is told what is unusual.
        command: Command as which the run goes down in `summary.json`.
        alignment: Faces in photographs, which the inputs are.
        part: What other processes have, where the inputs are those of a shard.
        originals: Pictures (H, W, 3) that inputs were made from, by the inputs' names.

    Raises:
        UsageError: A setting does not suit the generator, or there are too few solutions to start from.
        RunError: The generator, the perceptual network or the file to start from cannot be used.
    """
    generator = generators.with_label(generators.open_generator(options.generator), options.label)
    generator = generators.with_perceptual(generator, options.perceptual)
    try:
        size = output_size(generator, config)
    except ValueError as error:
        raise _of_flag(error) from error
    record = generators.generator_record(generator, options.generator)
    # Here, and nowhere else, a run is decided to search or to interpolate.
    if isinstance(config, SearchConfig):
        decided = _to_search(options, config, generator, record, screen)
    else:
        decided = _to_interpolate(generator)
    return RunPlan(
        command=command,
        output=options.output,
        inputs=inputs,
        unusable=unusable,
        generator_record=record,
        config=config,
        size=size,
        seed=options.seed,
        fit=options.fit,
        input_size=_input_size(options, config, size, screen),
        alignment=alignment,
        part=part,
        format=options.format,
        compress_level=options.compress_level,
        keeps_noise=not options.no_noise,
        sheets=not options.no_sheets,
        options=options_text(command, options) if command == "upsample" else "",
        originals=originals or {},
        footer=sheet_footer(options.preset, asdict(config), options.seed, record["folder"]),
        versions=devices.versions(),
        device=devices.device_summary(),
        selfcheck=selfchecks.last_passed(),
        deciding=_deciding(options),
        reported=_reported(options),
        repeated=_repeated(options, config),
        **decided,
    )


def _input_size(options: Upsample, config: UpsamplingConfig, size: int, screen: Screen) -> int | None:
    """The side to which larger inputs are downscaled, if they are to be."""
    if options.input_size is None and options.factor is None and options.at is None:
        return None
    sizes = admissible_sizes(size, config)
    if options.factor is None:
        flag = "--input-size" if options.at is None else "--at"
        wanted, known = options.input_size or options.at or 0, sizes
        side = wanted
    else:
        flag, wanted, known = "--factor", options.factor, [size // side for side in reversed(sizes)]
        side = size // wanted if wanted in known else 0
    if wanted not in known:
        listed = ", ".join(map(str, known))
        raise UsageError(f"{flag}: expected one of {listed} for pictures of {size}x{size}, got {wanted}")
    if side == size:
        screen.note(f"{flag} {wanted}: inputs as large as their solutions; nothing is enlarged", "yellow")
    return side


def _to_search(
    options: Upsample, config: SearchConfig, generator: Generator, record: GeneratorRecord, screen: Screen
) -> dict[str, Any]:
    """What only a plan to search must find out."""
    if options.preset in PERCEPTUAL and options.perceptual is None:
        screen.note(f"--preset {options.preset}: without --perceptual, the LPIPS of its program's loss is left out.")
    generator = generators.with_fit(generator, options.generator, config, options.label, screen)
    needed = {need for term in parse_loss(config.loss) for need in TERMS[term.name].needs}
    flow = generator.flow
    if "flow" in needed and flow is not None and not flow.is_srls:
        screen.note(
            f"--preset {options.preset}: this generator's flow is another one than that of its program, which "
            "fit-prior --kind srls fits and convert --flow brings."
        )
    if options.no_noise and searched_layers(config, len(generator.noise_shapes)):
        raise UsageError(f"--no-noise: --preset {options.preset} searches noise inputs, which no key draws again")
    if options.rank == "plausible" and generator.plausibility is None:
        wanted = what_is_missing("plausibility", generator.config.has_mapping)
        raise UsageError(f"--rank plausible: needs {wanted.replace('GENERATOR', printable(record['folder']))}")
    additions = _additions(options, config, generator, screen)
    stops = options.solutions is not None and not options.diverse
    quota = Quota(*options.counts, stops=stops, diverse=options.diverse)
    return {
        "generator": generator,
        "quota": quota,
        "lanes": AutomaticLanes(generator, config, additions) if options.lanes == "auto" else options.lanes,
        "strict": options.strict,
        "ray": options.ray,
        "other_device": options.other_device,
        "compiles": True,
        "start": _start(options, quota.searches, config, generator, record["sha256"], screen),
        "additions": additions,
        "plausibility": None if generator.plausibility is None else PlausibilityJudge(generator),
        "rank": options.rank,
    }


def _to_interpolate(generator: Generator) -> dict[str, Any]:
    """The same of a plan that makes one solution of each input, without a search."""
    return {
        "generator": generator,
        "quota": Quota(1, 1, stops=False),
        "lanes": 1,
        "compiles": False,
    }


def _of_flag(error: ValueError) -> UsageError:
    """A setting's error, which begins with its name, as its flag's."""
    return UsageError(f"--{str(error).replace('_', '-', 1)}")


def _additions(options: Upsample, config: SearchConfig, generator: Generator, screen: Screen) -> Additions:
    draws = options.noise_samples
    if draws and not redrawn_layers(config, len(generator.noise_shapes)):
        screen.note("--noise-samples: every noise input is searched or zero; there is nothing to draw anew", "yellow")
        draws = 0
    return Additions(
        variations=Variations(generator, config, draws) if draws else None,
        animations=Animations(generator, config) if options.save_intermediate else None,
    )


# Starts after which rows lie on the same spheres.
_ON_SPHERES = {"uniform", "tiled", "surrogate"}


def _start(
    options: Upsample, searches: int, config: SearchConfig, generator: Generator, sha256: str, screen: Screen
) -> Start | None:
    """The first latents of a file, checked against the run that is to start from them."""
    path = options.init
    if path is None:
        return None
    name = printable(path)
    stored = read_latents(path, generator)
    latents = stored.latents if isinstance(stored, StoredSolutions) else stored.w
    if len(latents) < searches:
        raise UsageError(
            f"{name}: holds {len(latents)} solutions to start from, expected one for each of the "
            f"{searches} restarts; use --restarts {len(latents)}"
        )
    if not isinstance(stored, StoredSolutions):
        if config.space == "z":
            raise UsageError(
                f"--init: {name} holds w, from which no way leads back to z, where --preset {options.preset} searches; "
                "use another preset"
            )
        try:
            starts = [np.asarray(from_w(generator, config, jnp.asarray(w))) for w in latents[:searches]]
        except ValueError as error:
            raise RunError(f"{name}: {error}; use another preset") from error
        return Start(np.stack(starts), tuple(noise[:searches] for noise in stored.noise) or None)
    for setting in ("space", "start"):
        theirs, ours = getattr(stored.config, setting), getattr(config, setting)
        if theirs != ours and not {theirs, ours} <= _ON_SPHERES:
            raise RunError(f"{name}: searched with {setting} {theirs!r}, expected {ours!r}; use the same --preset")
    if stored.generator != sha256:
        screen.note(f"{name} was made with another generator of the same shape, or another label.")
    return Start(stored.latents[:searches], tuple(noise[:searches] for noise in noise_of(stored, generator)))


def _deciding(options: Upsample) -> dict[str, Any]:
    """Options that decide results by themselves, as JSON values by name; files by their contents."""
    found = {}
    for name, role in roles(type(options)).items():
        value = getattr(options, name)
        if role.decides == "contents":
            found[name] = None if value is None else sha256_of(value)
        elif role.decides == "value":
            found[name] = value
    return found


def _reported(options: Upsample) -> dict[str, Any]:
    """Options that `summary.json` repeats, as JSON values by name."""
    values = {name: getattr(options, name) for name, role in roles(type(options)).items() if role.reported}
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in values.items()}


def _repeated(options: Upsample, config: UpsamplingConfig) -> list[str]:
    """The words of a command that makes solutions again: what is always said first, then the search's, files last."""
    found = []
    for name, role in roles(type(options)).items():
        always = role.repeated == "always"
        if always or (role.repeated == "given" and _is_given(options, name)):
            value = getattr(options, name)
            if role.decides == "config":
                value = getattr(config, name, value)
            is_file = isinstance(value, Path)
            flag = f"--{name.replace('_', '-')}"
            words = [flag, str(value.absolute() if is_file else value)]
            found.append(((not always, role.decides != "config", is_file), words))
    return [word for _, words in sorted(found, key=lambda pair: pair[0]) for word in words]


def _is_given(options: Upsample, name: str) -> bool:
    """Whether an option is other than by default."""
    return getattr(options, name) != getattr(type(options), name)
