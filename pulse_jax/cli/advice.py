"""What to try where searches have missed."""

from pulse_jax.runs.plan import RunPlan

__all__ = ["advice"]

# The largest error that damage to an input explains.
_IMPURE = 1.2e-2


def advice(plan: RunPlan, error: float) -> str:
    """Return what may help where inputs have no feasible solution.

    Saving an 8x8 picture as JPEG alone costs 1.2e-3 (quality 95) to 1.2e-2 (quality 10), noise of 5 % 2.6e-3: nothing
    that downscales exactly looks so. What D has made of larger pictures has none of that.

    Args:
        plan: Plan of the run.
        error: Median of these inputs' lowest errors.
    """
    if error <= _IMPURE and plan.input_size is None and plan.alignment is None:
        return (
            "Inputs that were saved as JPEG, are noisy or were downscaled in another way cannot be met more closely "
            f"than about 1e-3 to 1e-2: --eps {2 * error:.1g} accepts such ones. "
            "Else more --restarts or --steps may help."
        )
    drawn = (
        "the embedded one draws rendered heads, hardly photographs (pulse-jax convert brings others)"
        if plan.generator_record["folder"] == "embedded"
        else "the generator must be able to draw it"
    )
    more = "More --restarts or --steps may help; else" if error <= _IMPURE else "More searching hardly helps:"
    return (
        f"{more} a face must lie in the picture as the generator's do (upright, eyes above the middle, filling it"
        f"{'' if plan.alignment else '; --align cuts photographs so'}), and {drawn}. eps is {plan.config.eps:g}."
    )
