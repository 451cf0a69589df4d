"""The command `convert`: a generator folder from a checkpoint of another program."""

from typing import TYPE_CHECKING

import jax

from pulse_jax.cli.options.convert import Convert
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable

if TYPE_CHECKING:
    from convert.networks import Account

__all__ = ["run_convert"]


def run_convert(options: Convert, screen: Screen) -> int:
    """Convert a checkpoint, or say what it is.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if the checkpoint that was inspected cannot be converted.

    Raises:
        RunError: The checkpoint cannot be read or converted, or the output cannot be written.
    """
    # Here, because the package of converters imports this one.
    import convert

    clamp = "file" if options.clamp is None else options.clamp or None
    try:
        if options.inspect:
            inspection = convert.inspect(
                options.paths, clamp=clamp, network=options.network, resolution=options.resolution
            )
            for line in inspection.lines():
                screen.result(line)
            return 1 if inspection.fault else 0
        *checkpoints, output = options.paths
        if options.perceptual:
            convert.convert_perceptual(checkpoints, output, overwrite=options.overwrite)
            screen.result(f"VGG16 and the heads of LPIPS in {printable(output)}", "bold")
            return 0
        if options.flow:
            convert.convert_flow(checkpoints, output, overwrite=options.overwrite)
            screen.result(f"flow of SRLS's program in {printable(output)}", "bold")
            return 0
        screen.note("reading; then a Gaussian is fitted to the mapping network, unless a file holds one ...")
        with Count(screen, "fitting") as count:
            generator = convert.convert(
                checkpoints,
                output,
                samples=options.samples,
                clamp=clamp,
                network=options.network,
                resolution=options.resolution,
                overwrite=options.overwrite,
                on_recognised=lambda found: _tell(found, screen),
                on_progress=count.update,
            )
    except (convert.CheckpointError, GeneratorError) as error:
        raise RunError(printable(error, 600)) from error
    parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.params))
    size = generator.resolution
    screen.result(f"{size}x{size}, {parameters:,} parameters in {printable(output)}", "bold")
    if not generator.config.has_mapping:
        screen.result("There is no mapping network: only searches of w can be made (pulse and its kin).", "yellow")
    return 0


def _tell(found: "Account", screen: Screen) -> None:
    """Which network is converted, where a file holds several."""
    family = found.plan.family
    if found.left:
        screen.note(printable(f"{found.network}: {family}; left: {'; '.join(found.left)}", 600))
    else:
        screen.note(printable(family))
    if found.plan.note:
        screen.note(found.plan.note)
