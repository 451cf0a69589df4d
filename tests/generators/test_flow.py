"""The masked autoregressive flow: its mask, its determinant, its inverse, and numbers of another implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.priors.flow import MAX_LOG_SCALE, Flow, autoregress, forward, init_blocks, inverse, log_prob
from tests.golden_weights import load

WIDTH, HIDDEN, BLOCKS = 7, 20, 3
RADIAL = np.array([1.7, 0.75])
KINDS = [{}, {"principal": True}, {"radial": RADIAL}, {"principal": True, "radial": np.array([0.6, 0.85])}]


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def random_flow(width=WIDTH, hidden=HIDDEN, blocks=BLOCKS, *, seed=0, principal=False, radial=None, dtype=np.float32):
    """A flow of random arrays, those included that `init_blocks` leaves at 0."""
    draw = np.random.default_rng(seed).normal
    shapes = jax.eval_shape(lambda: init_blocks(jax.random.key(0), blocks, hidden, width))
    basis = np.linalg.qr(draw(size=(width, width)))[0] if principal else None
    flow = Flow(
        mean=draw(size=width),
        std=np.exp(0.3 * draw(size=width)),
        basis=basis,
        blocks={name: 0.25 * draw(size=leaf.shape) for name, leaf in shapes.items()},
        scale=np.exp(0.3 * draw(size=(blocks, width))),
        shift=draw(size=(blocks, width)),
        radial=radial,
    )
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), flow)


def random_w(*shape, seed=1, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * 1.5, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "hidden"), [(1, 4), (2, 1), (7, 20), (9, 3)])
def test_an_output_of_a_block_depends_on_nothing_but_earlier_inputs(width, hidden):
    flow = random_flow(width, hidden)
    block = jax.tree.map(lambda array: array[0], flow.blocks)
    points = random_w(50, width)
    jacobian = jax.vmap(jax.jacobian(lambda x: autoregress(block, x)[0]))(points)
    reach = np.abs(np.asarray(jacobian)).max(axis=0)
    assert np.all(np.triu(reach, 1) == 0)
    assert np.all(np.diag(reach) > 0)
    if hidden >= width - 1:  # then every allowed path is open
        assert np.all(reach[np.tril_indices(width, -1)] > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_determinant_is_that_of_the_dense_jacobian(x64, kind):
    flow = random_flow(**kind, dtype=np.float64)
    w = random_w(20, WIDTH, dtype=np.float64)
    _, log_det = forward(flow, w)
    jacobian = jax.vmap(jax.jacobian(lambda x: forward(flow, x)[0]))(w)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(np.asarray(jacobian))[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_leads_back(x64, kind):
    flow = random_flow(**kind, dtype=np.float64)
    w = random_w(4, 5, WIDTH, dtype=np.float64)
    u, log_det = forward(flow, w)
    assert u.shape == w.shape and log_det.shape == w.shape[:-1]
    np.testing.assert_allclose(inverse(flow, u), w, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forward(flow, inverse(flow, w))[0], w, rtol=1e-9, atol=1e-9)


def test_the_numbers_are_those_of_tensorflow_probability(x64):
    golden = {name: jnp.asarray(array) for name, array in load("h_flow").items()}
    blocks = {name.removeprefix("blocks/"): array for name, array in golden.items() if name.startswith("blocks/")}
    flow = Flow(golden["mean"], golden["std"], None, blocks, golden["scale"], golden["shift"])
    u, log_det = forward(flow, golden["w"])
    np.testing.assert_allclose(u, golden["u"], rtol=1e-10)
    np.testing.assert_allclose(log_det, golden["log_det"], rtol=1e-10)
    np.testing.assert_allclose(log_prob(flow, golden["w"]), golden["log_prob"], rtol=1e-10)
    np.testing.assert_allclose(inverse(flow, golden["base"]), golden["sample"], rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_meets_float64(kind):
    flow, w = random_flow(**kind), random_w(200, WIDTH)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda array: jnp.asarray(np.asarray(array, np.float64)), (flow, w))
        expected = np.asarray(log_prob(*wide))
    np.testing.assert_allclose(jax.jit(log_prob)(flow, w), expected, rtol=2e-4, atol=1e-3)


@pytest.mark.parametrize("radial", [None, RADIAL])
def test_the_density_sums_to_one(x64, radial):
    flow = random_flow(2, 8, 2, radial=radial, dtype=np.float64)
    grid = np.linspace(-40, 40, 1601)
    w = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    total = np.exp(np.asarray(jax.jit(log_prob)(flow, jnp.asarray(w)))).sum() * (grid[1] - grid[0]) ** 2
    assert abs(total - 1) < 5e-3


def test_gradients_are_those_of_finite_differences(x64):
    flow = random_flow(principal=True, radial=RADIAL, dtype=np.float64)
    w, direction = random_w(6, WIDTH, dtype=np.float64), random_w(6, WIDTH, seed=2, dtype=np.float64)
    for function in (lambda w: log_prob(flow, w).sum(), lambda u: jnp.square(inverse(flow, u)).sum()):
        step = 1e-6
        slope = (function(w + step * direction) - function(w - step * direction)) / (2 * step)
        np.testing.assert_allclose(jnp.vdot(jax.grad(function)(w), direction), slope, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_overflows_far_from_the_samples(kind):
    flow = random_flow(**kind, blocks=5)
    # Log-scales at their bound, both ways.
    for sign in (-1, 1):
        bound = jnp.full_like(flow.blocks["bias_log_scale"], sign * 100.0)
        extreme = flow._replace(blocks={**flow.blocks, "bias_log_scale": bound})
        for w in (random_w(8, WIDTH), 1000 * random_w(8, WIDTH)):
            value, gradient = jax.value_and_grad(lambda w, flow=extreme: log_prob(flow, w).sum())(w)
            assert np.isfinite(value) and np.isfinite(gradient).all()
    x = random_w(8, WIDTH)
    _, log_det = autoregress(jax.tree.map(lambda array: array[0], extreme.blocks), x)
    np.testing.assert_allclose(log_det, -MAX_LOG_SCALE * WIDTH, rtol=1e-6)


def test_a_fresh_flow_only_standardises():
    blocks = init_blocks(jax.random.key(3), BLOCKS, HIDDEN, WIDTH)
    ones = jnp.ones((BLOCKS, WIDTH))
    flow = Flow(jnp.full(WIDTH, 2.0), jnp.full(WIDTH, 0.5), None, blocks, ones, 0 * ones)
    w = random_w(3, WIDTH)
    u, log_det = forward(flow, w)
    np.testing.assert_allclose(u, ((w - 2) / 0.5)[:, ::-1], rtol=1e-6)  # three reversals are one
    np.testing.assert_allclose(log_det, WIDTH * np.log(2), rtol=1e-6)


def test_a_radial_map_moves_vectors_along_their_rays(x64):
    plain = random_flow(dtype=np.float64)
    w = random_w(9, WIDTH, dtype=np.float64)
    before, _ = forward(plain, w)
    after, _ = forward(plain._replace(radial=jnp.asarray(RADIAL)), w)
    lengths = np.linalg.norm(before, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(after, axis=-1), 1.7 * lengths**0.75, rtol=1e-12)
    np.testing.assert_allclose(after / before, np.tile(1.7 * lengths[:, None] ** -0.25, WIDTH), rtol=1e-12)


@pytest.mark.slow
def test_a_radial_map_is_linear_near_the_origin(x64):
    """There the density is that of a Gaussian, where the power alone would let it grow without end."""
    width = 256
    blocks = init_blocks(jax.random.key(3), 1, 2, width)
    ones = jnp.ones((1, width))
    flow = Flow(jnp.ones(width), jnp.ones(width), None, blocks, ones, 0 * ones, jnp.asarray(RADIAL))
    direction = random_w(width, dtype=np.float64)
    direction = direction / jnp.linalg.norm(direction)
    # √d / 10 is 1.6.
    stretch = 1.7 * 1.6**-0.25
    for length in (0.0, 0.3, 1.59):
        w = 1 + length * direction
        expected = width * np.log(stretch) - 0.5 * (stretch * length) ** 2 - 0.5 * width * np.log(2 * np.pi)
        np.testing.assert_allclose(log_prob(flow, w), expected, rtol=1e-10)
        np.testing.assert_allclose(jax.grad(log_prob, 1)(flow, w), -(stretch**2) * (w - 1), atol=1e-10)
        np.testing.assert_allclose(inverse(flow, forward(flow, w)[0]), w, rtol=1e-10)
    u, _ = forward(flow, 1 + 1.61 * direction)
    np.testing.assert_allclose(jnp.linalg.norm(u), 1.7 * 1.61**0.75, rtol=1e-10)
    narrow = jax.tree.map(lambda array: array.astype(np.float32), flow)
    assert np.isfinite(jax.grad(log_prob, 1)(narrow, jnp.ones(width, np.float32))).all()


def test_a_flow_is_an_argument_of_compiled_functions():
    traced = []

    @jax.jit
    def density(flow, w):
        traced.append(1)
        return log_prob(flow, w)

    w = random_w(WIDTH)
    first, second = (density(random_flow(seed=seed), w) for seed in (0, 1))
    assert first != second and len(traced) == 1
    lanes = jax.vmap(log_prob, in_axes=(None, 0))(random_flow(), jnp.stack([w, 2 * w]))
    np.testing.assert_allclose(lanes[0], first, rtol=1e-5)


@pytest.mark.parametrize("function", [forward, inverse, log_prob])
def test_a_second_call_without_jit_compiles_nothing(unchecked, compiled, function):
    flow, vectors = random_flow(radial=RADIAL), random_w(2, 3, WIDTH)
    function(flow, vectors[0])
    compiled.clear()
    function(flow, vectors[1])
    assert not compiled


@pytest.mark.parametrize("function", [forward, inverse, log_prob])
def test_another_width_is_refused(function):
    with pytest.raises(ValueError, match=r"[uw]: expected shape \(…, 7\), got \(2, 6\)"):
        function(random_flow(), jnp.zeros((2, 6)))
