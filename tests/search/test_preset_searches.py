"""Presets' first steps against a restatement of the method in float64, where no program's numbers are recorded
(`test_methods_*.py`), and what sets presets apart."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import print_saved_residuals

from pulse_jax.engine import batch, stream
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors import flow as flows
from pulse_jax.generators.priors.flow import Flow
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.images.degradations.bicubic import bicubic_matrix
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.objective import evaluate
from pulse_jax.search.phases import phase_of
from tests.tiny_networks import tiny_generator

LAYERS, WIDTH, SIZE, LOW = 3, 6, 16, 4
STEPS = 3
NOISE = ((4, 4, 1), (16, 16, 1))


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _function(params, w, noise):
    """A smooth generator: its noise inputs change the picture, each row of w in its own way."""
    latent = jnp.einsum("ld,ldp->p", jnp.tanh(w), params["image"]).reshape(SIZE, SIZE, 3)
    grain = sum(jnp.tile(image, (SIZE // len(image), SIZE // len(image), 1)) for image in noise)
    return jax.nn.sigmoid(latent + 0.2 * grain)


def _priors(width, dtype=jnp.float32):
    """A mean and a spread of w, a full covariance, and a flow with random weights."""
    rows = functools.partial(jnp.asarray, dtype=dtype)
    basis, _ = np.linalg.qr(_random(width, width, seed=4))
    blocks = jax.tree.map(rows, flows.init_blocks(jax.random.key(3), 2, 16, width))
    return {
        "w_avg": rows(0.3 * _random(width, seed=6)),
        "w_std": rows(1.7),
        "principal": PrincipalFit(rows(0.2 * _random(width, seed=5)), rows(basis), rows(np.linspace(2, 0.3, width))),
        "flow": Flow(
            mean=rows(0.3 * _random(width, seed=1)),
            std=rows(np.linspace(0.5, 2.0, width)),
            basis=None,
            blocks=blocks,
            scale=rows(np.linspace(0.8, 1.3, 2 * width).reshape(2, width)),
            shift=rows(0.1 * _random(2, width, seed=2)),
        ),
        "gaussian_fit": GaussianFit(rows(0.1 * _random(width, seed=7)), rows(0.5 + _random(width, seed=8) ** 2)),
    }


@functools.cache
def smooth(dtype=jnp.float32):
    params = {"image": 0.5 * _random(LAYERS, WIDTH, SIZE * SIZE * 3, seed=9), "mapping": _random(WIDTH, WIDTH, seed=10)}
    generator = Generator.from_function(
        _function,
        jax.tree.map(lambda a: jnp.asarray(a, dtype), params),
        resolution=SIZE,
        latent_dim=WIDTH,
        num_layers=LAYERS,
        noise_shapes=NOISE,
        mapping=lambda params, z: jax.nn.leaky_relu(z @ params["mapping"], 0.2),
    )
    return dataclasses.replace(generator, **_priors(WIDTH, dtype))


@functools.cache
def style(kind):
    generator = tiny_generator(kind, contrast=0.05)
    return dataclasses.replace(generator, **_priors(generator.latent_dim))


TARGET = (0.5 + 0.1 * _random(LOW, LOW, 3, seed=11)).astype(np.float32)


def trajectory(generator, config: SearchConfig, restart: int = 0):
    """The variables at the start and after each step, and the fixed noise; all of float32."""
    key = jax.random.fold_in(jax.random.key(7), restart)
    state = jax.jit(functools.partial(search.init, generator, config))(TARGET, key, first=restart == 0)
    step = jax.jit(functools.partial(search.step, generator, config))
    points, fixed = [state.variables], state.fixed_noise
    for _ in range(STEPS):
        state, _ = step(state)
        points.append(state.variables)
    return points, fixed


# --- the methods again, in float64 ------------------------------------------------------------------------------------


def downscaled(image):
    matrix = jnp.asarray(bicubic_matrix(SIZE, SIZE // LOW), jnp.float64)
    return jnp.einsum("ab,bcd,ec->aed", matrix, image, matrix)


def picture(generator, w, noise):
    return downscaled(_function(generator.params, jnp.broadcast_to(w, (LAYERS, WIDTH)), noise))


def distances(w):
    pairs = [(i, j) for i in range(len(w)) for j in range(i)]
    return jnp.stack([jnp.sum((w[i] - w[j]) ** 2) for i, j in pairs])


def flow_terms(generator, w):
    u, log_det = flows.forward(generator.flow, w)
    log_p = -0.5 * jnp.sum(u**2, -1) - 0.5 * WIDTH * jnp.log(2 * jnp.pi) + log_det
    return -jnp.mean(log_p), jnp.mean((jnp.sqrt(jnp.sum(u**2, -1)) - WIDTH**0.5) ** 2)


def srls_paper(generator, w, noise, y):
    density, norm = flow_terms(generator, w)
    data = jnp.mean(jnp.abs(picture(generator, w, noise) - y))
    return data + 1e-4 * density + 2e-4 * norm + 1e-2 * jnp.sum(distances(w))


def image2stylegan(generator, w, noise, y):
    return jnp.mean((picture(generator, w, noise) - y) ** 2)


def geocross(w):
    apart, together = (jnp.sqrt(jnp.sum((w[:, None] + sign * w) ** 2, -1) + 1e-9) for sign in (-1, 1))
    return 64 * jnp.mean((2 * jnp.arctan(apart / together)) ** 2)


def linear1cycledrop(t):
    return (9 * (1 - 2 * abs(t / 0.9 - 0.5)) + 1) / 10


def ramps(t):
    return min(t / 0.05, 1.0) * (0.5 - 0.5 * np.cos(np.pi * min((1 - t) / 0.25, 1.0)))


def constant(t):
    return 1.0


class Adam:
    """Kingma and Ba 2015, algorithm 1."""

    def __init__(self):
        self.t, self.m, self.v = 0, 0.0, 0.0

    def step(self, x, g, rate):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g**2
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.999**self.t)
        return x - rate * m / (np.sqrt(v) + 1e-8)


METHODS = {
    "srls_paper": (srls_paper, 0.5, constant, 500),
    "image2stylegan": (image2stylegan, 0.01, constant, 1000),
}


@pytest.mark.parametrize("restart", [0, 1])
@pytest.mark.parametrize("name", METHODS)
def test_the_first_steps_are_the_methods(unchecked, name, restart):
    loss, rate, schedule, steps = METHODS[name]
    config = presets.PRESETS[name]()
    points, fixed = trajectory(smooth(), config, restart)
    assert config.steps == steps
    with jax.enable_x64(True):
        generator = smooth(jnp.float64)
        noise = tuple(jnp.asarray(np.asarray(image), jnp.float64) for image in fixed)
        gradient = jax.grad(lambda x: loss(generator, x, noise, jnp.asarray(TARGET, jnp.float64)))
        # Coinciding rows have no direction apart; float32 leaves them together, and so does this.
        x, adam = np.asarray(points[0]["latent"], np.float64), Adam()
        for t in range(STEPS):
            g = np.asarray(gradient(jnp.asarray(x)))
            x = adam.step(x, g, rate * schedule(t / steps))
            np.testing.assert_allclose(points[t + 1]["latent"], x, atol=1e-4 * rate + 1e-6, err_msg=f"step {t}")
    assert np.abs(x - points[0]["latent"]).max() > 0.1 * rate * schedule(2 / steps)


def test_the_first_steps_of_pulse_turn_its_spheres(unchecked):
    """Momentum along great circles: each turned by the way that was gone, each new gradient a unit direction."""
    config = presets.pulse()
    points, fixed = trajectory(smooth(), config)
    with jax.enable_x64(True):
        generator = smooth(jnp.float64)
        noise = tuple(jnp.asarray(np.asarray(image), jnp.float64) for image in fixed)
        fit = generator.gaussian_fit

        def loss(x):
            w = jax.nn.leaky_relu(x * fit.std + fit.mean, 0.2)
            return 100 * image2stylegan(generator, w, noise, jnp.asarray(TARGET)) + 0.05 * geocross(w)

        x = np.asarray(points[0]["latent"], np.float64) / WIDTH**0.5
        velocity = np.zeros_like(x)
        for t in range(STEPS):
            g = np.asarray(jax.grad(lambda u: loss(WIDTH**0.5 * u))(jnp.asarray(x)))
            g = g - x * np.sum(g * x, -1, keepdims=True)
            velocity = 0.9 * velocity + g / np.linalg.norm(g, axis=-1, keepdims=True)
            way = -0.05 * linear1cycledrop(t / 100) * velocity
            angle = np.linalg.norm(way, axis=-1, keepdims=True)
            unit = way / angle
            # What lies along the way turns with it, the rest stays.
            along = np.sum(velocity * unit, -1, keepdims=True)
            velocity = velocity - along * unit + along * (np.cos(angle) * unit - np.sin(angle) * x)
            x = np.cos(angle) * x + np.sin(angle) * unit
            np.testing.assert_allclose(points[t + 1]["latent"], WIDTH**0.5 * x, atol=1e-4, err_msg=f"step {t}")


def _first_steps(kind, config):
    """Gradients of a restated loss through the generator at every point of the trajectory, in float32."""
    generator = style(kind)
    points, fixed = trajectory(generator, config)
    matrix = bicubic_matrix(SIZE, SIZE // LOW).astype(np.float32)
    remaining = [None if image is None else image for image in fixed]

    def low_res(w, noise, offsets):
        merged, searched = [], iter(noise)
        for image in remaining:
            merged.append(next(searched) if image is None else image)
        image = generator.synthesize(w, tuple(merged), offsets=offsets)
        return jnp.einsum("ab,bcd,ec->aed", matrix, image, matrix)

    return generator, points, low_res


@pytest.mark.slow
def test_robust_moves_all_rows_then_layers_then_filters(unchecked):
    """On StyleGAN1, where recorded numbers are of StyleGAN2."""
    config = presets.robust(steps=3)
    generator, points, low_res = _first_steps("stylegan1-16", config)
    filters = generator.config.filters
    layer_of = np.repeat(np.arange(len(filters)), filters)

    def loss(w):
        return 0.1 * jnp.mean(jnp.abs(low_res(w, (), {}) - TARGET))

    gradient = jax.jit(jax.grad(loss))
    np.testing.assert_allclose(points[0]["latent"], np.tile(generator.w_avg, (sum(filters), 1)), rtol=1e-6)
    for t, rate in enumerate((0.08, 0.02, 0.005)):
        g = np.asarray(gradient(points[t]["latent"]), np.float64)
        if t == 0:
            g = np.tile(g.sum(0), (len(g), 1))
        elif t == 1:
            g = np.stack([g[layer_of == layer].sum(0) for layer in range(len(filters))])[layer_of]
        lengths = np.linalg.norm(g, axis=-1, keepdims=True)
        step = np.where(lengths > 0, g / np.where(lengths > 0, lengths, 1), 0)
        expected = np.asarray(points[t]["latent"]) - rate * step
        # A row whose gradient is rounding has no direction to compare.
        sure = lengths[:, 0] > 1e-4 * lengths.max()
        assert sure.mean() > 0.5
        np.testing.assert_allclose(points[t + 1]["latent"][sure], expected[sure], atol=0.02 * rate)


@pytest.mark.slow
def test_ilo_moves_the_latent_then_offsets_to_deeper_blocks(unchecked):
    """On StyleGAN1, and in a ball; of steps that share themselves out as 2, 2, 1, 1 those of the first blocks."""
    config = presets.ilo(steps=6, feature_radius=1e-4, schedule="fixed")
    generator, points, low_res = _first_steps("stylegan1-16", config)

    def loss(latent, noise, features):
        w = jax.nn.leaky_relu(latent * generator.gaussian_fit.std + generator.gaussian_fit.mean, 0.2)
        return 4 * jnp.mean((low_res(w, noise, dict(enumerate(features))) - TARGET) ** 2) + 0.01 * geocross(latent)

    radii = [np.linalg.norm(row) for row in np.asarray(points[0]["latent"])]
    adam, offsets = Adam(), Adam()
    gradient = jax.jit(jax.grad(loss, argnums=(0, 2)))
    for t in range(3):
        at = points[t]
        g = gradient(at["latent"], at["noise"], at["features"])
        latent = np.asarray(at["latent"], np.float64)
        rows = generator.config.rows_until(0) if t == 2 else 0
        if t == 2:
            adam = Adam()
        held = np.asarray(g[0], np.float64).copy()
        held[:rows] = 0
        moved = adam.step(latent, held, 0.1)
        moved = moved / np.linalg.norm(moved, axis=-1, keepdims=True) * np.asarray(radii)[:, None]
        moved[:rows] = latent[:rows]
        np.testing.assert_allclose(points[t + 1]["latent"], moved, atol=2e-3)
        if t < 2:
            assert all(not np.any(offset) for offset in points[t + 1]["features"])
        else:
            step = offsets.step(0.0, np.asarray(g[1][0], np.float64), 0.1)
            got = np.asarray(points[3]["features"][0])
            np.testing.assert_allclose(np.abs(got).mean(), 1e-4, rtol=1e-3)  # a step of 0.1 leaves the ball
            assert np.all(got * step >= 0)
            assert all(not np.any(offset) for offset in points[3]["features"][1:])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stylegan1-16", "stylegan2-16"])
def test_rematerialization_changes_no_search(unchecked, kind):
    plain, _ = trajectory(style(kind), presets.pulse())
    again, _ = trajectory(style(kind), presets.pulse(rematerialize=True))
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_rematerialization_keeps_less(unchecked, capsys):
    """Of the synthesis at 16×16 the gradient keeps two channels' pictures: one block's output and no more, or many."""
    generator = style("stylegan2-16")
    state = search.init(generator, presets.pulse(), TARGET, jax.random.key(0))

    def kept(config):
        def loss(variables):
            return evaluate(generator, config, TARGET, variables, state.fixed_noise)[0]

        print_saved_residuals(loss, state.variables)
        return capsys.readouterr().out.count("f32[1,16,16,2]")

    assert kept(presets.pulse(rematerialize=True)) <= 1 < kept(presets.pulse())


# --- what presets promise ---------------------------------------------------------------------------------------------

PROBLEM = {"restarts": 2, "lanes": 4}


def _of(name):
    # These need a StyleGAN; the smooth function compiles faster.
    return style("stylegan2-16") if name in ("ilo", "robust") else smooth()


@functools.cache
def solved(name):
    return batch.upsample(_of(name), TARGET, config=presets.PRESETS[name](steps=4, eps=1e-4), **PROBLEM)


@pytest.mark.slow
def test_no_two_presets_agree(unchecked):
    pictures = {name: np.asarray(solved(name).images) for name in presets.PRESETS}
    names = list(pictures)
    for i, one in enumerate(names):
        assert np.all(np.isfinite(solved(one).loss)), one
        for other in names[:i]:
            assert np.any(pictures[one] != pictures[other]), (one, other)


@pytest.mark.parametrize("name", ["srls", "ilo", "stylegan2_projector"])
def test_a_search_is_reproducible(unchecked, name):
    again = solved.__wrapped__(name)
    for field in dataclasses.fields(again):
        for one, other in zip(*(jax.tree.leaves(getattr(s, field.name)) for s in (again, solved(name))), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("csgm", "srls", "robust", "ilo") else pytest.mark.slow)
        for name in presets.SEARCHES
    ],
)
def test_a_solutions_w_gives_its_picture(unchecked, name):
    """To half a level: a picture is what the generator makes of w, noise and offsets, clipped and rounded."""
    found = solved(name)
    generator = _of(name)
    assert (len(found.offsets) > 0) == (name == "ilo")
    assert found.w.shape[2] == (generator.num_filters if name == "robust" else generator.num_layers)
    offsets = {block: jnp.asarray(offset) for block, offset in found.offsets.items()}
    images = generator.synthesize(jnp.asarray(found.w), tuple(map(jnp.asarray, found.noise)), offsets=offsets)
    assert np.ptp(images) > 0.1
    np.testing.assert_allclose(np.clip(images, 0, 1), found.images, atol=(0.5 + 1e-3) / 255)


def test_the_first_search_starts_at_the_mean_and_others_towards_random_styles(unchecked):
    generator = smooth()
    config = presets.image2stylegan()
    mean = np.asarray(generator.w_avg)
    start = jax.jit(lambda key, first: search.init(generator, config, TARGET, key, first=first).variables["latent"])
    np.testing.assert_allclose(start(jax.random.key(1), True), np.tile(mean, (LAYERS, 1)), rtol=1e-6)
    ways = []
    for seed in range(40):
        rows = np.asarray(start(jax.random.key(seed), False))
        np.testing.assert_array_equal(rows, np.tile(rows[:1], (LAYERS, 1)))
        z_key, _ = jax.random.split(jax.random.split(jax.random.key(seed))[0])
        style_row = np.asarray(generator.map(jax.random.normal(z_key, (1, WIDTH))))[0]
        way = (rows[0] - mean) @ (style_row - mean) / np.sum((style_row - mean) ** 2)
        np.testing.assert_allclose(rows[0], mean + way * (style_row - mean), atol=1e-5)
        ways.append(way)
    assert 0.2 <= min(ways) < 0.23
    assert 0.37 < max(ways) <= 0.4


def test_phases_share_out_the_steps():
    phases = presets.ilo().phases
    now = jax.vmap(lambda taken: phase_of(phases, taken, 150))(jnp.arange(150))
    np.testing.assert_array_equal(now.index, np.repeat([0, 1, 2, 3], [50, 50, 25, 25]))
    np.testing.assert_array_equal(now.steps, np.repeat([50, 25], [100, 50]))
    np.testing.assert_array_equal(np.flatnonzero(now.begins), [0, 50, 100, 125])
    rates = jax.vmap(lambda taken: phase_of(presets.robust().phases, taken, 450).rate)(jnp.array([0, 149, 150, 300]))
    np.testing.assert_allclose(rates, [1, 1, 1 / 4, 1 / 16])


NUMBERS = {
    "eps": 0.02,
    "steps": 5,
    "learning_rate": 0.3,
    "patience": 3,
    "noise_scale": 0.2,
    "repulsion": 3.0,
    "latent_noise": 0.3,
    "loss": "7*L2+0.1*LAPLACE",
}


@pytest.mark.slow
def test_other_numbers_need_no_other_program(unchecked, compiled):
    """Numeric settings and weights are data: a config that differs in any of them compiles nothing."""
    numeric = {field.name for field in dataclasses.fields(SearchConfig) if "number" in field.metadata}
    assert numeric | {"loss"} == NUMBERS.keys(), "give a new numeric setting another value here"
    generator = dataclasses.replace(style("stylegan2-16"), w_std=jnp.float32(0.5))
    first = {"eps": 1e-9, "steps": 4, "patience": 2, "latent_noise": 0.1, "loss": "1*L2+0.01*LAPLACE"}
    first["repulsion"] = 0.5
    config = presets.pulse(stop="plateau", **first)

    def found(**numbers):
        changed = dataclasses.replace(config, **numbers)
        solutions = batch.upsample(generator, TARGET, restarts=2, config=changed, lanes=2)
        return solutions.loss.tolist(), solutions.steps.tolist(), solutions.feasible.tolist()

    outcome = found()
    compiled.clear()
    others = {name: found(**{name: value}) for name, value in NUMBERS.items()}
    assert not compiled
    # All but two change this search; those two would change when a search ends.
    assert {name for name, other in others.items() if other == outcome} <= {"eps", "patience"}
    found(loss="1*MAE+0.01*LAPLACE")
    assert compiled


@pytest.mark.parametrize(
    ("name", "field", "message"),
    [
        ("srls", "flow", "the loss FLOW needs this generator's flow; pulse-jax fit-prior GENERATOR --kind flow"),
        ("brgm", "w_std", "the search needs this generator's w_std"),
        ("brgm_2", "w_std", "the loss WPRIOR needs this generator's w_std"),
        ("pn", "principal", "the loss PRINCIPAL_MEAN needs this generator's principal; .* --kind pca"),
        ("image2stylegan", "w_avg", "the search needs this generator's w_avg; .* --kind gaussian"),
        ("stylegan2_projector", "w_std", "the search needs this generator's w_std"),
        ("pulse", "gaussian_fit", "the search needs this generator's gaussian_fit"),
    ],
)
def test_what_a_search_lacks_is_said_before_it_begins(name, field, message):
    generator = dataclasses.replace(smooth(), **{field: None})
    with pytest.raises(ValueError, match=f"^{message}"):
        stream.solve_stream([], generator, config=presets.PRESETS[name]())


def test_a_users_own_function_has_no_filters_and_no_blocks():
    for name, message in (("robust", "^space: expected a StyleGAN in space 'w..'"), ("ilo", "^block: this generator")):
        with pytest.raises(ValueError, match=message):
            next(iter(stream.solve_stream([TARGET], smooth(), config=presets.PRESETS[name]())))
