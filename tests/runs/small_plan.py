"""A plan of a run that costs nothing, and solutions of its inputs that nobody has searched for."""

import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.runs.inputs import Quota
from pulse_jax.runs.plan import RunPlan
from pulse_jax.search.presets import pulse
from pulse_jax.search.problems import Solution, Status

SIZE, SIDE = 16, 4


def small_plan(home, count=2, **changes):
    """A plan for `count` inputs in `home / "in"`; `changes` replace what it has."""
    (home / "in").mkdir(exist_ok=True)
    inputs = [home / "in" / f"{number}.png" for number in range(count)]
    for number, path in enumerate(inputs):
        save_png(path, np.random.default_rng(number).uniform(size=(SIDE, SIDE, 3)))
    generator = Generator.from_function(
        lambda params, w, noise: jnp.broadcast_to(w[0, :3], (SIZE, SIZE, 3)), {}, resolution=SIZE, latent_dim=4
    )
    plan = {
        "command": "upsample",
        "output": home / "out",
        "inputs": inputs,
        "generator": generator,
        "generator_record": {"folder": "somewhere", "sha256": "0" * 64, "architecture": {}},
        "config": pulse(eps=0.15),
        "size": SIZE,
        "quota": Quota(count=2, searches=2, stops=False),
        "seed": 7,
        "lanes": 2,
        "compiles": True,
        "footer": "at the foot",
        "versions": {"numpy": np.__version__},
        "device": {"platform": "cpu", "kind": "cpu", "count": 1},
        "deciding": {"seed": 7},
        "reported": {"seed": 7},
        "repeated": ["--preset", "pulse"],
    }
    return RunPlan(**(plan | changes))


def solution_of(plan, one, restart):
    """A random picture and the truth about it; black, and far from the input, for the first restart and input 1."""
    image = (np.random.default_rng((one.index, restart)).integers(0, 256, (SIZE, SIZE, 3)) / 255).astype(np.float32)
    image *= np.float32(restart > 0 and one.index != 1)
    small, error = Bicubic(SIZE // SIDE).compare(image.astype(np.float64), one.low_res.astype(np.float64))
    return Solution(
        index=one.index,
        restart=restart,
        image=image,
        downscaled=small.astype(np.float32),
        loss=1.0 + restart,
        downscaling_error=float(error),
        search_error=float(error),
        feasible=bool(error <= plan.config.eps),
        status=Status.MAX_STEPS,
        steps=10,
        latent=np.full((1, 4), restart, np.float32),
        w=np.full((2, 4), 2 * restart, np.float32),
        noise=(),
        key=np.array([one.index, restart], np.uint32),
    )
