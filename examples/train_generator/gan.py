"""StyleGAN2 training as pure functions: losses, lazy R1, one step of discriminator and generator, moving average.

Karras et al. 2020: non-saturating logistic loss, R1 on every 16th step, equalised Adam (0, 0.99), style mixing, mirror
flips, and an exponential moving average of the generator's weights, which is the one that is kept.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from discriminator import Discriminator
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from pulse_jax import stylegan2
from pulse_jax.config import StyleGAN2Config

Params = Any


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Sizes and rates of one training run; `r1_gamma` weighs R1, `average_images` is the average's half-life."""

    generator: StyleGAN2Config
    discriminator_channels: tuple[int, ...]
    batch: int = 16
    learning_rate: float = 2e-3
    r1_gamma: float = 0.3
    r1_interval: int = 16
    style_mixing: float = 0.5
    average_images: float = 10_000.0


class TrainState(NamedTuple):
    """Everything that a resumed run needs; `images` counts the real pictures shown so far."""

    generator: Params
    discriminator: Params
    generator_adam: optax.OptState
    discriminator_adam: optax.OptState
    average: Params
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
    return TrainState(generator, judge, optimizer.init(generator), optimizer.init(judge), average, jnp.int32(0), key)


def generate(config: StyleGAN2Config, params: Params, key: PRNGKeyArray, n: int, mixing: float = 0.0) -> Array:
    """n pictures (n, r, r, 3) in about [−1, 1] from random z and noise; `mixing` is the share with two styles."""
    z_key, mix_key, cut_key, noise_key = jax.random.split(key, 4)
    z = jax.random.normal(z_key, (2, n, config.latent_dim))
    both: Any = stylegan2.Mapping(config).apply({"params": params["mapping"]}, z)
    w, other = both
    layers = jnp.arange(config.num_layers)
    cut = jax.random.randint(cut_key, (n, 1), 1, config.num_layers)
    cut = jnp.where(jax.random.uniform(mix_key, (n, 1)) < mixing, cut, config.num_layers)
    rows = jnp.where((layers < cut)[..., None], w[:, None], other[:, None])
    noise = tuple(
        jax.random.normal(jax.random.fold_in(noise_key, i), (n, *shape)) for i, shape in enumerate(config.noise_shapes)
    )
    return stylegan2.Synthesis(config).apply({"params": params["synthesis"]}, rows, noise)  # pyright: ignore


def to_signed(pictures: UInt8[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """8-bit pictures → [−1, 1]."""
    return pictures.astype(jnp.float32) / 127.5 - 1


def step(
    config: TrainConfig, penalise: bool, state: TrainState, pictures: UInt8[Array, "n h w 3"]
) -> tuple[TrainState, dict[str, Array]]:
    """One update of the discriminator and one of the generator on a batch of real pictures; R1 if `penalise`."""
    key, flip_key, fake_key, generator_key = jax.random.split(state.key, 4)
    judge = Discriminator(config.discriminator_channels)
    optimizer = _optimizer(config)
    flip = jax.random.bernoulli(flip_key, 0.5, (config.batch, 1, 1, 1))
    real = to_signed(pictures)
    real = jnp.where(flip, real[:, :, ::-1], real)
    fake = generate(config.generator, state.generator, fake_key, config.batch, config.style_mixing)

    def logits(params: Params, images: Array) -> Array:
        return judge.apply({"params": params}, images)[0]  # pyright: ignore

    def judge_loss(params: Params) -> tuple[Array, tuple[Array, Array]]:
        on_real, on_fake = jnp.split(logits(params, jnp.concatenate([real, fake])), 2)
        loss = jnp.mean(jax.nn.softplus(on_fake)) + jnp.mean(jax.nn.softplus(-on_real))
        if penalise:
            gradient = jax.grad(lambda x: jnp.sum(logits(params, x)))(real)
            penalty = jnp.mean(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)))
            loss = loss + config.r1_interval * config.r1_gamma / 2 * penalty
        return loss, (jnp.mean(on_real), jnp.mean(on_fake))

    (loss, (on_real, on_fake)), grads = jax.value_and_grad(judge_loss, has_aux=True)(state.discriminator)
    updates, judge_adam = optimizer.update(grads, state.discriminator_adam)
    discriminator = optax.apply_updates(state.discriminator, updates)

    def generator_loss(params: Params) -> Array:
        images = generate(config.generator, params, generator_key, config.batch, config.style_mixing)
        return jnp.mean(jax.nn.softplus(-logits(discriminator, images)))

    own_loss, grads = jax.value_and_grad(generator_loss)(state.generator)
    updates, generator_adam = optimizer.update(grads, state.generator_adam)
    generator = optax.apply_updates(state.generator, updates)
    images = state.images + config.batch
    # The half-life grows with the run, so that early averages forget their random start.
    half_life = jnp.minimum(config.average_images, images * 0.05)
    decay = 0.5 ** (config.batch / half_life)
    average = jax.tree.map(lambda a, b: b + decay * (a - b), state.average, generator)
    metrics = {"discriminator_loss": loss, "generator_loss": own_loss, "on_real": on_real, "on_fake": on_fake}
    return TrainState(generator, discriminator, generator_adam, judge_adam, average, images, key), metrics
