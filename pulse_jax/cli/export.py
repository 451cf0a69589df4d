"""The command `export`: a generator as another program's checkpoint."""

from pulse_jax.cli import generators
from pulse_jax.cli.options.export import Export
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_export"]


def run_export(options: Export, screen: Screen) -> int:
    """Write the file.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code.

    Raises:
        RunError: The generator cannot be used or has no such form, or the file cannot be written.
    """
    # Here, because the package of converters imports this one.
    import convert

    generator = generators.open_generator(options.generator)
    try:
        convert.export_file(generator, options.file, options.naming, overwrite=options.overwrite)
    except convert.CheckpointError as error:
        raise RunError(printable(error, 600)) from error
    except ValueError as error:
        raise RunError(f"{printable(options.generator)}: {printable(error, 600)}") from error
    screen.result(f"{options.naming}: {printable(options.file)}", "bold")
    config = generator.config
    if isinstance(config, StyleGAN2Config) and config.conv_clamp is not None:
        screen.note(
            f"The clamp of {config.conv_clamp:g} is a setting of the program's class (conv_clamp), not in the file."
        )
    return 0
