"""What Python's callers pass by mistake is told by the argument's name, before anything compiles."""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import pulse_jax
from pulse_jax.search import presets
from tests.tiny_networks import tiny_generator

GREY = np.full((2, 2, 3), 0.5, np.float32)
QUICK = presets.pulse(steps=2)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-4", contrast=0.1)


WRONG = [
    ({"low_res": 255 * GREY}, ValueError, r"low_res: expected values in \[0, 1\], got 127.5 to 127.5; divide by 255"),
    ({"low_res": 2 * GREY - 2}, ValueError, r"low_res: expected values in \[0, 1\], got -1 to -1; shift and scale"),
    ({"low_res": np.full((2, 2, 3), np.nan)}, ValueError, "low_res: .* got NaN"),
    ({"low_res": np.full((2, 2, 3), 9, np.uint8)}, ValueError, "low_res: .* got uint8; divide by 255"),
    ({"low_res": "face.png"}, TypeError, "low_res: expected an array of pixels, got a str; read the picture first"),
    ({"low_res": Path("face.png")}, TypeError, "low_res: expected an array of pixels, got a PosixPath"),
    ({"low_res": GREY[..., :1]}, ValueError, "low_res: expected square RGB images"),
    ({"seed": 1.5}, ValueError, "seed: expected a whole number from 0 to 4294967295, got 1.5"),
    ({"seed": True}, ValueError, "seed: expected a whole number"),
    ({"seed": -1}, ValueError, "seed: expected a whole number from 0 to 4294967295, got -1"),
    ({"lanes": 2.0}, ValueError, "lanes: expected a whole number, 1 or more, got 2.0"),
    ({"lanes": 0}, ValueError, "lanes: expected a whole number, 1 or more, got 0"),
    ({"restarts": 1.0}, ValueError, "restarts: expected a whole number, 1 or more, got 1.0"),
    ({"config": "puls"}, ValueError, "config: expected the name of a preset .* got 'puls'; did you mean pulse?"),
    ({"config": 3}, TypeError, "config: expected a SearchConfig or an InterpolationConfig, got int"),
]


@pytest.mark.parametrize(("arguments", "kind", "told"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_a_wrong_argument_is_named_and_nothing_compiles(unchecked, compiled, generator, arguments, kind, told):
    arguments = {"low_res": GREY, "config": QUICK} | arguments
    with pytest.raises(kind, match=told):
        pulse_jax.upsample(generator, arguments.pop("low_res"), **arguments)
    assert not [message for message in compiled if "chunk" in message]


@pytest.mark.parametrize(
    "transform", [jax.jit, jax.vmap, lambda f: jax.grad(lambda x: f(x).sum())], ids=["jit", "vmap", "grad"]
)
def test_inside_a_transform_it_says_why_not(unchecked, generator, transform):
    with pytest.raises(TypeError, match="got a tracer; searches compile programs of their own"):
        transform(lambda x: pulse_jax.upsample(generator, x, config=QUICK).loss)(jnp.asarray(GREY[None]))


def test_what_is_meant_is_taken(unchecked, generator):
    """A preset's name, bfloat16, NumPy's integers, and what resampling leaves a little outside [0, 1]."""
    low_res = jnp.asarray(GREY, jnp.bfloat16)
    found = pulse_jax.upsample(generator, low_res, seed=np.int64(3), restarts=np.int32(2), config="bicubic")
    assert found.images.shape == (1, 2, 4, 4, 3) or found.images.shape == (1, 1, 4, 4, 3)
    pulse_jax.upsample(generator, GREY + 0.6, config="nearest")


def test_progress_is_told_and_may_end_a_search(unchecked, generator):
    told = []
    pulse_jax.upsample(generator, GREY, restarts=3, config=QUICK, on_progress=told.append)
    assert told[-1].done == 3 and isinstance(told[-1], pulse_jax.Progress)

    def enough(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulse_jax.upsample(generator, GREY, config=QUICK, on_progress=enough)


def test_notebooks_see_pictures_and_a_line(unchecked, generator):
    found = pulse_jax.upsample(generator, np.stack([GREY, GREY / 2]), restarts=3, config=QUICK)
    feasible = int(found.feasible.sum())
    assert repr(found).startswith(
        f"Solutions: 2 images, 3 solutions each, 4x4; {feasible} of 6 feasible, median error "
    )
    with Image.open(io.BytesIO(found._repr_png_())) as sheet:
        assert sheet.size == (12, 8)
        np.testing.assert_allclose(np.asarray(sheet)[4:, 8:] / 255, found.images[1, 2], atol=1e-6)
    assert (
        found._repr_html_().startswith('<figure><img src="data:image/png;base64,')
        and repr(found) in found._repr_html_()
    )


def test_the_rest_of_what_a_library_offers():
    assert pulse_jax.__version__ and pulse_jax.Status.FEASIBLE == 1
    assert (Path(pulse_jax.__file__).parent / "py.typed").is_file()
    assert callable(pulse_jax.use_compilation_cache)
