"""Fitting a flow to the outputs of a mapping network: maximum likelihood, early stopping, going on where it ended.

Source: SRLS, appendix A.2, and its program's settings, which are the defaults here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pulse_jax.generators.priors.flow import (
    MOST_LOG_SCALE,
    Flow,
    autoregress,
    forward,
    init_blocks,
    log_prob,
    standardize,
)
from pulse_jax.generators.priors.moments import SLOPE, Mapping, draw_latents, measure_moments, undo_leaky_relu
from pulse_jax.generators.priors.principal import LEAST_VARIANCE, PrincipalFit

__all__ = ["FitState", "fit_flow"]

_EPSILON = 1e-5  # added to batch normalisation's variances
_LEAST_POWER = 1 / 16  # of a radial map; the most is 1, with which nothing far away can overflow
_HELD_OUT = 10  # the last of so many parts of the samples
_STEPS, _ROWS = 50, 4_000  # at once: steps between two calls of `on_progress`, and rows where nothing is learned


class FitState(NamedTuple):
    """A fit under way: a pytree of arrays from which `fit_flow` goes on as if it had never stopped.

    Attributes:
        parameters: What is learned: the blocks, and batch normalisation's logarithmic gains and offsets, (k, d).
        optimizer: State of Adam.
        step: Number of steps that were taken.
        loss: Sum of the losses of the epoch under way.
        best: Flow of the best epoch so far.
        best_epoch: Number of that epoch, counted from 1; 0 before the first has ended.
        history: Mean log likelihood of the training and of the held-out samples, for every epoch, (epochs, 2).
    """

    parameters: Any
    optimizer: Any
    step: Int[Array, ""]
    loss: Float[Array, ""]
    best: Flow
    best_epoch: Int[Array, ""]
    history: Float[Array, "epochs 2"]


@dataclass(frozen=True)
class FlowFit:
    """A fitted flow, its epoch from 1, and its mean log likelihood of held-out samples; `history` as in `FitState`."""

    flow: Flow
    epoch: int
    log_prob: float
    history: np.ndarray


def fit_flow(
    mapping: Mapping,
    key: PRNGKeyArray,
    latent_dim: int,
    *,
    principal: PrincipalFit | None = None,
    hidden: int = 1024,
    blocks: int = 5,
    samples: int = 2_000_000,
    batch: int = 100,
    learning_rate: float = 1e-4,
    weight_decay: float = 1e-6,
    patience: int = 30,
    epochs: int | None = None,
    statistics: int = 100_000,
    noise: float = 0.0,
    program: bool = False,
    state: Sequence[np.ndarray | Array] | None = None,
    on_progress: Callable[[FitState, int], object] | None = None,
) -> FlowFit:
    """Fit a flow to w = mapping(z), z ~ N(0, I), by maximum likelihood, with the weights that are best on held-out w.

    Samples are drawn and mapped on the device whenever they are needed, and never held together; sample i depends on
    `key` and i alone. The last tenth is held out. Batch normalisation's statistics are those of the batch while it
    learns; to evaluate, those of one large set of training samples, exact block by block.

    Args:
        mapping: Mapping network, z (n, latent_dim) -> w (n, d).
        key: Random key of the samples, their order and the first weights.
        latent_dim: Width of z.
        principal: Fit that the blocks start from; by default each dimension of w is standardised on its own, as SRLS
            does.
        hidden: Width of every MADE's two hidden layers.
        blocks: Number of blocks.
        samples: Number of samples, at least 20.
        batch: Number of training samples per step; a CPU wants about 1000 and a learning rate of 1e-3.
        learning_rate: Learning rate of Adam; it falls to 0 as half a cosine over `epochs`, and stays as it is without.
        weight_decay: Factor on the weights that is added to the gradients.
        patience: Number of epochs without gain on the held-out samples after which it ends.
        epochs: Number of epochs at most; None for as many as `patience` allows.
        statistics: Number of training samples, at most, that batch normalisation's statistics and the radial map are
            of; they are held together.
        noise: Standard deviation of Gaussian noise on lrelu_5(w) while the flow learns, as a share of that vector's own
            (the root mean square over its dimensions). w may lie so close to a thin sheet that without it the density
            falls off beside the sheet too steeply for any search to follow. What the noise has done to the norms of
            F(w) is then set right by the radial map that makes w itself likeliest: their mean square is d.
        program: Whether scales are without bound, hidden units in the order, and first weights orthogonal, all layers'
            of them, as in SRLS's program; where it fits, this hardly matters.
        state: Leaves, `jax.tree.leaves`, of what `on_progress` got from a call with the same arguments, to go on from.
        on_progress: Function that is called every few steps with the state and the number of steps of an epoch.

    Raises:
        ValueError: A number is out of range, `state` is of another fit, a dimension of w does not vary,
            or the likelihood diverges.
    """
    _check_positive(hidden=hidden, blocks=blocks, batch=batch, patience=patience, statistics=statistics)
    training = samples - samples // _HELD_OUT
    if samples < 2 * _HELD_OUT or batch > training:
        raise ValueError(f"samples: expected at least 20, and a batch of {batch} in 9 tenths of them, got {samples}")
    if not 0.0 <= noise < math.inf:
        raise ValueError(f"noise: expected 0 or more, got {noise}")
    sample_key, order_key, weight_key, noise_key = jax.random.split(key, 4)
    mean, std, basis = _standardization(mapping, sample_key, latent_dim, training, principal)
    sigma = noise * _spread(mapping, sample_key, latent_dim, training, principal) if noise else 0.0
    if basis is not None:
        std = jnp.sqrt(jnp.square(std) + sigma**2)
    steps = training // batch
    rate = learning_rate if epochs is None else optax.cosine_decay_schedule(learning_rate, epochs * steps)
    optimizer = optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate))

    def draw(numbers: Array) -> Array:
        return mapping(draw_latents(sample_key, numbers, latent_dim)).astype(jnp.float32)

    def draw_with_noise(numbers: Array) -> Array:
        w = draw(numbers)
        if not noise:
            return w
        drawn = draw_latents(noise_key, numbers, w.shape[1])
        return jax.nn.leaky_relu(undo_leaky_relu(w) + sigma * drawn, SLOPE)

    def standard(w: Array) -> tuple[Array, Array]:
        return standardize(mean, std, basis, w)

    def whole(parameters: Any) -> Any:
        """The parameters with what of the blocks is not learnt."""
        return parameters | {"blocks": parameters["blocks"] | fixed}

    # What the steps change, without what grows: another shape would compile anew.
    @jax.jit
    def advance(learning: tuple[Any, Any, Array, Array], order: Array, count: Array) -> tuple[Any, Any, Array, Array]:
        def step(_: Array, learning: tuple[Any, Any, Array, Array]) -> tuple[Any, Any, Array, Array]:
            parameters, moments, number, total = learning
            w = draw_with_noise(jax.lax.dynamic_slice(order, (number % steps * batch,), (batch,)))
            loss, gradient = jax.value_and_grad(lambda learnt: _loss(whole(learnt), *standard(w)))(parameters)
            updates, moments = optimizer.update(gradient, moments, parameters)
            return optax.apply_updates(parameters, updates), moments, number + 1, total + loss

        return jax.lax.fori_loop(0, count, step, learning)

    @jax.jit
    def evaluate(parameters: Any) -> tuple[Flow, Array]:
        rows = min(_ROWS, training, statistics)
        numbers = jnp.arange(min(training, statistics) // rows * rows, dtype=jnp.uint32).reshape(-1, rows)
        x = jax.lax.map(lambda numbers: standard(draw_with_noise(numbers))[0], numbers)
        parameters = whole(parameters)
        flow = Flow(mean, std, basis, parameters["blocks"], *_normalization(parameters, x))
        if noise:
            norms = jax.lax.map(lambda i: jnp.linalg.norm(forward(flow, draw(i))[0], axis=-1), numbers)
            flow = flow._replace(radial=_likeliest_radial(jnp.log(norms).ravel(), len(mean)))
        held_out = jnp.arange(training, samples, dtype=jnp.uint32)
        return flow, jnp.mean(jax.lax.map(lambda i: log_prob(flow, draw(i[None])[0]), held_out, batch_size=_ROWS))

    @jax.jit
    def shuffled(epoch: Array | int) -> Array:
        return jax.random.permutation(jax.random.fold_in(order_key, epoch), jnp.arange(training, dtype=jnp.uint32))

    init = _program_blocks if program else init_blocks
    made = jax.jit(init, static_argnums=(1, 2, 3))(weight_key, blocks, hidden, len(mean))
    fixed = {name: made.pop(name) for name in ("degrees", "limit") if name in made}
    zeros = jnp.zeros((blocks, len(mean)), jnp.float32)
    radial = jnp.ones(2, jnp.float32) if noise else None
    flow = Flow(mean, std, basis, made | fixed, jnp.ones_like(zeros), zeros, radial)
    now = _restored(_start(flow, made, optimizer), state)
    order, ordered = jnp.zeros(0), -1
    while not _is_over(now, patience, epochs):
        epoch = len(now.history)
        if ordered != epoch:
            order, ordered = shuffled(epoch), epoch
        done = int(now.step) - epoch * steps
        learned = advance(now[:4], order, jnp.asarray(min(_STEPS, steps - done)))
        now = now._replace(**dict(zip(FitState._fields, learned, strict=False)))
        if not math.isfinite(float(now.loss)):
            raise ValueError(f"learning_rate: the likelihood diverged with {learning_rate}; expected a lower one")
        if int(now.step) == (epoch + 1) * steps:
            now = _end_epoch(now, steps, *evaluate(now.parameters))
        if on_progress is not None:
            on_progress(now, steps)
    best = int(now.best_epoch)
    history = np.asarray(now.history)
    return FlowFit(now.best, best, float(history[best - 1, 1]), history)


def _check_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")


def _standardization(
    mapping: Mapping, key: PRNGKeyArray, latent_dim: int, count: int, principal: PrincipalFit | None
) -> tuple[Array, Array, Array | None]:
    """Mean, standard deviation and basis that a flow's blocks start from."""
    if principal is None:
        moments = measure_moments(mapping, key, latent_dim, samples=count)
        mean = jnp.asarray(moments.mean, jnp.float32)
        std = jnp.asarray(np.sqrt(moments.scatter / (count - 1)), jnp.float32)
        basis = None
    else:
        mean, basis, std = principal
        # What varies too little to be measured gets what could just be: the blocks and their normalisation do the rest.
        std = jnp.where(std > 0, std, math.sqrt(LEAST_VARIANCE) * std[0])
    still = int(jnp.sum(std <= 0))
    if still:
        raise ValueError(f"mapping: expected every dimension of w to vary, {still} of {len(std)} do not")
    return mean, std, basis


def _spread(
    mapping: Mapping, key: PRNGKeyArray, latent_dim: int, count: int, principal: PrincipalFit | None
) -> Array | float:
    """The root mean square of the standard deviations of lrelu_5(w)."""
    if principal is not None:
        return jnp.sqrt(jnp.mean(jnp.square(principal.std)))
    moments = measure_moments(lambda z: undo_leaky_relu(mapping(z)), key, latent_dim, samples=count)
    return float(np.sqrt(np.mean(moments.scatter) / (count - 1)))


def _program_blocks(key: PRNGKeyArray, blocks: int, hidden: int, width: int) -> dict[str, Array]:
    """As `init_blocks`: SRLS's hidden units, unbounded scales, and orthogonal weights where they are not masked."""
    degrees = jnp.arange(hidden) % max(width - 1, 1)
    inputs = jnp.arange(width)
    masks = [inputs[:, None] <= degrees, degrees[:, None] <= degrees, jnp.tile(degrees[:, None] < inputs, (1, 2))]
    orthogonal = jax.nn.initializers.orthogonal()

    def block(key: PRNGKeyArray) -> dict[str, Array]:
        keys = jax.random.split(key, len(masks))
        first, second, last = (orthogonal(k, mask.shape) * mask for k, mask in zip(keys, masks, strict=True))
        weights = {"1": first, "2": second, "mean": last[:, :width], "log_scale": last[:, width:]}
        biases = {f"bias_{name}": jnp.zeros(weight.shape[1]) for name, weight in weights.items()}
        return {f"weight_{name}": weight for name, weight in weights.items()} | biases

    made = jax.vmap(block)(jax.random.split(key, blocks))
    fixed = {"degrees": jnp.tile(degrees.astype(jnp.float32), (blocks, 1)), "limit": jnp.full(blocks, MOST_LOG_SCALE)}
    return made | fixed


def _start(flow: Flow, learnt: dict[str, Array], optimizer: optax.GradientTransformation) -> FitState:
    parameters = {"blocks": learnt, "log_gain": jnp.log(flow.scale), "offset": flow.shift}
    return FitState(
        parameters=parameters,
        optimizer=optimizer.init(parameters),
        step=jnp.zeros((), jnp.int32),
        loss=jnp.zeros((), jnp.float32),
        best=flow,
        best_epoch=jnp.zeros((), jnp.int32),
        history=jnp.zeros((0, 2), jnp.float32),
    )


def _likeliest_radial(log_norms: Float[Array, " n"], d: int) -> Float[Array, "2"]:
    """The gain, and the power up to 1, by which vectors of these norms r become likeliest under a Gaussian of width d.

    For a power p the gain is (d / mean r^2p)^(1/2). What remains, log p + d · (p · mean log r − log(mean r^2p) / 2), is
    concave in p, and its slope 1/p + d · (mean log r − the mean of log r weighted by r^2p).
    """
    centre = jnp.mean(log_norms)
    log_norms = log_norms - centre

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        power = jnp.sqrt(low * high)
        weighted = jnp.sum(jax.nn.softmax(2 * power * log_norms) * log_norms)
        rises = 1 / power > d * weighted
        return jnp.where(rises, power, low), jnp.where(rises, high, power)

    power = jax.lax.fori_loop(0, 30, halve, (jnp.float32(_LEAST_POWER), jnp.float32(1)))[0]
    mean = jax.nn.logsumexp(2 * power * log_norms) - math.log(len(log_norms))
    return jnp.stack([jnp.exp(0.5 * (math.log(d) - mean) - power * centre), power])


def _restored(start: FitState, leaves: Sequence[np.ndarray | Array] | None) -> FitState:
    if leaves is None:
        return start
    expected = jax.tree.leaves(start)
    *_, history = (np.shape(leaf) for leaf in leaves) if len(leaves) else ((),)
    shapes = [*(leaf.shape for leaf in expected[:-1]), (history[0] if history else 0, 2)]
    if [np.shape(leaf) for leaf in leaves] != shapes:
        raise ValueError("state: expected the leaves of a fit with the same sizes, got other shapes")
    arrays = [jnp.asarray(leaf, like.dtype) for leaf, like in zip(leaves, expected, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(start), arrays)


def _is_over(state: FitState, patience: int, epochs: int | None) -> bool:
    done = len(state.history)
    return done == epochs or done - int(state.best_epoch) >= patience


def _end_epoch(state: FitState, steps: int, flow: Flow, held_out: Array) -> FitState:
    row = np.asarray([[-float(state.loss) / steps, float(held_out)]], np.float32)
    history = np.concatenate([np.asarray(state.history), row])
    best = int(state.best_epoch)
    gains = math.isfinite(row[0, 1]) and (not best or row[0, 1] > history[best - 1, 1])
    return state._replace(
        loss=jnp.zeros_like(state.loss),
        best=flow if gains else state.best,
        best_epoch=jnp.asarray(len(history), jnp.int32) if gains else state.best_epoch,
        history=jnp.asarray(history),
    )


def _layers(parameters: Any) -> tuple[Any, Array, Array]:
    return parameters["blocks"], parameters["log_gain"], parameters["offset"]


def _loss(parameters: Any, x: Float[Array, "n d"], log_det: Float[Array, " n"]) -> Float[Array, ""]:
    """Minus the mean log likelihood of standardised samples, normalised by their own statistics."""

    def block(carry: tuple[Array, Array], layer: tuple[Any, Array, Array]) -> tuple[tuple[Array, Array], None]:
        x, log_det = carry
        made, log_gain, offset = layer
        u, block_log_det = autoregress(made, x)
        mean, variance = jnp.mean(u, axis=0), jnp.var(u, axis=0) + _EPSILON
        y = (u - mean) * (jnp.exp(log_gain) / jnp.sqrt(variance)) + offset
        return (y[:, ::-1], log_det + block_log_det + jnp.sum(log_gain - 0.5 * jnp.log(variance))), None

    (u, log_det), _ = jax.lax.scan(block, (x, log_det), _layers(parameters))
    return -jnp.mean(log_det - 0.5 * jnp.sum(jnp.square(u), axis=-1)) + 0.5 * x.shape[-1] * math.log(2 * math.pi)


def _normalization(parameters: Any, x: Float[Array, "parts rows d"]) -> tuple[Array, Array]:
    """Batch normalisation's scale and shift (k, d), with the statistics of standardised samples, held together."""

    def block(x: Array, layer: tuple[Any, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        made, log_gain, offset = layer
        u = jax.lax.map(lambda rows: autoregress(made, rows)[0], x)
        mean = jnp.mean(jnp.mean(u, axis=1), axis=0)
        variance = jnp.mean(jnp.mean(jnp.square(u - mean), axis=1), axis=0) + _EPSILON
        scale = jnp.exp(log_gain) / jnp.sqrt(variance)
        shift = offset - mean * scale
        return (u * scale + shift)[..., ::-1], (scale, shift)

    return jax.lax.scan(block, x, _layers(parameters))[1]
