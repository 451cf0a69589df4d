"""The command `selfcheck`: what the program promises, checked on this device."""

import jax

from pulse_jax.cli import generators
from pulse_jax.cli.options.selfcheck import Selfcheck
from pulse_jax.engine.selfcheck import self_check
from pulse_jax.system.devices import kind_of_device
from pulse_jax.system.screen import Screen
from pulse_jax.system.selfchecks import note_outcome

__all__ = ["run_selfcheck"]


def run_selfcheck(options: Selfcheck, screen: Screen) -> int:
    """Check one promise after the other, a line for each, and write down whether all hold.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if something is not as promised.

    Raises:
        RunError: The embedded generator is damaged.
    """
    screen.result(f"{'device':14}{kind_of_device(jax.local_devices()[0])}")
    passed = True
    for finding in self_check(generators.open_generator(None)):
        passed &= finding.passed
        verdict = "ok" if finding.passed else "NOT AS PROMISED"
        screen.result(f"{finding.name:14}{finding.told}: {verdict}", "green" if finding.passed else "red")
    note_outcome(passed=passed)
    screen.result("All is as promised." if passed else "Not all is as promised on this device.", "bold")
    return 0 if passed else 1
