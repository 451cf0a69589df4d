import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.lanes import placed
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import kernel_forms, stylegan1, stylegan2
from pulse_jax.generators.networks.fast_convolutions import Upsampling, Winograd
from pulse_jax.search.config import SearchConfig

# Its last block is large enough for every form, the first two are not.
SIZES = {"resolution": 16, "latent_dim": 4, "channels": (8, 8, 256)}


@pytest.fixture(scope="module", params=["stylegan1", "stylegan2"])
def generator(request):
    families = {"stylegan1": (StyleGAN1Config, stylegan1), "stylegan2": (StyleGAN2Config, stylegan2)}
    make, family = families[request.param]
    config = make(**SIZES)
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    module = family.Synthesis(config)
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, config.num_layers, 4)), noise)
    assert kernel_forms.COLLECTION not in params
    return Generator(config=config, params={"mapping": {}, "synthesis": params["params"]})


def _inputs(generator):
    keys = jax.random.split(jax.random.key(1), 1 + generator.num_layers)
    noise = tuple(jax.random.normal(k, (2, *s)) for k, s in zip(keys[1:], generator.noise_shapes, strict=False))
    return jax.random.normal(keys[0], (2, generator.num_layers, generator.latent_dim)), noise


@pytest.mark.slow
def test_pictures_and_gradients_are_the_plain_kernels(generator):
    def results(generator):
        image, pull = jax.vjp(generator.synthesize, *_inputs(generator))
        return image, pull(jax.random.normal(jax.random.key(2), image.shape))

    forms = generator.prepared("cpu")
    plain, fast = jax.jit(results)(generator), jax.jit(results)(forms)
    assert not all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(fast), strict=True))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(fast), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4 * float(jnp.abs(a).max()))


def test_which_kernels_have_forms(generator):
    kinds = (Winograd, Upsampling)
    forms = jax.tree.leaves(generator.prepared("cpu").forms, is_leaf=lambda leaf: isinstance(leaf, kinds))
    ups = 2 if isinstance(generator.config, StyleGAN1Config) else 0
    # At 16×16 alone: smaller pictures do not repay the transforms.
    assert [sum(isinstance(form, kind) for form in forms) for kind in kinds] == [1, ups]


def test_bfloat16_uses_no_forms(generator):
    run = jax.jit(lambda generator, *inputs: generator.synthesize(*inputs, precision="bfloat16"))
    inputs = _inputs(generator)
    np.testing.assert_array_equal(run(generator, *inputs), run(generator.prepared("cpu"), *inputs))


def test_searches_on_a_cpu_get_forms_if_they_compute_in_float32(generator):
    device = jax.local_devices(backend="cpu")[0]
    assert placed(generator, SearchConfig(), device).forms is not None
    assert placed(generator, SearchConfig(precision="bfloat16"), device).forms is None


def test_a_users_function_has_no_kernels_to_prepare():
    own = Generator.from_function(lambda params, w, noise: w, {}, resolution=4, latent_dim=48)
    assert own.prepared("cpu") is own
