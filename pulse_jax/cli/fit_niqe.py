"""The command `fit-niqe`: a model of NIQE of the user's photographs."""

from pulse_jax.cli.options.fit_niqe import FitNiqe
from pulse_jax.images.errors import ImageError
from pulse_jax.reports.niqe import fit_niqe_model, save_niqe_model
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, reason_of

__all__ = ["run_fit_niqe"]


def run_fit_niqe(options: FitNiqe, screen: Screen) -> int:
    """Fit and write the model.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some picture was left out.

    Raises:
        RunError: The folder cannot be used or holds too few pictures, or the file cannot be written.
    """
    try:
        model, left_out = fit_niqe_model(options.folder)
    except (ImageError, ValueError) as error:
        raise RunError(printable(error, 600)) from error
    try:
        save_niqe_model(options.file, model)
    except OSError as error:
        raise RunError(f"{printable(options.file)}: cannot be written ({reason_of(error)})") from error
    for line in left_out:
        screen.error(f"left out: {line}")
    screen.result(f"{printable(options.file)}: numbers by it compare with one another, not with other models'.", "bold")
    return 1 if left_out else 0
