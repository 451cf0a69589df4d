"""First-order steps: every optimiser of `pulse_jax.optimizers` as a method, in one phase or several."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from pulse_jax.optimizers.registry import make_optimizer
from pulse_jax.optimizers.schedules import schedule
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.phases import hold, moved_only, phase_of
from pulse_jax.search.space import Variables

__all__ = ["gradient"]


class _PhasedState(NamedTuple):
    """The updates so far, and the state of the optimiser since its phase began."""

    count: Int[Array, ""]
    optimizer: Any


def gradient(setting: Setting) -> Method:
    """Return the method that follows the configured optimiser from every point looked at; it is not random.

    Phases, where there are any, move some variables each; the optimiser starts anew with each of them.
    """
    if setting.config.phases:
        return _phased(setting)
    optimizer = _optimizer(setting, setting.numbers["learning_rate"], setting.numbers["steps"])

    def init(point: Variables, key: PRNGKeyArray) -> Any:
        del key
        return optimizer.init(point)

    def update(key: PRNGKeyArray, state: Any, evaluation: Evaluation) -> tuple[Variables, Any]:
        del key
        updates, state = optimizer.update(_gradient(evaluation), state, evaluation.point)
        return _moved(evaluation.point, updates), state

    return Method(init, update)


def _optimizer(setting: Setting, rate: Any, steps: Any) -> optax.GradientTransformationExtraArgs:
    config = setting.config
    return make_optimizer(config.optimizer, schedule(config.schedule, rate, steps), setting.manifold)


def _gradient(evaluation: Evaluation) -> Variables:
    if evaluation.repulsion is None:
        return evaluation.gradient
    return evaluation.repulsion.added(evaluation.point, evaluation.loss, evaluation.gradient)[1]


def _moved(point: Variables, updates: Any) -> Variables:
    return jax.tree.map(jnp.add, point, updates)


def _phased(setting: Setting) -> Method:
    config, numbers, architecture = setting.config, setting.numbers, setting.architecture

    def init(point: Variables, key: PRNGKeyArray) -> _PhasedState:
        del key
        optimizer = _optimizer(setting, numbers["learning_rate"], numbers["steps"])
        return _PhasedState(jnp.int32(0), optimizer.init(point))

    def update(key: PRNGKeyArray, state: _PhasedState, evaluation: Evaluation) -> tuple[Variables, _PhasedState]:
        del key
        phase = phase_of(config.phases, state.count, numbers["steps"])
        optimizer = _optimizer(setting, numbers["learning_rate"] * phase.rate, phase.steps)
        fresh = optimizer.init(evaluation.point)
        memory = jax.tree.map(lambda new, old: jnp.where(phase.begins, new, old), fresh, state.optimizer)
        grads = hold(architecture, config, phase.index, _gradient(evaluation))
        updates: Any
        updates, memory = optimizer.update(grads, memory, evaluation.point)
        updates = moved_only(architecture, config, phase.index, updates)
        return _moved(evaluation.point, updates), _PhasedState(state.count + 1, memory)

    return Method(init, update)
