"""`ilo` against numbers recorded from ILO's program (`goldens/methods`)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.space import start
from tests import recorded

WEIGHT = 0.01  # of GEOCROSS


@functools.cache
def told(name, without_geocross=False):
    """The recorded rounds, and ours in the same number of steps each: generator, settings, start and a single step."""
    golden = recorded.load(name)
    fit = GaussianFit(*(jnp.asarray(golden[f"fit/{part}"], jnp.float32) for part in ("mean", "std")))
    generator = recorded.generator(golden, gaussian_fit=fit)
    if whole := name.endswith("perceptual"):
        generator = dataclasses.replace(generator, perceptual=recorded.perceptual(golden))
    rounds = [len(golden[f"round{k}/mse"]) for k in range(4) if f"round{k}/mse" in golden]
    usual = presets.ilo(perceptual=whole)
    phases = tuple(dataclasses.replace(p, share=steps) for p, steps in zip(usual.phases, rounds, strict=False))
    config = dataclasses.replace(usual, phases=phases, steps=sum(rounds))
    if without_geocross:
        config = dataclasses.replace(config, loss="4*L2")
    noise = recorded.noise(int(golden["noise_seed"]), generator.noise_shapes)
    state = search.init(generator, config, recorded.picture(golden), jax.random.key(0), noise=noise)
    variables = state.variables | {"latent": jnp.asarray(golden["round0/latent"][0])}
    method = search._method(generator, config, config.numbers, len(state.target)).init(variables, jax.random.key(0))
    step = jax.jit(functools.partial(search.step, generator, config))
    return golden, generator, rounds, state._replace(variables=variables, method=method), step


def _check(seen, golden, k, look, rtol):
    np.testing.assert_allclose(4 * seen.terms["L2"], golden[f"round{k}/mse"][look], rtol=rtol)
    if k == 0:
        np.testing.assert_allclose(seen.terms["GEOCROSS_LATENT"], golden["round0/geocross"][look], rtol=rtol)
    if "LPIPS" in seen.terms:
        np.testing.assert_allclose(seen.terms["LPIPS"], golden[f"round{k}/lpips"][look], rtol=rtol)
    parts = {"L2": 4.0, "LPIPS": 1.0, "GEOCROSS_LATENT": WEIGHT}
    np.testing.assert_allclose(seen.loss, sum(parts[n] * value for n, value in seen.terms.items()), rtol=1e-6)


def _noise_is(found, golden, key, atol):
    for place, image in enumerate(found):
        if (name := f"{key}{place}") in golden:
            side = len(golden[name])
            np.testing.assert_allclose(image[:side, :side, 0], golden[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("name", ["ilo", "ilo_perceptual"])
def test_the_first_round_is_the_programs(unchecked, name):
    """Every look at a recorded point, then the round from its start: Adam whose rate goes up and down, and spheres."""
    golden, _, rounds, state, step = told(name)
    at, free = golden["round0/latent"], state
    for look in range(rounds[0]):
        free, seen = step(free)
        _check(seen, golden, 0, look, 1e-4 if look else 1e-5)
        gradient = golden["round0/latent_gradient"][look]
        if look == 0:
            _noise_is(seen.gradient["noise"], golden, "round0/noise_gradient", 1e-4 * np.abs(gradient).max())
        np.testing.assert_allclose(seen.gradient["latent"], gradient, rtol=0, atol=1e-4 * np.abs(gradient).max())
        if look:  # the first rate is 0
            recorded.assert_way(free.variables["latent"], at[look + 1], at[0], 1e-4)
        # At the program's own point.
        _, seen = step(state._replace(variables=state.variables | {"latent": at[look]}))
        np.testing.assert_allclose(seen.terms["GEOCROSS_LATENT"], golden["round0/geocross"][look], rtol=1e-5)
    assert np.all(golden["round0/rate"] <= 0.1) and golden["round0/rate"][0] == 0
    _noise_is(free.variables["noise"], golden, "round0/noise_end", 1e-4)


def test_later_rounds_are_the_programs_with_their_colours(unchecked):
    """Offsets, rows and noise of later blocks: of the program handed the colours of passed blocks, without GEOCROSS."""
    golden, generator, rounds, free, step = told("ilo")
    for _ in range(rounds[0]):
        free, _ = step(free)
    *_, step = told("ilo", without_geocross=True)
    for k in range(1, 4):
        block, rests = k - 1, generator.config.rows_until(k - 1)
        before, outputs = free.variables, golden[f"round{k}/out"]
        for look in range(rounds[k]):
            if look == 2:
                recorded.assert_way(free.variables["features"][block], outputs[1] - outputs[0], 0.0, 1e-2)
            free, seen = step(free)
            _check(seen, golden, k, look, 1e-4)
            if look == 0:
                gradient = golden[f"round{k}/latent_gradient"][0][rests:]
                found = seen.gradient["latent"][rests:]
                np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-3 * np.abs(gradient).max())
                gradient = golden[f"round{k}/out_gradient"][0]
                found = seen.gradient["features"][block]
                np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-3 * np.abs(gradient).max())
        end = golden[f"round{k}/latent"]
        recorded.assert_way(free.variables["latent"][rests:], end[-1][rests:], end[0][rests:], 1e-3)
        recorded.assert_way(free.variables["features"][block], outputs[2] - outputs[0], 0.0, 1e-2)
        _noise_is(free.variables["noise"], golden, f"round{k}/noise_end", 1e-3)
        # Rows and noise of passed blocks rest, and so does every other block's offset.
        np.testing.assert_array_equal(free.variables["latent"][:rests], before["latent"][:rests])
        for place, (one, other) in enumerate(zip(free.variables["noise"], before["noise"], strict=True)):
            assert np.all(one == other) == (place < rests), place
        for place, (one, other) in enumerate(zip(free.variables["features"], before["features"], strict=True)):
            assert np.all(one == other) == (place != block)


def test_rounds_move_five_seven_nine_and_eleven_noise_inputs():
    """The program's `range(5 + 2 * round)`; the rates of its rounds are in the goldens."""
    phases = presets.ilo().phases
    assert [phase.noise_layers for phase in phases] == [5, 7, 9, 11]
    assert [phase.block for phase in phases] == [None, 0, 1, 2]


def test_starts_are_standard_gaussian_rows_of_their_own():
    """`torch.randn((1, 18, 512))` there, of which every row's norm is kept."""
    _, generator, _, _, _ = told("ilo")
    config = presets.ilo()
    target = jnp.zeros((8, 8, 3))
    starts = jax.vmap(lambda key: start(generator, config, key, target)[0]["latent"])
    rows = np.asarray(starts(jax.random.split(jax.random.key(0), 200)))
    assert rows.shape == (200, generator.num_layers, generator.latent_dim)
    np.testing.assert_allclose([rows.mean(), rows.std()], [0, 1], atol=0.03)
    norms = np.linalg.norm(rows, axis=-1)
    assert norms.std() > 0.5  # not all on one sphere
    assert np.abs(np.corrcoef(rows[:, :, 0].T) - np.eye(generator.num_layers)).max() < 0.4
