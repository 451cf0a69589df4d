"""Fitting a surrogate of D∘G: an active subspace, samples of values and products, and a network that learns both.

An evaluation is one image and one product with the transposed Jacobian of D∘G, as one look of a search is: nothing
else is asked of the generator, and no Jacobian is ever made whole. Losses of values and derivatives together are
Czarnecki et al. 2017, "Sobolev training for neural networks"; samples where the surrogate itself leads are Ross,
Gordon and Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret online learning".
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit, w_to_whitened, whitened_to_w
from pulse_jax.generators.priors.moments import measure_moments
from pulse_jax.generators.priors.surrogate import Surrogate, approach, in_metric
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.manifold import sphere

__all__ = ["SurrogateFit", "SurrogateFitState", "fit_surrogate"]

# Samples at once: of small pictures, of larger ones on an accelerator, and of those on a CPU, where each takes 2 GB.
_LANES, _SMALL = (16, 4, 1), 128
_ROWS = 256  # samples of a learning step
_CALL = 25  # learning steps between two calls of `on_progress`
_HELD_OUT = 32  # every sample of such a number is held out
_MAPPED = 100_000  # random w of the metric
# The metric's share of the identity, for what mapped w hardly varies in.
_ISOTROPIC = 1.0
# Steps of the approach that on-policy samples come from.
_ON_POLICY_STEPS = 3
_RATE, _DECAY = 1.5e-3, 0.3
# The part of the steps that is taken with the first half of the samples.
_FIRST = 0.5
# Sets keys apart, of a sample's cotangent and of its start.
_COTANGENT, _ON_POLICY = 1, 2


class SurrogateFitState(NamedTuple):
    """A fit under way: arrays from which `fit_surrogate` goes on as if it had never stopped; samples fill it in place.

    Attributes:
        sensed: Evaluations whose products are in `energy`, the sum of g gᵀ of products g (L · d), (L · d, L · d).
        metric: See `Surrogate`.
        basis, offset: Coordinates (k,) of rows u are basisᵀ u + offset while the network learns; (L · d, k) and (k,).
        kept: Share of the products' squares that the basis sees.
        drawn: Samples so far, of which `coordinates` (n, k), `values` (n, m), in half precision, and `products` (n, k).
        parameters, optimizer, learned: What learns, and steps so far.
    """

    sensed: Any
    energy: Any
    metric: Any
    basis: Any
    offset: Any
    kept: Any
    drawn: Any
    coordinates: Any
    values: Any
    products: Any
    parameters: Any
    optimizer: Any
    learned: Any


@dataclass(frozen=True)
class SurrogateFit:
    """A fitted surrogate, and how far it is off on held-out samples.

    Attributes:
        surrogate: The surrogate.
        value_error: Root mean squared error of its images.
        value_share: Their squared error, as a share of the images' variance.
        product_share: Squared error of vector–Jacobian products, as a share of their squares, in the coordinates.
        training_product_share: The same of samples that were learned.
        kept: Share of the products' squares that the coordinates see at all.
        evaluations: What the fit has cost.
    """

    surrogate: Surrogate
    value_error: float
    value_share: float
    product_share: float
    training_product_share: float
    kept: float
    evaluations: int


@dataclass(frozen=True)
class _Sizes:
    """What the arrays' shapes follow from."""

    layers: int
    width: int
    pixels: int
    coordinates: int
    hidden: int
    samples: int


def fit_surrogate(
    generator: Generator,
    key: PRNGKeyArray,
    *,
    factor: int,
    coordinates: int = 192,
    hidden: int = 448,
    directions: int = 8_192,
    samples: int = 50_000,
    steps: int = 8_000,
    state: Sequence[np.ndarray] | None = None,
    on_progress: Callable[[str, SurrogateFitState, int, int], object] | None = None,
) -> SurrogateFit:
    """Fit a surrogate to a generator behind bicubic downscaling, over the starts that searches make.

    It costs `directions` + `samples` evaluations, by default 58,192, each what one look of a search costs. At 1024×1024
    that is some minutes of a large accelerator (an H100 took 478 looks a second in bfloat16; this is in float32), and
    about a day of a CPU, where a fifth of them would have to do. Memory is 2 (m + 4 k) bytes a sample and several
    times 4 (L d)² for the subspace: about 2 GB with inputs of 32×32. Half of the samples are spread around mapped and
    uniform points; then a first network is fitted, and the others are taken near where it leads.

    Args:
        generator: Generator with a mapping network and a Gaussian fit.
        key: Random key of everything.
        factor: Factor by which D downscales.
        coordinates: k, the dimension of the subspace.
        hidden: Width of the network's two hidden layers.
        directions: Evaluations that the subspace is found from.
        samples: Evaluations that the network learns from, those held out included.
        steps: Learning steps, of 256 samples each.
        state: Leaves, `jax.tree.leaves`, of what `on_progress` got from a call with the same arguments, to go on from.
        on_progress: Function that is called every few evaluations or steps with what is being done, the state, and how
            much is done, out of how much.

    Raises:
        ValueError: A number is out of range, `state` is of another fit, or D∘G does not vary or has no numbers.
    """
    rows, side = generator.num_layers * generator.latent_dim, generator.resolution // factor
    for name, value, least in (
        ("samples", samples, 4 * _HELD_OUT),
        ("directions", directions, 1),
        ("hidden", hidden, 1),
    ):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    if steps < 4:
        raise ValueError(f"steps: expected at least 4, got {steps}")
    if not 1 <= coordinates <= rows:
        raise ValueError(f"coordinates: expected 1 to {rows}, the numbers of a latent, got {coordinates}")
    if generator.gaussian_fit is None:
        raise ValueError("generator: expected one with a Gaussian fit, got none")
    sizes = _Sizes(generator.num_layers, generator.latent_dim, 3 * side**2, coordinates, hidden, samples)
    fit = _Fitting(generator, key, factor, sizes, steps, on_progress)
    now = fit.restored(state)
    now = fit.sense(now, directions)
    half = samples // 2
    first = max(1, round(steps * _FIRST))
    now = fit.draw(now, 0, half)
    now = fit.learn(now, half, 0, first)
    now = fit.draw(now, half, samples)
    now = fit.learn(now, samples, first, steps)
    return fit.judged(now, directions)


class _Fitting:
    """What the parts of one fit share."""

    def __init__(
        self,
        generator: Generator,
        key: PRNGKeyArray,
        factor: int,
        sizes: _Sizes,
        steps: int,
        on_progress: Callable[[str, SurrogateFitState, int, int], object] | None,
    ) -> None:
        self._mapping, self._latent = generator.latent_sampler()
        self._generator = generator.prepared(jax.default_backend())
        assert generator.gaussian_fit is not None
        self._fit: GaussianFit = generator.gaussian_fit
        self._sense_key, self._sample_key, self._learn_key, self._metric_key = jax.random.split(key, 4)
        self._factor, self._sizes, self._steps = factor, sizes, steps
        small, cpu = generator.resolution <= _SMALL, jax.default_backend() == "cpu"
        self._lanes = _LANES[0 if small else 2 if cpu else 1]
        self._side = generator.resolution // factor
        self._radius = math.sqrt(sizes.width)
        self._tell = on_progress or (lambda *_: None)
        self._evaluate = jax.jit(self._evaluated)
        self._draw_off = jax.jit(jax.vmap(self._off_policy))
        self._draw_on = jax.jit(self._on_policy_each)

    def restored(self, leaves: Sequence[np.ndarray] | None) -> SurrogateFitState:
        start = self._start()
        if leaves is None:
            return start
        expected, structure = jax.tree.flatten(start)
        if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in expected]:
            raise ValueError("state: expected the leaves of a fit with the same sizes, got other shapes")
        return jax.tree.unflatten(structure, [np.array(leaf) for leaf in leaves])

    def _start(self) -> SurrogateFitState:
        sizes = self._sizes
        whole, k, h, m = sizes.layers * sizes.width, sizes.coordinates, sizes.hidden, sizes.pixels
        keys = jax.random.split(jax.random.fold_in(self._learn_key, 0), 3)
        parameters = {
            "weight_1": jax.random.normal(keys[0], (k, h)) / math.sqrt(k),
            "bias_1": jnp.zeros(h),
            "weight_2": jax.random.normal(keys[1], (h, h)) / math.sqrt(h),
            "bias_2": jnp.zeros(h),
            "weight_3": jax.random.normal(keys[2], (h, m)) * (0.01 / math.sqrt(h)),
            "linear": jnp.zeros((k, m)),
            "bias_3": jnp.full(m, 0.5),
        }
        return SurrogateFitState(
            sensed=np.int32(0),
            energy=np.zeros((whole, whole), np.float32),
            metric=np.zeros((sizes.width, sizes.width), np.float32),
            basis=np.zeros((whole, k), np.float32),
            offset=np.zeros(k, np.float32),
            kept=np.float32(0),
            drawn=np.int32(0),
            coordinates=np.zeros((sizes.samples, k), np.float32),
            values=np.zeros((sizes.samples, m), np.float16),
            products=np.zeros((sizes.samples, k), np.float32),
            parameters=parameters,
            optimizer=_optimizer(1).init(parameters),
            learned=np.int32(0),
        )

    # What is sampled.

    def _mapped(self, key: PRNGKeyArray, count: int) -> Float[Array, "n d"]:
        w = self._mapping(jax.random.normal(key, (count, self._latent)))
        return self._on_sphere(w_to_whitened(w, self._fit))

    def _on_sphere(self, rows: Array) -> Array:
        return sphere.project(rows, radius=self._radius)

    def _off_policy(self, key: PRNGKeyArray) -> Float[Array, "layers d"]:
        """Around a mapped point, a uniform one or one between: rows differ not at all, or up to .7 of the way."""
        sizes, keys = self._sizes, jax.random.split(key, 7)
        base, uniform = self._mapped(keys[0], 1), jax.random.normal(keys[1], (1, sizes.width))
        share = jax.random.choice(keys[2], jnp.array([0.0, 0.0, 0.0, 1.0, 0.5]))
        base = self._on_sphere(jnp.sqrt(1 - share) * base + jnp.sqrt(share) * self._on_sphere(uniform))
        apart = jax.random.uniform(keys[3]) * jax.random.choice(keys[4], jnp.array([0.0, 0.35, 0.7]))
        white = jax.random.normal(keys[5], (sizes.layers, sizes.width))
        other = jnp.where(jax.random.bernoulli(keys[6]), self._mapped(keys[5], sizes.layers), white)
        return self._on_sphere(jnp.sqrt(1 - apart**2) * base + apart * other)

    def _on_policy(self, surrogate: Surrogate, key: PRNGKeyArray, target: Array) -> Float[Array, "layers d"]:
        """Near where the surrogate leads from a mapped or uniform point for an image that others have made."""
        sizes, keys = self._sizes, jax.random.split(jax.random.fold_in(key, _ON_POLICY), 6)
        uniform = jax.random.normal(keys[0], (1, sizes.width))
        start = jnp.where(jax.random.bernoulli(keys[1], 0.7), self._mapped(keys[2], 1), self._on_sphere(uniform))
        disturbed = 0.03 * jax.random.bernoulli(keys[3], 0.3) * jax.random.normal(keys[4], target.shape)
        start = jnp.broadcast_to(start, (sizes.layers, sizes.width))
        image = (target.astype(jnp.float32) + disturbed).reshape(self._side, self._side, 3)
        rows = approach(surrogate, start, image, self._generator.resolution, steps=_ON_POLICY_STEPS)
        away, way = jax.random.split(keys[5])
        scale = 0.15 * jax.random.uniform(away)
        return self._on_sphere(rows + scale * jax.random.normal(way, rows.shape))

    def _on_policy_each(
        self, surrogate: Surrogate, keys: Key[Array, " n"], targets: Float[Array, "n m"]
    ) -> Float[Array, "n layers d"]:
        one = functools.partial(self._on_policy, surrogate)
        if jax.default_backend() == "cpu":  # where small products of several lanes are slower than one after another
            return jax.lax.map(lambda given: one(*given), (keys, targets))
        return jax.vmap(one)(keys, targets)

    def _evaluated(
        self, generator: Generator, keys: Key[Array, " n"], rows: Float[Array, "n layers d"]
    ) -> tuple[Float[Array, "n m"], Float[Array, "n whole"]]:
        """Values, and products with each sample's own cotangent."""

        def noise_of(key: PRNGKeyArray) -> tuple[Array, ...]:
            shapes = enumerate(generator.noise_shapes)
            return tuple(jax.random.normal(jax.random.fold_in(key, 100 + layer), shape) for layer, shape in shapes)

        noise = jax.vmap(noise_of)(keys)

        def low(rows: Array) -> Array:
            images = generator.synthesize(whitened_to_w(rows, self._fit), noise)
            return Bicubic(self._factor).apply(images).reshape(len(rows), -1)

        values, pull = jax.vjp(low, rows)
        return values, pull(_cotangents(keys, self._sizes.pixels))[0].reshape(len(rows), -1)

    # The parts of a fit.

    def sense(self, now: SurrogateFitState, count: int) -> SurrogateFitState:
        """The subspace, out of the products of `count` evaluations."""

        @functools.partial(jax.jit, donate_argnums=0)
        def add(energy: Array, rows: Array, products: Array, valid: Array) -> Array:
            # Searches never leave the spheres.
            g = sphere.to_tangent(rows, products.reshape(rows.shape), radius=self._radius).reshape(len(rows), -1)
            return energy + jnp.matmul(g.T, g * valid[:, None], precision="highest")

        energy = None
        while int(now.sensed) < count:
            number = int(now.sensed)
            keys = self._keys(self._sense_key, number)
            rows = self._draw_off(keys)
            _, products = self._evaluate(self._generator, keys, rows)
            energy = jnp.asarray(now.energy) if energy is None else energy
            energy = add(energy, rows, products, jnp.arange(self._lanes) < count - number)
            now = now._replace(sensed=np.int32(min(number + self._lanes, count)), energy=energy)
            self._tell("subspace", now, int(now.sensed), count)
        return now if now.kept > 0 else self._subspace(now)

    def _subspace(self, now: SurrogateFitState) -> SurrogateFitState:
        energy = np.array(now.energy)
        if not np.isfinite(energy).all() or not energy.trace() > 0:
            raise ValueError("generator: expected low-resolution images that vary with w and are finite")
        values, vectors = np.linalg.eigh(energy)
        basis = vectors[:, ::-1][:, : self._sizes.coordinates]
        kept = values[::-1][: self._sizes.coordinates].sum() / values.sum()
        moments = measure_moments(
            lambda z: self._on_sphere(w_to_whitened(self._mapping(z), self._fit)),
            self._metric_key,
            self._latent,
            samples=_MAPPED,
            full=True,
        )
        metric = moments.scatter / moments.count + _ISOTROPIC * np.eye(self._sizes.width)
        rows = np.asarray(jax.lax.map(self._off_policy, self._keys(self._metric_key, 0, 4096)))
        along = rows.reshape(len(rows), -1) @ basis
        scale = 1.0 / np.maximum(along.std(0), 1e-3)
        return now._replace(
            energy=energy,
            metric=metric.astype(np.float32),
            basis=(basis * scale).astype(np.float32),
            offset=(-along.mean(0) * scale).astype(np.float32),
            kept=np.float32(kept),
        )

    def draw(self, now: SurrogateFitState, begin: int, end: int) -> SurrogateFitState:
        """Samples up to number `end`; on-policy those from `begin` on, if it is not 0."""
        surrogate = self._surrogate(now) if begin and int(now.drawn) < end else None
        project = jax.jit(
            lambda basis, offset, rows, products: (
                jnp.matmul(rows.reshape(len(rows), -1), basis, precision="highest") + offset,
                _pulled(basis, products),
            )
        )
        while int(now.drawn) < end:
            number = int(now.drawn)
            keys = self._keys(self._sample_key, number)
            if surrogate is None:
                rows = self._draw_off(keys)
            else:
                # The images of earlier samples, each in its turn.
                targets = now.values[np.arange(number - begin, number - begin + self._lanes) % begin]
                rows = self._draw_on(surrogate, keys, targets)
            values, products = self._evaluate(self._generator, keys, rows)
            found = project(now.basis, now.offset, rows, products)
            count = min(self._lanes, end - number)
            kept = zip((now.coordinates, now.values, now.products), (found[0], values, found[1]), strict=True)
            for array, new in kept:
                array[number : number + count] = np.asarray(new)[:count]
            now = now._replace(drawn=np.int32(number + count))
            self._tell("samples", now, number + count, self._sizes.samples)
        return now

    def learn(self, now: SurrogateFitState, samples: int, begin: int, end: int) -> SurrogateFitState:
        """Steps up to number `end`, with the samples up to number `samples`; Adam begins anew at `begin`."""
        if int(now.learned) >= end:
            return now
        numbers = np.flatnonzero(np.arange(samples) % _HELD_OUT)
        scales = self._scales(now, numbers)
        optimizer = _optimizer(end - begin)

        @jax.jit
        def step(parameters: Any, moments: Any, batch: Any) -> tuple[Any, Any, Array]:
            loss, gradient = jax.value_and_grad(lambda p: jnp.sum(_errors(p, *batch) / scales))(parameters)
            updates, moments = optimizer.update(gradient, moments, parameters)
            return optax.apply_updates(parameters, updates), moments, loss

        if int(now.learned) == begin:
            parameters = now.parameters if begin else self._linear(now, numbers)
            now = now._replace(parameters=parameters, optimizer=optimizer.init(parameters))
        loss = jnp.float32(0)
        while int(now.learned) < end:
            done = int(now.learned)
            parameters, moments = now.parameters, now.optimizer
            count = min(_CALL, end - done)
            for number in range(done, done + count):
                order = np.random.default_rng([*np.asarray(jax.random.key_data(self._learn_key)), number])
                batch = self._batch(now, order.choice(numbers, _ROWS))
                parameters, moments, loss = step(parameters, moments, batch)
            if not math.isfinite(float(loss)):
                raise ValueError("steps: the surrogate's loss diverged; another seed or more samples may help")
            now = now._replace(parameters=parameters, optimizer=moments, learned=np.int32(done + count))
            self._tell("learning", now, done + count, self._steps)
        return now

    def _linear(self, now: SurrogateFitState, numbers: np.ndarray) -> Any:
        """The first parameters, with the best linear map beside the network."""
        x = np.concatenate([now.coordinates[numbers], np.ones((len(numbers), 1), np.float32)], axis=1).astype(float)
        ridge = 1e-2 * np.eye(x.shape[1])
        best = np.linalg.solve(x.T @ x + ridge, x.T @ now.values[numbers].astype(float)).astype(np.float32)
        return now.parameters | {"linear": jnp.asarray(best[:-1]), "bias_3": jnp.asarray(best[-1])}

    def _batch(self, now: SurrogateFitState, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Array]:
        keys = self._numbered(self._sample_key, numbers)
        return now.coordinates[numbers], now.values[numbers], now.products[numbers], self._cotangents(keys)

    def _scales(self, now: SurrogateFitState, numbers: np.ndarray) -> np.ndarray:
        """Variance of the values and mean square of the products."""
        some = numbers[:: max(1, len(numbers) // 10_000)]
        variance = now.values[some].astype(np.float32).var(axis=0).mean()
        square = np.mean(np.square(now.products[some]))
        if not (variance > 0 and square > 0 and np.isfinite(variance) and np.isfinite(square)):
            raise ValueError("generator: expected low-resolution images that vary with w and are finite")
        return np.array([variance, square], np.float32)

    def judged(self, now: SurrogateFitState, directions: int) -> SurrogateFit:
        """The surrogate and its errors, as it is stored."""
        held = np.arange(0, self._sizes.samples, _HELD_OUT)
        errors = jax.jit(_errors)

        def measured(numbers: np.ndarray) -> np.ndarray:
            parts = np.array_split(numbers, max(1, len(numbers) // _ROWS))
            found = [np.asarray(errors(now.parameters, *self._batch(now, part))) * len(part) for part in parts]
            return np.sum(found, axis=0) / len(numbers)

        scales = self._scales(now, held)
        value, product = measured(held)
        learned = held[held + 1 < self._sizes.samples] + 1
        _, training = measured(learned) / self._scales(now, learned)
        return SurrogateFit(
            surrogate=self._surrogate(now),
            value_error=math.sqrt(value),
            value_share=float(value / scales[0]),
            product_share=float(product / scales[1]),
            training_product_share=float(training),
            kept=float(now.kept),
            evaluations=directions + self._sizes.samples,
        )

    def _surrogate(self, now: SurrogateFitState) -> Surrogate:
        """The network in coordinates for which basisᵀ M basis = I, in float32."""
        sizes = self._sizes
        basis = np.asarray(now.basis, float).reshape(sizes.layers, sizes.width, -1)
        moved = np.asarray(in_metric(jnp.asarray(now.metric), jnp.asarray(basis, jnp.float32)), float)
        gram = np.einsum("ldk,ldq->kq", basis, moved)
        # x = basisᵀ u = R h of new coordinates h, for which basisᵀ M basis = R Rᵀ.
        factor = np.linalg.cholesky((gram + gram.T) / 2 + 1e-7 * np.trace(gram) / len(gram) * np.eye(len(gram)))
        basis = np.linalg.solve(factor, basis.reshape(-1, len(gram)).T).T
        found = {name: np.asarray(array, float) for name, array in now.parameters.items()}
        offset = np.asarray(now.offset, float)
        return Surrogate(
            basis=jnp.asarray(basis.reshape(sizes.layers, sizes.width, -1), jnp.float32),
            metric=jnp.asarray(now.metric),
            weight_1=jnp.asarray(factor.T @ found["weight_1"], jnp.float32),
            bias_1=jnp.asarray(found["bias_1"] + offset @ found["weight_1"], jnp.float32),
            weight_2=jnp.asarray(found["weight_2"], jnp.float32),
            bias_2=jnp.asarray(found["bias_2"], jnp.float32),
            weight_3=jnp.asarray(found["weight_3"], jnp.float32),
            linear=jnp.asarray(factor.T @ found["linear"], jnp.float32),
            bias_3=jnp.asarray(found["bias_3"] + offset @ found["linear"], jnp.float32),
        )

    def _keys(self, key: PRNGKeyArray, begin: int, count: int | None = None) -> Key[Array, " n"]:
        return self._numbered(key, np.arange(begin, begin + (count or self._lanes)))

    def _numbered(self, key: PRNGKeyArray, numbers: np.ndarray) -> Key[Array, " n"]:
        return _folded(key, jnp.asarray(numbers, jnp.uint32))

    def _cotangents(self, keys: Key[Array, " n"]) -> Float[Array, "n m"]:
        return _cotangents(keys, self._sizes.pixels)


@jax.jit
def _folded(key: PRNGKeyArray, numbers: Array) -> Key[Array, " n"]:
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)


@functools.partial(jax.jit, static_argnums=1)
def _cotangents(keys: Key[Array, " n"], pixels: int) -> Float[Array, "n m"]:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, _COTANGENT), (pixels,)))(keys)


def _optimizer(steps: int) -> optax.GradientTransformation:
    return optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=_DECAY)


def _pulled(basis: Array, products: Array) -> Array:
    """Products with the rows as products with the coordinates x = basisᵀ u: basis⁺ g, whose columns are orthogonal."""
    return jnp.matmul(products, basis, precision="highest") / jnp.sum(jnp.square(basis), axis=0)


def _errors(parameters: Any, x: Array, values: Array, products: Array, cotangents: Array) -> Float[Array, "2"]:
    """Mean squared errors of the images and of the products."""

    def predicted(x: Array) -> Array:
        hidden = jax.nn.gelu(x @ parameters["weight_1"] + parameters["bias_1"])
        hidden = jax.nn.gelu(hidden @ parameters["weight_2"] + parameters["bias_2"])
        return hidden @ parameters["weight_3"] + x @ parameters["linear"] + parameters["bias_3"]

    found, pull = jax.vjp(predicted, x)
    error = jnp.mean(jnp.square(found - values.astype(jnp.float32)))
    return jnp.stack([error, jnp.mean(jnp.square(pull(cotangents)[0] - products))])
