"""The command `export`: a generator as another program's checkpoint."""

from pulse_jax.cli import generators
from pulse_jax.cli.options.export import Export
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.system.errors import RunError, UsageError
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
        UsageError: The file would lie inside the generator's folder.
        RunError: The generator cannot be used or has no such form, or the file cannot be written.
    """
    # Here, because the package of converters imports this one.
    import convert

    if options.generator.resolve() in options.file.resolve().parents:
        raise UsageError(f"{printable(options.file)}: lies inside the generator's folder; choose another place")
    generator = generators.open_generator(options.generator)
    try:
        arguments = convert.export_file(generator, options.file, options.naming, overwrite=options.overwrite)
    except convert.CheckpointError as error:
        raise RunError(printable(error, 600)) from error
    except ValueError as error:
        raise RunError(f"{printable(options.generator)}: {printable(error, 600)}") from error
    screen.result(f"{options.naming}: {printable(options.file)}", "bold")
    screen.note(f"Its class is to be made with {', '.join(f'{name}={value}' for name, value in arguments.items())}.")
    config = generator.config
    if options.naming != "ada" and isinstance(config, StyleGAN2Config) and config.conv_clamp is not None:
        screen.note(
            f"{options.naming} knows no clamp: where activations exceed {config.conv_clamp:g}, its pictures differ.",
            "yellow",
        )
    if options.naming == "basicsr" and generator.w_avg is not None:
        screen.note("BasicSR has no place for the mean of w, which it draws anew.")
    return 0
