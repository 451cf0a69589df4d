"""The surrogate, and the start it leads to: against closed forms in float64 where D∘G is linear, and laws elsewhere."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.surrogate import (
    Surrogate,
    approach,
    corrected_step,
    curvature_at,
    gauss_newton_step,
    in_metric,
    inverse_curvature,
    side_of,
    with_jacobian,
)
from pulse_jax.images.degradations.bicubic import Bicubic
from tests.made_up_surrogate import LAYERS, RADIUS, SIDE, WIDTH, K, in_metric_64, random_surrogate
from tests.tiny_networks import searchable_generator


def on_sphere(seed, count=None):
    rows = np.random.default_rng(seed).standard_normal((*([count] if count else []), LAYERS, WIDTH))
    return jnp.asarray(rows * RADIUS / np.linalg.norm(rows, axis=-1, keepdims=True), jnp.float32)


def image_of(surrogate, rows):
    return with_jacobian(surrogate, jnp.einsum("ld,ldk->k", rows, surrogate.basis))[0]


def test_the_metric_is_what_it_says_and_the_basis_orthonormal_in_it():
    surrogate = random_surrogate()
    moved = np.asarray(in_metric(surrogate.metric, surrogate.basis))
    metric = np.asarray(surrogate.metric, float)
    for k in range(K):
        expected = in_metric_64(metric, np.asarray(surrogate.basis[..., k], float))
        np.testing.assert_allclose(moved[..., k], expected, atol=1e-5)
    gram = np.einsum("ldk,ldq->kq", np.asarray(surrogate.basis, float), moved)
    np.testing.assert_allclose(gram, np.eye(K), atol=1e-5)


def test_the_jacobian_is_that_of_the_image():
    surrogate = random_surrogate()
    coordinates = jax.random.normal(jax.random.key(0), (K,))
    _, jacobian = with_jacobian(surrogate, coordinates)
    expected = jax.jacrev(lambda x: with_jacobian(surrogate, x)[0])(coordinates)
    np.testing.assert_allclose(jacobian, expected, atol=1e-5)
    # And the image: written out once more, with the error function's approximation that the network has.
    x = np.asarray(coordinates, float)
    for number in (1, 2):
        x = x @ np.asarray(getattr(surrogate, f"weight_{number}")) + np.asarray(getattr(surrogate, f"bias_{number}"))
        x = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    image = x @ np.asarray(surrogate.weight_3) + np.asarray(coordinates @ surrogate.linear + surrogate.bias_3)
    np.testing.assert_allclose(with_jacobian(surrogate, coordinates)[0], image, atol=1e-5)


@pytest.mark.parametrize("side", [1, SIDE])
@pytest.mark.parametrize("damping", [1e-7, 0.3])
def test_a_step_is_the_closed_form_of_a_linear_surrogate(side, damping):
    """M Aᵀ (A M Aᵀ + λ)⁻¹ r: of what solves A s = r, or nearly, the least in the metric; with fewer pixels than k."""
    surrogate = random_surrogate(linear=True, side=side)
    rows, target = on_sphere(1), jnp.asarray(np.random.default_rng(2).standard_normal(3 * side**2), jnp.float32)
    step = np.asarray(gauss_newton_step(surrogate, rows, target, damping), float)
    metric, basis = np.asarray(surrogate.metric, float), np.asarray(surrogate.basis, float)
    whole = np.einsum("ldk,km->mld", basis, np.asarray(surrogate.linear, float))
    moved = np.stack([in_metric_64(metric, row) for row in whole])
    gram = np.einsum("mld,nld->mn", whole, moved)
    residual = np.asarray(target - image_of(surrogate, rows), float)
    solved = gram + damping * np.eye(len(gram))
    if 3 * side**2 > K and damping < 1e-3:
        weights = np.linalg.lstsq(gram, residual, rcond=1e-6)[0]
    else:
        weights = np.linalg.solve(solved, residual)
    np.testing.assert_allclose(step, np.einsum("mld,m->ld", moved, weights), atol=2e-3 * np.abs(step).max())
    if side == 1 and damping < 1e-3:
        np.testing.assert_allclose(image_of(surrogate, rows + step), target, atol=1e-4)


@pytest.mark.parametrize("damping", [1e-2, 0.3])
def test_what_a_surrogate_knows_of_the_curvature_is_its_inverse_written_out(damping):
    """Against dense matrices in float64: λ (C + λ M⁻¹)⁻¹ of C = B N Bᵀ, and the step −(C + λ M⁻¹)⁻¹ B Jᵀ r."""
    surrogate = random_surrogate()
    rows, vector = on_sphere(1), on_sphere(2)
    residual = jnp.asarray(np.random.default_rng(3).standard_normal(3 * SIDE**2), jnp.float32)
    curvature = curvature_at(surrogate, rows, damping=damping)
    _, jacobian = with_jacobian(surrogate, jnp.einsum("ld,ldk->k", rows, surrogate.basis))
    jacobian = np.asarray(jacobian, float)
    expected = damping * np.linalg.inv(jacobian.T @ jacobian + damping * np.eye(K))
    np.testing.assert_allclose(curvature.inverse, expected, atol=1e-3 * np.abs(expected).max())

    basis = np.asarray(surrogate.basis, float).reshape(-1, K)
    identity = np.eye(LAYERS * WIDTH).reshape(-1, LAYERS, WIDTH)
    metric = np.stack([in_metric_64(np.asarray(surrogate.metric, float), one).ravel() for one in identity])
    damped = basis @ jacobian.T @ jacobian @ basis.T + damping * np.linalg.inv(metric)
    found = inverse_curvature(surrogate, curvature, vector)
    expected = damping * np.linalg.solve(damped, np.asarray(vector, float).ravel())
    np.testing.assert_allclose(np.ravel(found), expected, atol=1e-3 * np.abs(expected).max())
    step = corrected_step(surrogate, curvature, residual)
    expected = -np.linalg.solve(damped, basis @ jacobian.T @ np.asarray(residual, float))
    np.testing.assert_allclose(np.ravel(step), expected, atol=1e-3 * np.abs(expected).max())


def test_starts_reach_what_a_linear_surrogate_can_make_and_stay_on_their_spheres():
    surrogate = random_surrogate(linear=True, side=1)
    start, other = on_sphere(3), on_sphere(4)
    target = image_of(surrogate, other).reshape(1, 1, 3)
    rows = approach(surrogate, start, target, 8, steps=20, damping=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), RADIUS, rtol=1e-6)
    np.testing.assert_allclose(image_of(surrogate, rows), target.ravel(), atol=1e-4)
    assert np.abs(rows - other).max() > 0.1  # its own, not the one that the image was made of


def test_a_start_keeps_its_own_part_and_turns_no_further_than_it_may():
    """Of a step, what is at right angles to M times the basis is only what the sphere takes: multiples of the rows."""
    surrogate, start = random_surrogate(), on_sphere(5)
    target = jnp.full((SIDE, SIDE, 3), 30.0)
    one = np.asarray(approach(surrogate, start, target, 8, steps=1), float)
    angles = np.arccos(np.clip(np.sum(one * np.asarray(start), -1) / WIDTH, -1, 1))
    np.testing.assert_allclose(angles.max(), 0.5, atol=1e-4)
    spanned = np.asarray(in_metric(surrogate.metric, surrogate.basis), float).reshape(-1, K)
    radial = np.stack([np.where(np.arange(LAYERS)[:, None] == row, start, 0).ravel() for row in range(LAYERS)], axis=1)
    allowed = np.concatenate([spanned, radial], axis=1)
    # The geodesic's end, brought back to the tangent space: its direction is the step's.
    back = one / np.sum(one * np.asarray(start), -1, keepdims=True) * WIDTH - np.asarray(start)
    scale = np.where(angles > 1e-6, angles / np.tan(np.maximum(angles, 1e-9)), 1.0)
    left = np.linalg.lstsq(allowed, (back * scale[:, None]).ravel(), rcond=None)[1]
    assert left < 1e-8 * np.sum(np.square(back))


def test_starts_together_are_those_of_one_at_a_time_and_numbers_that_are_none_cost_nothing():
    surrogate = random_surrogate()
    starts = on_sphere(6, 4)
    targets = jax.random.uniform(jax.random.key(0), (4, SIDE, SIDE, 3)).at[2, 0, 0, 0].set(jnp.nan)

    def one(rows, target):
        return approach(surrogate, rows, target, 8)

    together = jax.jit(jax.vmap(one))(starts, targets)
    for number in range(4):
        np.testing.assert_allclose(together[number], jax.jit(one)(starts[number], targets[number]), atol=1e-5)
    np.testing.assert_array_equal(together[2], starts[2])
    assert np.isfinite(together).all() and np.abs(together[0] - starts[0]).max() > 1e-2


def test_inputs_of_other_sides_are_met_through_the_linear_map_between_them():
    """A smaller input as by the surrogate behind D' D⁺; a larger one as by what D' D⁺ leaves of it."""
    resolution, own = 16, 4
    surrogate = random_surrogate(side=own)
    start = on_sphere(7)

    def between(images, one, other):
        images = np.asarray(images, float).reshape(-1, one, one, 3)
        seen = Bicubic(resolution // other).apply_float64(Bicubic(resolution // one).pseudo_inverse(images))
        return jnp.asarray(seen.reshape(-1, 3 * other**2), jnp.float32)

    rng = np.random.default_rng(8)
    small, large = (jnp.asarray(rng.uniform(size=(side, side, 3)), jnp.float32) for side in (2, 8))
    parts = {name: between(getattr(surrogate, name), own, 2) for name in ("weight_3", "linear", "bias_3")}
    reduced = surrogate._replace(**parts | {"bias_3": parts["bias_3"][0]})
    for target, same_surrogate, same_target in (
        (small, reduced, small),
        (large, surrogate, between(large, 8, own).reshape(own, own, 3)),
    ):
        found = approach(surrogate, start, target, resolution, steps=2)
        np.testing.assert_allclose(found, approach(same_surrogate, start, same_target, resolution, steps=2), atol=2e-4)
        assert np.abs(found - start).max() > 0.05


def with_surrogate(seed=0):
    """A generator that can be stored, and a made-up surrogate of its sizes."""
    generator = searchable_generator()
    rng = np.random.default_rng(seed)
    layers, width = generator.num_layers, generator.latent_dim
    shapes = dict(
        basis=(layers, width, 5),
        metric=(width, width),
        weight_1=(5, 4),
        bias_1=(4,),
        weight_2=(4, 4),
        bias_2=(4,),
        weight_3=(4, 48),
        linear=(5, 48),
        bias_3=(48,),
    )
    arrays = {name: jnp.asarray(rng.standard_normal(shape), jnp.float32) for name, shape in shapes.items()}
    return dataclasses.replace(generator, surrogate=Surrogate(**arrays))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_folder_holds_it(tmp_path, dtype):
    generator = with_surrogate()
    generator.save(tmp_path / "generator", dtype=dtype)
    loaded = Generator.load(tmp_path / "generator").surrogate
    assert loaded is not None and generator.surrogate is not None and side_of(loaded) == 4
    for one, other in zip(generator.surrogate, loaded, strict=True):
        assert other.dtype == jnp.float32
        np.testing.assert_array_equal(np.asarray(one).astype(dtype).astype(np.float32), other)


def test_a_folder_that_says_otherwise_is_refused_in_one_line(tmp_path):
    generator = with_surrogate()
    folder = tmp_path / "generator"
    assert generator.surrogate is not None
    narrow = generator.surrogate._replace(weight_2=jnp.zeros((3, 4)))
    with pytest.raises(
        GeneratorError, match=r"^\S+: array 'surrogate/weight_2': expected shape \(4, 4\), got \(3, 4\)"
    ):
        dataclasses.replace(generator, surrogate=narrow).save(folder)
    generator.save(folder)
    description = json.loads((folder / "config.json").read_text())
    for name, shape, told in (
        ("surrogate/basis", [5, 8, 5], r"array 'surrogate/basis': expected shape \(\d, 8, 5\), got"),
        ("surrogate/weight_1", [5, 2**40], r"array 'surrogate/\w+' does not belong to this architecture"),
        ("surrogate/bias_3", [3 * 2**22], r"array 'surrogate/\w+': expected shape|config.json claims arrays of"),
    ):
        changed = description | {"arrays": description["arrays"] | {name: shape}}
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(GeneratorError, match=rf"^\S+: ({told})") as caught:
            Generator.load(folder)
        assert "\n" not in str(caught.value)


def test_another_whitening_or_label_drops_it():
    assert with_surrogate().fitted(samples=100).surrogate is None
