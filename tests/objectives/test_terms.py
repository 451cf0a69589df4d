"""The table of loss terms: every row by hand, their sum against the original program, and a row that is new."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.lpips import BLOCKS, Perceptual
from pulse_jax.generators.priors import flow as flows
from pulse_jax.generators.priors.bundle import MissingPrior, Priors, what_is_missing
from pulse_jax.generators.priors.flow import Flow, init_blocks
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import TERMS, Term, TermInputs, check_priors, total_loss
from pulse_jax.search import objective, requirements
from pulse_jax.search.config import SearchConfig
from tests.golden_weights import load, nhwc


def image(value, shape=(4, 4, 3)):
    return jnp.full(shape, value, jnp.float32)


def weights_of(text):
    return {term.name: term.weight for term in parse_loss(text)}


@pytest.fixture(scope="module")
def known():
    """Priors of rows of four numbers whose values are easily had by hand."""
    blocks = jax.tree.map(jnp.zeros_like, init_blocks(jax.random.key(0), 1, 4, 4))
    reversal = Flow(jnp.zeros(4), jnp.ones(4), None, blocks, jnp.ones((1, 4)), jnp.zeros((1, 4)))
    identity = PrincipalFit(jnp.zeros(4), jnp.eye(4), jnp.ones(4))
    # White has the first of two features, black the second, at every depth.
    centre = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
    first = jnp.zeros((3, 3, 3, 2)).at[1, 1].set(jnp.array([1.0, -1.0]))
    count = sum(BLOCKS)
    black_or_white = Perceptual(
        (first, *[centre] * (count - 1)), (jnp.zeros(2),) * count, (jnp.array([0.5, 0.25]),) * 5
    )
    return Priors(reversal, identity, w_avg=jnp.zeros(4), w_std=jnp.ones(()), perceptual=black_or_white)


@pytest.mark.parametrize("text", ["100*L2+0.05*GEOCROSS", "1*L1", "2*L2+3*L1+0.5*GEOCROSS"])
def test_total_meets_the_original(text):
    golden, weights = load("d_losses"), weights_of(text)

    def one(generated, target, w):
        low_res = Bicubic(8).apply(generated)
        return total_loss(weights, TermInputs(generated_low_res=low_res, target=target, w=w, latent=w, eps=0.002))

    case = f"forward/{text.replace('*', 'x')}"
    generated, target = nhwc(golden["forward/gen_im"]), nhwc(golden["forward/ref"])
    total, values = jax.jit(jax.vmap(one))(generated, target, golden["forward/latent"])
    np.testing.assert_allclose(total.sum(), golden[f"{case}/total"], rtol=1e-5)
    assert set(values) == set(weights)
    for name, value in values.items():
        np.testing.assert_allclose(value.sum(), golden[f"{case}/{name}"], rtol=1e-5)


def test_every_row_is_reached_through_the_language(known):
    weights = weights_of("+".join(f"{number}*{name}" for number, name in enumerate(TERMS)))
    assert list(weights) == list(TERMS)
    rows, size = jnp.eye(2, 4), (16, 16, 3)
    fields = {"generated_low_res": image(1.0, size), "target": image(0.0, size), "w": rows, "latent": rows}
    fields |= {"noise": (jnp.ones((8, 8, 1)),), "priors": known}
    total, values = jax.jit(lambda fields: total_loss(weights, TermInputs(**fields, eps=1e-3)))(fields)
    log_2pi = np.log(2 * np.pi)
    by_hand = {
        "L2": 1.0,
        "L1": 10.0,
        "MAE": 1.0,
        "COARSE_MAE": 1.0,
        "SQUARES": 4.0 * 768,
        "GEOCROSS": 64 * (np.pi / 2) ** 2 / 2,
    }
    by_hand |= {"LAPLACE": 768 * (1 + np.log(2)), "GAUSSIAN": 384 * (1 + log_2pi), "LPIPS": 5 * 0.75}
    by_hand |= {
        "FLOW": 0.5 + 2 * log_2pi,
        "NORM": 1.0,
        "MEAN_NORM": 1.0,
        "CROSS": 2**0.5,
        "CROSS_SQUARED": 2.0,
        "COLINEAR": 0.5,
    }
    # Images of 16 pixels have no scale above that.
    by_hand |= {"MULTISCALE_LPIPS": 0.0, "GEOCROSS_LATENT": by_hand["GEOCROSS"], "PRINCIPAL_MEAN": 0.25}
    # Of 256×256 pixels there are 2 features at every depth, a quarter from one depth to the next.
    by_hand |= {"VGG": 5 * 0.75 / (2 * 256**2 * sum(4.0**-depth for depth in range(5))), "COLINEAR_SUM": 2.0}
    by_hand |= {"WPRIOR": 0.25, "PRINCIPAL": 1.0, "LATENT": 2.0, "NOISE": 2.0}
    assert set(values) == set(by_hand) == set(TERMS)
    for name in TERMS:
        np.testing.assert_allclose(values[name], by_hand[name], rtol=1e-5)
    np.testing.assert_allclose(total, sum(weight * by_hand[name] for name, weight in weights.items()), rtol=1e-5)


def test_one_pass_through_the_flow_serves_both_of_its_terms(known, monkeypatch):
    passes = []
    forward = flows.forward
    monkeypatch.setattr("pulse_jax.objectives.terms.forward", lambda *args: passes.append(args) or forward(*args))
    rows, pictures = jnp.eye(2, 4), {"generated_low_res": image(1.0), "target": image(0.0)}
    for text, count in (("L2+CROSS", 0), ("FLOW+NORM", 1)):
        total_loss(weights_of(text), TermInputs(**pictures, w=rows, latent=rows, priors=known))
        assert len(passes) == count


def test_half_precision_is_computed_in_single():
    generated, target, w = image(0.5).astype(jnp.bfloat16), image(0.25), jnp.eye(2, 4, dtype=jnp.bfloat16)
    total, values = total_loss(
        weights_of("L2+GEOCROSS"), TermInputs(generated_low_res=generated, target=target, w=w, latent=w)
    )
    assert {total.dtype, *(value.dtype for value in values.values())} == {jnp.dtype(jnp.float32)}


def test_no_terms_are_refused():
    rows = jnp.ones((1, 4))
    with pytest.raises(ValueError, match=r"^terms: expected at least one loss term"):
        total_loss({}, TermInputs(generated_low_res=image(0.5), target=image(0.5), w=rows, latent=rows))


@pytest.mark.parametrize("name", TERMS)
def test_what_a_row_needs_is_known_and_refused_by_name_where_it_is_missing(known, name):
    assert set(TERMS[name].needs) <= set(Priors._fields)
    check_priors([name], known)
    for field in TERMS[name].needs:
        with pytest.raises(MissingPrior) as caught:
            check_priors(["L2", name], known._replace(**{field: None}))
        assert str(caught.value) == f"the loss {name} needs {what_is_missing(field)}"
    if not TERMS[name].needs:
        check_priors([name], Priors())


@pytest.mark.parametrize(
    ("name", "missing"),
    [("FLOW", "flow"), ("NORM", "flow"), ("WPRIOR", "w_std"), ("PRINCIPAL", "principal")],
)
def test_a_prior_that_was_not_fitted_is_named(known, name, missing):
    with pytest.raises(MissingPrior, match=rf"^the loss {name} needs this generator's {missing}; pulse-jax fit-prior"):
        check_priors(["L2", name], known._replace(**{missing: None}))
    check_priors(["L2", "CROSS"], Priors())


@pytest.mark.parametrize("field", Priors._fields)
def test_how_to_get_what_is_missing_is_told_of_everything_that_terms_may_need(field):
    assert what_is_missing(field)


def test_a_new_row_is_a_loss_like_any_other(monkeypatch):
    """A function and a row, and searches know the term: its value, its weight, its needs and its smallest input."""
    term = Term(lambda x: jnp.sum(jnp.square(x.w - x.priors.w_avg)), needs=("w_avg",), smallest_side=4)
    with pytest.raises(ValueError, match=r"loss: expected terms from .*, got 'DISTANCE'"):
        SearchConfig(loss="L2+3*DISTANCE")
    monkeypatch.setitem(TERMS, "DISTANCE", term)
    config = SearchConfig(loss="L2+3*DISTANCE", space="w", coordinates="plain")

    def paint(params, w, noise):
        return jnp.broadcast_to(w[0] * params, (8, 8, 3))

    generator = Generator.from_function(paint, jnp.float32(0.5), resolution=8, latent_dim=3)
    with pytest.raises(MissingPrior, match=r"^the loss DISTANCE needs this generator's w_avg"):
        requirements.check_fits(generator, config)
    generator = dataclasses.replace(generator, w_avg=jnp.asarray([1.0, 1.0, 3.0]))
    requirements.check_fits(generator, config)
    assert requirements.admissible_sizes(8, config) == [4, 8]
    with pytest.raises(ValueError, match=r"^output_size: expected 4 at least for the loss DISTANCE, got 2"):
        requirements.output_size(generator, SearchConfig(loss="DISTANCE", output_size=2))
    variables = {"latent": jnp.asarray([[1.0, 0.0, 1.0]]), "noise": ()}
    loss, seen = objective.evaluate(generator, config, image(0.0), variables, ())
    # Channels of 0.5, 0 and 0.5 against black; w differs by (0, 1, 2) from its mean.
    np.testing.assert_allclose(seen.terms["DISTANCE"], 5.0, rtol=1e-6)
    np.testing.assert_allclose(loss, 0.5 / 3 + 3 * 5.0, rtol=1e-5)
