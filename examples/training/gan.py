"""StyleGAN2 training as pure functions: losses, lazy regularisation, steps of both networks, moving average.

Karras et al. 2020: non-saturating logistic loss, R1 and path-length regularisation on every 16th step, equalised Adam
(0, 0.99), style mixing, mirror flips, and an exponential moving average of the generator's weights, which is the one
that is kept.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from examples.training.discriminator import Discriminator
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.networks import stylegan2

Params = Any


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Sizes and rates of one training run.

    `r1_gamma` and `path_weight` weigh the two regularisers, which are applied on every `lazy_interval`-th step;
    `augment` is the share of pictures, real and generated, that the discriminator sees shifted and tinted;
    `average_images` is the moving average's half-life; `precision` that of the convolutions.
    """

    generator: StyleGAN2Config
    discriminator_channels: tuple[int, ...]
    batch: int = 16
    learning_rate: float = 2e-3
    r1_gamma: float = 0.3
    path_weight: float = 2.0
    lazy_interval: int = 16
    style_mixing: float = 0.5
    augment: float = 0.0
    average_images: float = 10_000.0
    precision: Literal["float32", "bfloat16"] = "float32"


class TrainState(NamedTuple):
    """Everything a resumed run needs; `images` counts the real pictures shown, `path_mean` is the mean path length."""

    generator: Params
    discriminator: Params
    generator_adam: optax.OptState
    discriminator_adam: optax.OptState
    average: Params
    path_mean: Array
    images: Array
    key: PRNGKeyArray


def _optimizer(config: TrainConfig) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate, b1=0.0, b2=0.99)


def init(config: TrainConfig, seed: int) -> TrainState:
    """Random networks, optimisers at rest."""
    key, map_key, synthesis_key, judge_key = jax.random.split(jax.random.key(seed), 4)
    architecture = config.generator
    w = jnp.zeros((4, architecture.num_layers, architecture.latent_dim))
    noise = tuple(jnp.zeros((4, *shape)) for shape in architecture.noise_shapes)
    generator = {
        "mapping": jax.jit(stylegan2.Mapping(architecture).init)(map_key, w[:, 0])["params"],
        "synthesis": jax.jit(stylegan2.Synthesis(architecture).init)(synthesis_key, w, noise)["params"],
    }
    pictures = jnp.zeros((4, architecture.resolution, architecture.resolution, 3))
    judge = jax.jit(Discriminator(config.discriminator_channels).init)(judge_key, pictures)["params"]
    optimizer = _optimizer(config)
    average = jax.tree.map(jnp.copy, generator)
    moments = optimizer.init(generator), optimizer.init(judge)
    return TrainState(generator, judge, *moments, average, jnp.float32(0), jnp.int32(0), key)


def draw_rows(config: StyleGAN2Config, mapping: Params, key: PRNGKeyArray, n: int, mixing: float) -> Array:
    """Return styles (n, layers, w) of n random z; `mixing` is the share whose layers take two styles."""
    z_key, mix_key, cut_key = jax.random.split(key, 3)
    z = jax.random.normal(z_key, (2, n, config.latent_dim))
    both: Any = stylegan2.Mapping(config).apply({"params": mapping}, z)
    w, other = both
    cut = jax.random.randint(cut_key, (n, 1), 1, config.num_layers)
    cut = jnp.where(jax.random.uniform(mix_key, (n, 1)) < mixing, cut, config.num_layers)
    return jnp.where((jnp.arange(config.num_layers) < cut)[..., None], w[:, None], other[:, None])


def draw_noise(config: StyleGAN2Config, key: PRNGKeyArray, n: int) -> tuple[Array, ...]:
    """Random noise inputs of n pictures."""
    return tuple(
        jax.random.normal(jax.random.fold_in(key, i), (n, *shape)) for i, shape in enumerate(config.noise_shapes)
    )


def generate(
    config: StyleGAN2Config, params: Params, key: PRNGKeyArray, n: int, mixing: float = 0.0, precision: str = "float32"
) -> Array:
    """n pictures (n, r, r, 3) in about [−1, 1] from random z and noise."""
    row_key, noise_key = jax.random.split(key)
    rows = draw_rows(config, params["mapping"], row_key, n, mixing)
    synthesis = stylegan2.Synthesis(config, dtype=jnp.dtype(precision))
    images: Any = synthesis.apply({"params": params["synthesis"]}, rows, draw_noise(config, noise_key, n))
    return images.astype(jnp.float32)


def path_lengths(
    config: StyleGAN2Config, params: Params, key: PRNGKeyArray, n: int, precision: str = "float32"
) -> Float[Array, "n"]:
    """|Jᵀy| of the synthesis at n random w, y random images of unit variance per picture (Karras et al. 2020, eq. 4).

    Squares are summed over a row and averaged over the layers' rows.
    """
    row_key, noise_key, y_key = jax.random.split(key, 3)
    rows = draw_rows(config, params["mapping"], row_key, n, 0.0)
    noise = draw_noise(config, noise_key, n)
    y = jax.random.normal(y_key, (n, config.resolution, config.resolution, 3)) / config.resolution
    synthesis = stylegan2.Synthesis(config, dtype=jnp.dtype(precision))

    def projected(rows: Array) -> Array:
        images: Any = synthesis.apply({"params": params["synthesis"]}, rows, noise)
        return jnp.sum(images.astype(jnp.float32) * y)

    return jnp.sqrt(jnp.sum(jnp.square(jax.grad(projected)(rows)), axis=2).mean(axis=1) + 1e-12)


def to_signed(pictures: UInt8[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """8-bit pictures → [−1, 1]."""
    return pictures.astype(jnp.float32) / 127.5 - 1


def augmented(key: PRNGKeyArray, images: Float[Array, "n h w 3"], share: float) -> Float[Array, "n h w 3"]:
    """Shift a `share` of the images by up to an eighth of the side, and tint as many (Zhao et al. 2020).

    Below a share of about 0.8 generated pictures do not take on what real ones are given here (Karras et al. 2020b).
    """
    n, height, width, _ = images.shape
    most = height // 8
    shift_key, which_key, tint_key, other_key = jax.random.split(key, 4)
    chosen = jax.random.bernoulli(which_key, share, (n, 1))
    shift = most + jnp.where(chosen, jax.random.randint(shift_key, (n, 2), -most, most + 1), 0)
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    images = jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (s[0], s[1], 0), (height, width, 3)))(padded, shift)
    gain, offset = 0.15 * jax.random.normal(tint_key, (2, n, 1, 1, 3))
    tinted = images * (1 + gain) + offset
    return jnp.where(jax.random.bernoulli(other_key, share, (n, 1, 1, 1)), tinted, images)


def step(
    config: TrainConfig, lazy: bool, state: TrainState, pictures: UInt8[Array, "n h w 3"]
) -> tuple[TrainState, dict[str, Array]]:
    """Update the discriminator and the generator on a batch of real pictures, regularised if `lazy`."""
    key, flip_key, fake_key, path_key, real_key, own_key = jax.random.split(state.key, 6)
    judge = Discriminator(config.discriminator_channels, dtype=jnp.dtype(config.precision))
    optimizer = _optimizer(config)
    flip = jax.random.bernoulli(flip_key, 0.5, (config.batch, 1, 1, 1))
    real = to_signed(pictures)
    real = jnp.where(flip, real[:, :, ::-1], real)

    def draw(params: Params) -> Array:
        images = generate(config.generator, params, fake_key, config.batch, config.style_mixing, config.precision)
        return augmented(own_key, images, config.augment) if config.augment else images

    def logits(params: Params, images: Array) -> Array:
        return judge.apply({"params": params}, images)[0]  # pyright: ignore

    # Both networks learn from the same pictures: drawing them is a good part of a step.
    fake, pull_back = jax.vjp(draw, state.generator)
    if config.augment:
        real = augmented(real_key, real, config.augment)

    def judge_loss(params: Params) -> tuple[Array, tuple[Array, Array]]:
        on_real, on_fake = jnp.split(logits(params, jnp.concatenate([real, fake])), 2)
        loss = jnp.mean(jax.nn.softplus(on_fake)) + jnp.mean(jax.nn.softplus(-on_real))
        if lazy:
            gradient = jax.grad(lambda x: jnp.sum(logits(params, x)))(real)
            penalty = jnp.mean(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)))
            loss = loss + config.lazy_interval * config.r1_gamma / 2 * penalty
        return loss, (jnp.mean(on_real), jnp.mean(on_fake))

    (loss, (on_real, on_fake)), grads = jax.value_and_grad(judge_loss, has_aux=True)(state.discriminator)
    updates, judge_adam = optimizer.update(grads, state.discriminator_adam)
    discriminator = optax.apply_updates(state.discriminator, updates)

    own_loss, on_images = jax.value_and_grad(lambda x: jnp.mean(jax.nn.softplus(-logits(discriminator, x))))(fake)
    (grads,) = pull_back(on_images)
    path_mean = state.path_mean
    if lazy:

        def path_penalty(params: Params) -> tuple[Array, Array]:
            lengths = path_lengths(config.generator, params, path_key, max(config.batch // 2, 1), config.precision)
            mean = path_mean + 0.01 * (jax.lax.stop_gradient(jnp.mean(lengths)) - path_mean)
            return config.lazy_interval * config.path_weight * jnp.mean(jnp.square(lengths - mean)), mean

        path_grads, path_mean = jax.grad(path_penalty, has_aux=True)(state.generator)
        grads = jax.tree.map(jnp.add, grads, path_grads)
    updates, generator_adam = optimizer.update(grads, state.generator_adam)
    generator = optax.apply_updates(state.generator, updates)
    images = state.images + config.batch
    # The half-life grows with the run, so that early averages forget their random start.
    half_life = jnp.minimum(config.average_images, images * 0.05)
    decay = 0.5 ** (config.batch / half_life)
    average = jax.tree.map(lambda a, b: b + decay * (a - b), state.average, generator)
    metrics = {"discriminator_loss": loss, "generator_loss": own_loss, "on_real": on_real, "on_fake": on_fake}
    metrics["path_length"] = path_mean
    return TrainState(generator, discriminator, generator_adam, judge_adam, average, path_mean, images, key), metrics


def interval(
    config: TrainConfig, state: TrainState, pictures: UInt8[Array, "k n h w 3"]
) -> tuple[TrainState, dict[str, Array]]:
    """Take as many steps in one program as `pictures` holds batches, the first regularised; for accelerators.

    Returns the metrics' means.
    """
    state, first = step(config, True, state, pictures[0])
    state, rest = jax.lax.scan(lambda s, x: step(config, False, s, x), state, pictures[1:])
    return state, jax.tree.map(lambda a, b: (a + jnp.sum(b)) / len(pictures), first, rest)
