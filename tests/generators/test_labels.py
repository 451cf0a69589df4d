"""Generators with classes: labels as arguments and fixed, fits, folders, pytrees, and the command line's `--label`."""

import dataclasses
import functools
import json
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.cli import main
from pulse_jax.generators.folder import GeneratorError, _description_hash
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.images.files import save_png
from tests.tiny_networks import LABELLED, tiny_generator

MAP = jax.jit(Generator.map)


@pytest.fixture(params=LABELLED)
def generator(request):
    return tiny_generator(request.param)


def _draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


# --- labels as arguments, and fixed -----------------------------------------------------------------------------------


def test_a_fixed_label_is_that_label(generator):
    count = generator.label_dim
    z, weights = _draw(6, 5), _draw(count, seed=1)
    outputs = set()
    for number in range(count):
        w = MAP(generator.with_label(number), z)
        np.testing.assert_array_equal(w, MAP(generator, z, jax.nn.one_hot(number, count)))
        outputs.add(w.tobytes())
    assert len(outputs) == count
    np.testing.assert_array_equal(MAP(generator.with_label(weights), z), MAP(generator, z, weights))
    for number in (np.int64(1), jnp.int32(1)):
        np.testing.assert_array_equal(generator.with_label.__wrapped__(generator, number).label, np.eye(count)[1])


def test_labels_are_broadcast(generator):
    count = generator.label_dim
    z, labels = _draw(2, 1, 5), _draw(3, count, seed=1)
    together = MAP(generator, z, labels)
    assert together.shape == (2, 3, 5)
    for i in range(2):
        for k in range(3):
            np.testing.assert_allclose(MAP(generator, z[i, 0], labels[k]), together[i, k], rtol=1e-5, atol=1e-5)
    assert MAP(generator, z, labels[0]).shape == (2, 1, 5)
    assert MAP(generator, z[0, 0], labels).shape == (3, 5)


def test_wrong_labels_are_named_with_what_was_expected(generator, unchecked):
    count = generator.label_dim
    z, label = _draw(2, 5), jnp.ones(count)
    with pytest.raises(ValueError, match=rf"label: expected shape \(…, {count}\), or .* by with_label, got None"):
        generator.map(z)
    with pytest.raises(ValueError, match=rf"label: expected shape \(…, {count}\), got \(2, 9\)"):
        generator.map(z, jnp.ones((2, 9)))
    with pytest.raises(ValueError, match="label: expected shape"):
        generator.sample(jax.random.key(0), 1)
    for number in (-1, count):
        with pytest.raises(ValueError, match=f"label: expected a class from 0 to {count - 1}, got {number}"):
            generator.with_label(number)
    with pytest.raises(
        ValueError, match=rf"label: expected a class .* or shape \({count},\), got shape \(1, {count}\)"
    ):
        generator.with_label(label[None])
    fixed, plain = generator.with_label(0), tiny_generator()
    for other, why in ((fixed, "this generator's is fixed"), (plain, "this generator takes none")):
        with pytest.raises(ValueError, match=f"label: expected None because {why}, got shape"):
            other.map(jnp.zeros((2, other.latent_dim)), label)
        with pytest.raises(ValueError, match=f"label: {why}"):
            other.with_label(0)


def test_a_users_function_takes_no_label():
    generator = Generator.from_function(lambda params, w, noise: w, {}, resolution=4, latent_dim=3)
    assert generator.label_dim == 0
    with pytest.raises(ValueError, match="this generator takes none"):
        generator.with_label(0)


# --- a generator with a fixed label is one without classes ------------------------------------------------------------


def test_a_fixed_label_is_data(generator):
    first, second = generator.with_label(0), generator.with_label(1)
    assert first.label_dim == 0 and generator.label_dim == generator.config.label_dim
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert len(jax.tree.leaves(first)) == len(jax.tree.leaves(dataclasses.replace(generator, gaussian_fit=None))) + 1
    draw = jax.jit(lambda generator, z: generator.map(z))
    outputs = [draw(one, _draw(2, 5)) for one in (first, second)]
    assert draw._cache_size() == 1 and not np.array_equal(*outputs)
    chosen = jax.jit(lambda generator, label, z: generator.with_label(label).map(z))
    np.testing.assert_allclose(chosen(generator, second.label, _draw(2, 5)), outputs[1], rtol=1e-6, atol=1e-6)


def test_samples_are_of_the_label(generator):
    images = [generator.with_label(number).sample(jax.random.key(3), 2) for number in (0, 1)]
    assert images[0].shape == (2, 4, 4, 3) and not np.array_equal(*images)
    generator.with_label(0).sample(jax.random.key(3), 1, truncation=0.5)


@pytest.mark.slow
def test_the_fit_is_the_labels(generator):
    fixed = generator.with_label(1)
    assert generator.gaussian_fit is not None and fixed.gaussian_fit is None
    np.testing.assert_array_equal(fixed.w_avg, generator.w_avg)
    count = generator.label_dim
    fits = [generator.with_label(number).fitted(samples=8192).gaussian_fit for number in range(count)]
    # Over all classes the fit is that of their mixture: means average, and so do second moments.
    mixed = generator.fitted(samples=16_384).gaussian_fit
    mean = np.mean([fit.mean for fit in fits], axis=0)
    second = np.mean([fit.mean**2 + fit.std**2 for fit in fits], axis=0)
    np.testing.assert_allclose(mixed.mean, mean, atol=0.05 * float(mixed.std.max()))
    np.testing.assert_allclose(mixed.std, np.sqrt(second - mean**2), rtol=0.05)
    assert float(np.abs(fits[0].mean - fits[1].mean).max()) > 0.2 * float(mixed.std.max())


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [False, True], ids=["open", "fixed"])
def test_folders_keep_labels(generator, fixed, tmp_path):
    generator = generator.with_label(2) if fixed else generator
    generator.save(tmp_path / "generator", dtype="float16" if fixed else "float32")
    again = load_generator(tmp_path / "generator")
    assert again.config == generator.config and jax.tree.structure(again) == jax.tree.structure(generator)
    if fixed:
        np.testing.assert_array_equal(again.label, generator.label)
        assert again.map(_draw(2, 5)).shape == (2, 5)
    else:
        jax.tree.map(np.testing.assert_array_equal, again, generator)


def test_a_label_needs_classes(tmp_path):
    generator = dataclasses.replace(tiny_generator(), label=jnp.ones(3))
    with pytest.raises(GeneratorError, match="array 'label' does not belong to this architecture"):
        generator.save(tmp_path / "generator")
    short = dataclasses.replace(tiny_generator("stylegan2-labels"), label=jnp.ones(2))
    with pytest.raises(GeneratorError, match=r"array 'label': expected shape \(3,\), got \(2,\)"):
        short.save(tmp_path / "generator")


def test_a_folder_from_before_there_were_labels(tmp_path):
    # The embedded generator's says nothing of labels, or that there are none.
    assert load_generator().label_dim == 0
    generator = tiny_generator()
    generator.save(tmp_path / "generator")
    path = tmp_path / "generator" / "config.json"
    description = json.loads(path.read_text())
    del description["description_sha256"]
    for name in ("label_dim", "label_norm"):
        del description["architecture"][name]
    path.write_text(json.dumps(description | {"description_sha256": _description_hash(description)}))
    again = load_generator(tmp_path / "generator")
    assert again.config == generator.config
    jax.tree.map(np.testing.assert_array_equal, again, generator)


# --- the command line -------------------------------------------------------------------------------------------------


def _run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Folders of generators, with and without classes, an input, and a run on label 1."""
    home = tmp_path_factory.mktemp("labels")
    patch = pytest.MonkeyPatch()
    patch.setattr(Generator, "fitted", functools.partialmethod(Generator.fitted, samples=256))
    tiny_generator("stylegan2-labels", contrast=0.05).save(home / "classes")
    tiny_generator("stylegan2-labels", contrast=0.05).with_label(1).fitted().save(home / "fixed")
    tiny_generator("stylegan2-4").save(home / "plain")
    save_png(home / "a.png", np.full((2, 2, 3), 0.5))
    words = ["--generator", home / "classes", "--label", 1, "--restarts", 2, "--lanes", 2, "--steps", 5, "--eps", 0.5]
    assert _run("upsample", home / "a.png", "--output", home / "run", *words) == 0
    yield home
    patch.undo()


@pytest.mark.slow
def test_a_run_tells_its_label_and_is_made_again(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    summary = json.loads((home / "run" / "summary.json").read_text())
    assert summary["label"] == 1 and summary["generator"]["architecture"]["label_dim"] == 3
    solution = summary["inputs"][0]["solutions"][0]
    words = shlex.split(solution["command"])
    assert words[words.index("--label") + 1] == "1"
    assert main(words[1:]) == 0
    assert "fitting a Gaussian to the mapping network for label 1" in capsys.readouterr().err
    (entry,) = json.loads((tmp_path / "again" / "summary.json").read_text())["inputs"]
    found = next(s for s in entry["solutions"] if s["restart"] == solution["restart"])
    assert (tmp_path / "again" / found["image"]).read_bytes() == (home / "run" / solution["image"]).read_bytes()


def test_solutions_are_drawn_again_with_their_label(home, tmp_path, capsys):
    words = ["sample", "--latents", home / "run" / "a" / "solutions.npz", "--generator", home / "classes"]
    assert _run(*words, "--output", tmp_path / "same", "--label", 1) == 0
    screen = capsys.readouterr()
    assert "exactly the same" in screen.out and "another label" not in screen.err
    assert _run(*words, "--output", tmp_path / "other", "--label", 2) == 0
    assert "another generator of the same shape, or another label" in capsys.readouterr().err


def test_samples_of_a_label(home, tmp_path):
    for label in (0, 2):
        words = ["--output", tmp_path / str(label), "--generator", home / "classes", "--label", label, "--count", 1]
        assert _run("sample", *words) == 0
        assert json.loads((tmp_path / str(label) / "summary.json").read_text())["label"] == label
    pictures = [(tmp_path / str(label) / "sample_0001.png").read_bytes() for label in (0, 2)]
    assert pictures[0] != pictures[1]
    assert _run("sample", "--output", tmp_path / "fixed", "--generator", home / "fixed", "--count", 1) == 0


@pytest.mark.parametrize(
    ("generator", "words", "text"),
    [
        ("classes", "", "--label: this generator needs one; choose a class from 0 to 2"),
        ("classes", "--label 3", "--label: expected 0 to 2, got 3"),
        ("classes", "--label -1", "--label: expected 0 to 2, got -1"),
        ("plain", "--label 0", "--label: this generator takes no labels; leave the option out"),
        ("fixed", "--label 0", "--label: this generator takes no labels; leave the option out"),
    ],
)
def test_labels_that_do_not_fit_are_one_line_and_nothing_written(home, tmp_path, capsys, generator, words, text):
    for command in (["upsample", home / "a.png"], ["sample"]):
        folder = ["--output", tmp_path / "out", "--generator", home / generator]
        assert _run(*command, *folder, *words.split()) == 2
        assert capsys.readouterr().err == f"pulse-jax: {text}\n"
    assert not (tmp_path / "out").exists()


def test_a_fit_that_fails_is_one_line(home, tmp_path, capsys, monkeypatch):
    def fail(self, **_):
        raise ValueError("mapping: expected finite outputs, got NaN or infinity")

    monkeypatch.setattr(Generator, "fitted", fail)
    words = ["--output", tmp_path / "out", "--generator", home / "classes", "--label", 0]
    assert _run("upsample", home / "a.png", *words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("pulse-jax: ") and "the Gaussian fit failed: mapping: expected finite outputs" in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("generator", "text"), [("classes", "3, --label 0 to 2"), ("plain", "none"), ("fixed", "fixed")]
)
def test_info_tells_the_labels(home, capsys, generator, text):
    assert _run("info", "--generator", home / generator) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("labels")]
    assert line.split(maxsplit=1)[1] == text


def test_a_fixed_labels_folder_needs_its_own_fit(home, tmp_path, capsys):
    dataclasses.replace(load_generator(home / "fixed"), gaussian_fit=None).save(tmp_path / "bare")
    words = ["--output", tmp_path / "out", "--generator", tmp_path / "bare"]
    assert _run("upsample", home / "a.png", *words) == 1
    assert "the search needs this generator's gaussian_fit" in capsys.readouterr().err
