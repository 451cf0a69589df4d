"""Parts of a search that move some of its variables each: which part a step belongs to, and what may move in it.

All phases run in one program: a variable at rest keeps its place, rows that are tied get one gradient. So a search of
several rounds is a lane like any other. Sources: Poirier-Ginter and Lalonde 2023 (W, then W+, then W++), Daras et al.
2021 (ILO: offsets to deeper and deeper blocks).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pulse_jax.generators.architectures import ArchitectureConfig
from pulse_jax.search.config import Phase, SearchConfig
from pulse_jax.search.space import Variables, searched_blocks, searched_layers

__all__ = ["PhaseNow", "hold", "moved_only", "phase_of"]


class PhaseNow(NamedTuple):
    """Where a step stands.

    Attributes:
        index: Number of its phase.
        rate: Factor of that phase on the learning rate.
        steps: Length of that phase.
        begins: Whether the step is the phase's first.
    """

    index: Int[Array, ""]
    rate: Float[Array, ""]
    steps: Int[Array, ""]
    begins: Bool[Array, ""]


def phase_of(phases: Sequence[Phase], taken: Int[Array, ""], steps: int | Array) -> PhaseNow:
    """Return the phase of the step that follows `taken` others of `steps`, which phases share out by their shares."""
    ends = np.cumsum([phase.share for phase in phases]) / sum(phase.share for phase in phases)
    ends = jnp.round(jnp.asarray(ends, jnp.float32) * steps).astype(jnp.int32)
    starts = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
    index = jnp.minimum(jnp.sum(taken >= ends), len(phases) - 1)
    rates = jnp.asarray([phase.rate for phase in phases], jnp.float32)
    return PhaseNow(index, rates[index], jnp.maximum(ends - starts, 1)[index], taken == starts[index])


def _choose(phases: Sequence[Phase], index: Array, make: Callable[[Phase], Array]) -> Array:
    """What `make` gives for the phase of this index; phases that give the same share the work."""
    distinct = list(dict.fromkeys((phase.tied, phase.block) for phase in phases))
    made = [make(next(p for p in phases if (p.tied, p.block) == kind)) for kind in distinct]
    which = jnp.asarray([distinct.index((phase.tied, phase.block)) for phase in phases])[index]
    return jax.lax.select_n(which, *made) if len(made) > 1 else made[0]


def hold(
    architecture: ArchitectureConfig, config: SearchConfig, index: Int[Array, ""], gradients: Variables
) -> Variables:
    """Return the gradients in this phase: rows that are tied get the sum of theirs, what rests gets none."""
    layers = np.arange(len(gradients["latent"]))
    if config.space == "w++":
        layers = np.repeat(np.arange(len(architecture.filters)), architecture.filters)

    def tied(phase: Phase) -> Array:
        latent = gradients["latent"]
        if phase.tied == "all":
            return jnp.broadcast_to(jnp.sum(latent, axis=0), latent.shape)
        if phase.tied == "layer":
            return jax.ops.segment_sum(latent, layers, num_segments=int(layers[-1]) + 1)[layers]
        return latent

    return moved_only(architecture, config, index, gradients | {"latent": _choose(config.phases, index, tied)})


def moved_only(
    architecture: ArchitectureConfig, config: SearchConfig, index: Int[Array, ""], updates: Variables
) -> Variables:
    """Return the updates in this phase: zero for what rests."""
    moving = _moving_noise(architecture, config)
    if not np.all(moving):
        noise = zip(jnp.asarray(moving)[index], updates["noise"], strict=True)
        updates = updates | {"noise": tuple(jnp.where(moves, update, 0.0) for moves, update in noise)}
    blocks = searched_blocks(config)
    if not blocks:
        return updates
    rows = np.arange(len(updates["latent"]))[:, None]

    def moving_rows(phase: Phase) -> Array:
        return jnp.asarray(rows >= (0 if phase.block is None else architecture.rows_until(phase.block)))

    searched = jnp.asarray([-1 if phase.block is None else phase.block for phase in config.phases])[index]
    return updates | {
        "latent": jnp.where(_choose(config.phases, index, moving_rows), updates["latent"], 0.0),
        "features": tuple(
            jnp.where(searched == block, update, 0.0) for block, update in zip(blocks, updates["features"], strict=True)
        ),
    }


def _moving_noise(architecture: ArchitectureConfig, config: SearchConfig) -> Bool[np.ndarray, "phases searched"]:
    """Which of the searched noise inputs move in each phase."""
    count = len(architecture.noise_shapes)
    layers = np.asarray(
        searched_layers(config, count),
        int,
    )
    first = [0 if phase.block is None else architecture.noise_until(phase.block) for phase in config.phases]
    ends = [count if phase.noise_layers is None else phase.noise_layers for phase in config.phases]
    return np.asarray([(start <= layers) & (layers < end) for start, end in zip(first, ends, strict=True)])
