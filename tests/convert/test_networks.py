"""The network to convert is found whatever it is wrapped in, and files of the real programs make their pictures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.networks import account
from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError, read_source
from pulse_jax.cli import main
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import MissingPrior
from pulse_jax.search import presets
from pulse_jax.search.requirements import check_fits
from tests.convert import files, hostile, writers
from tests.golden_weights import GOLDENS

ONE = np.ones((1,), np.float32)
NUMBER = np.ones((), np.int64)
ROSINALITY = "StyleGAN2 (rosinality)"


def _generator(found):
    return convert._generator(found.plan, fill(found.plan, found.state))


# --- files of the real programs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "file", "family"),
    [
        ("tf_stylegan2_32", "network.pkl", "StyleGAN2 or StyleGAN2-ADA (TensorFlow)"),
        ("genforce_training", "checkpoint.pth", "StyleGAN2 (GenForce)"),
    ],
)
def test_files_of_the_programs_make_their_pictures(folder, file, family):
    """TensorFlow pickles variables without axes as NumPy scalars; GenForce's trainer nests its networks."""
    place = GOLDENS / "checkpoints" / folder
    found = account([read_source(place / file)])
    assert found.plan.family == family
    generator = _generator(found)
    with np.load(place / "expected.npz") as stored:
        expected = dict(stored)
    w = jax.jit(Generator.map)(generator, expected["z"])
    assert np.abs(w - expected["w"]).max() <= 1e-5 * np.abs(expected["w"]).max()
    names = sorted(name for name in expected if name.startswith("noise_"))
    noise = tuple(np.broadcast_to(expected[name][None, :, :, None], (2, *expected[name].shape, 1)) for name in names)
    rows = jnp.broadcast_to(expected["w"][:, None], (2, generator.num_layers, generator.latent_dim))
    synthesize = jax.jit(Generator.synthesize)
    for image, latents in (("image", rows), ("trunc", generator.truncate(rows, 0.5))):
        made = np.moveaxis(2 * np.asarray(synthesize(generator, latents, noise)) - 1, -1, 1)
        assert np.abs(made - expected[image]).max() <= 1e-5 * np.abs(expected[image]).max()


# --- what networks are wrapped in -------------------------------------------------------------------------------------


@functools.cache
def _rosinality(seed=0):
    (source,) = writers.rosinality(writers.random_stylegan2(seed=seed))
    return source.networks["g_ema"], source.networks[""]["latent_avg"]


def _under(prefix, arrays):
    return {f"{prefix}{key}": array for key, array in arrays.items()}


def _assert_same(found, arrays, average=None):
    assert found.plan.family == ROSINALITY
    filled = fill(found.plan, found.state)
    (plain,) = writers.rosinality(writers.random_stylegan2())
    plain.networks["g_ema"] = arrays
    expected = account([plain])
    for name, array in fill(expected.plan, expected.state).items():
        if name != "w_avg" or average is not None:
            np.testing.assert_array_equal(filled[name], array)
    assert ("w_avg" in filled) == (average is not None)


PREFIXES = (
    *("module.", "module.module.", "_orig_mod.", "model.", "net.", "generator.", "decoder.", "stylegan_decoder."),
    *("ema_model.", "g_ema.", "_orig_mod.module.generator.", "anything."),
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("nested", ["", "state_dict", "models", "params"])
def test_prefixes_and_nestings_lead_to_the_network(prefix, nested):
    arrays, _ = _rosinality()
    _assert_same(account([writers.source({nested: _under(prefix, arrays)})]), arrays)


@pytest.mark.parametrize(
    "averaged", ["ema", "generator_ema", "netG_ema", "ema_model", "g_running", "G_smooth", "swa_averaged"]
)
@pytest.mark.parametrize("raw", ["generator", "G", "netG", "model"])
def test_averaged_weights_win_over_raw_ones(averaged, raw):
    (mean, _), (last, _) = _rosinality(0), _rosinality(1)
    networks = {raw: last, averaged: mean, "discriminator": {"final_linear.0.weight": ONE, "convs.0.0.weight": ONE}}
    found = account([writers.source(networks)])
    assert found.network == averaged
    _assert_same(found, mean)
    assert any(text.startswith(f"{raw} (StyleGAN2") for text in found.left)
    assert any(text.startswith("discriminator (a discriminator alone") for text in found.left)
    chosen = account([writers.source(networks)], network=raw)
    assert chosen.network == raw
    _assert_same(chosen, last)
    with pytest.raises(CheckpointError, match=rf"network: expected one of .*{raw} \(StyleGAN2.*got other"):
        account([writers.source(networks)], network="other")


def test_lightning_keeps_the_average_among_its_callbacks():
    (mean, _), (last, _) = _rosinality(0), _rosinality(1)
    networks = {
        "state_dict": _under("generator.", last) | {"discriminator.final_linear.0.weight": ONE},
        "callbacks": _under("ModelEMA.weights.", mean) | {"Timer.seconds": ONE},
        "optimizer_states": {"0.state.0.exp_avg": ONE},
        "": {"epoch": NUMBER},
    }
    found = account([writers.source(networks)])
    assert found.network == "callbacks.ModelEMA.weights"
    _assert_same(found, mean)
    _assert_same(account([writers.source(networks)], network="generator"), last)


def test_an_averaged_model_counts_what_it_averages():
    arrays, _ = _rosinality()
    _assert_same(account([writers.source({"": _under("module.", arrays) | {"n_averaged": NUMBER}})]), arrays)
    _assert_same(account([writers.source({"": {**arrays, "n_averaged": NUMBER, "global_step": ONE}})]), arrays)


@pytest.mark.parametrize("shape", [(), (1,), (18,)])
def test_encoders_of_pictures_bring_their_decoder(shape):
    """PSp, e4e and ReStyle: the decoder is rosinality's, and the mean of w may be repeated for every layer."""
    arrays, average = _rosinality()
    encoder = {"encoder.input_layer.0.weight": ONE, "encoder.body.0.res_layer.0.weight": ONE}
    mean = np.broadcast_to(average, (*shape, *average.shape)).copy()
    networks = {"state_dict": _under("decoder.", arrays) | encoder, "": {"latent_avg": mean}}
    found = account([writers.source(networks)])
    _assert_same(found, arrays, average)
    np.testing.assert_array_equal(fill(found.plan, found.state)["w_avg"], average)
    assert any(text.startswith("state_dict.encoder (an encoder of pictures alone") for text in found.left)


def test_means_that_differ_by_layer_are_refused():
    arrays, average = _rosinality()
    mean = np.stack([average, 2 * average])
    with pytest.raises(CheckpointError, match="'latent_avg' has 2 rows that differ; expected one mean of w"):
        account([writers.source({"g_ema": arrays, "": {"latent_avg": mean}})])


def test_a_face_restoration_network_brings_its_stylegan2():
    (source,) = writers.basicsr(writers.random_stylegan2())
    arrays = source.networks["params_ema"]
    others = {"conv_body_first.weight": ONE, "condition_scale.0.0.weight": ONE, "toRGB.0.weight": ONE}
    found = account([writers.source({"params_ema": _under("stylegan_decoder.", arrays) | others})])
    direct = account([source])
    assert found.plan.family == "StyleGAN2 (BasicSR)"
    for name, array in fill(direct.plan, direct.state).items():
        np.testing.assert_array_equal(fill(found.plan, found.state)[name], array)
    clean = {f"stylegan_decoder.{key}": ONE for key in ("style_mlp.1.weight", "style_conv1.bias", "style_convs.0.bias")}
    with pytest.raises(CheckpointError, match="GFPGAN's 'clean' StyleGAN2"):
        account([writers.source({"params_ema": clean | others})])


def test_arrays_beside_a_network_belong_to_it():
    arrays, _ = _rosinality()
    with pytest.raises(CheckpointError, match="'latent_mean' of shape"):
        found = account([writers.source({"g_ema": arrays, "": {"latent_mean": np.ones(7, np.float32)}})])
        fill(found.plan, found.state)


@pytest.mark.parametrize("number", [np.float32(0.25), 0.25, np.float32(0.25) * np.ones((), np.float32)], ids=type)
def test_numbers_of_any_form_are_arrays_where_there_are_arrays(number, tmp_path):
    arrays = dict(writers.tensorflow2(writers.random_stylegan2())[0].networks["Gs"])
    key = "synthesis/8x8/Conv1/noise_strength"
    variables = {**arrays, key: hostile.scalar(number) if isinstance(number, np.float32) else number}
    (tmp_path / "network.pkl").write_bytes(hostile.pickled(hostile.network("Gs", variables)))
    found = account([read_source(tmp_path / "network.pkl")])
    assert fill(found.plan, found.state)["synthesis/b8_conv1/noise_strength"] == np.float32(0.25)


@pytest.mark.parametrize("form", [list, tuple, np.float32])
@pytest.mark.parametrize(("taps", "fits"), [((1, 3, 3, 1), True), ((2, 6, 6, 2), True), ((1, 2, 1), False)])
def test_a_filter_that_makes_other_pictures_is_refused(form, taps, fits, tmp_path):
    arrays = writers.tensorflow2(writers.random_stylegan2())[0].networks["Gs"]
    said = [hostile.scalar(np.float32(tap)) for tap in taps] if form is np.float32 else form(taps)
    (tmp_path / "network.pkl").write_bytes(hostile.pickled(hostile.network("Gs", arrays, resample_kernel=said)))
    if fits:
        assert account([read_source(tmp_path / "network.pkl")]).plan.config.resolution == 8
    else:
        with pytest.raises(CheckpointError, match=r"says static_kwargs\.resample_kernel = .*only a filter of the taps"):
            account([read_source(tmp_path / "network.pkl")])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("init.init.0.weight_orig", "feat_8.1.weight_orig", "se_64.main.1.weight_orig", "to_big.weight"), "FastGAN"),
        (("input_layer.0.weight", "body.0.res_layer.0.weight", "styles.0.convs.0.weight"), "an encoder of pictures"),
    ],
)
@pytest.mark.parametrize("network", ["", "g_ema", "state_dict"])
def test_what_is_no_stylegan_is_told_by_its_name(keys, told, network):
    with pytest.raises(CheckpointError, match=f"looks like {told}"):
        account([writers.source({network: dict.fromkeys(keys, ONE)})])


def test_wavelets_are_told_from_the_network_that_they_resemble():
    arrays, _ = _rosinality()
    wavelets = {f"to_rgbs.0.{kind}.{part}": ONE for kind in ("iwt", "dwt") for part in ("ll", "lh", "hl", "hh")}
    with pytest.raises(CheckpointError, match="looks like SWAGAN"):
        account([writers.source({"g_ema": arrays | wavelets})])


# --- PULSE without its mapping network --------------------------------------------------------------------------------


@pytest.fixture
def without_mapping(tmp_path, monkeypatch):
    sources = [
        source
        for source in writers.pulse(writers.random_stylegan1(), np.ones(7, np.float32))
        if "mapping" not in source.path.name
    ]
    fit = {"mean": np.zeros(7, np.float32), "std": np.ones(7, np.float32)}
    sources = [source for source in sources if not {"mean", "std"} & source.networks[""].keys()]
    sources.append(writers.source({"": fit}, path="gaussian_fit.pt"))
    table = {str(source.path): source for source in sources}
    monkeypatch.setattr(convert, "read_source", lambda path: table[str(path)])
    return [*table], tmp_path / "generator"


def test_w_can_be_searched_without_the_mapping_network(without_mapping):
    paths, folder = without_mapping
    convert.convert(paths, folder)
    generator = Generator.load(folder)
    assert not generator.config.has_mapping and generator.config.mapping_layers is None
    check_fits(generator, presets.pulse())
    for attempt in (
        lambda: generator.map(jnp.zeros((1, 7))),
        lambda: generator.sample(jax.random.key(0), 1),
        lambda: check_fits(generator, presets.csgm()),
        lambda: check_fits(generator, presets.stylegan2_projector()),
        lambda: check_fits(generator, presets.pulse(loss="1*L2+1*WPRIOR")),
        lambda: check_fits(generator, presets.pulse(loss="1*L2+1*FLOW")),
        lambda: check_fits(generator, presets.pulse(latent_noise=0.05)),
    ):
        with pytest.raises(MissingPrior, match="the mapping network, without which this generator came"):
            attempt()


def test_without_a_fit_either_nothing_can_be_searched(without_mapping):
    paths, folder = without_mapping
    with pytest.raises(CheckpointError, match="has no mapping network; give its file as well"):
        convert.convert(paths[:-1], folder)
    assert not folder.exists()


# --- which weights are averaged, and what is not said -----------------------------------------------------------------


RAW, MEAN = _rosinality(1)[0], _rosinality(0)[0]


@pytest.mark.parametrize(
    "name",
    [
        *("generator_avg", "avg_generator", "g_swa", "polyak", "generator_test", "G_mean", "G_s"),
        *("generatorEma", "modelEma", "GEma", "gema", "ema2"),
    ],
)
def test_usual_names_of_averages_win(name):
    found = account([writers.source({"generator": RAW, name: MEAN})])
    assert found.network == name


@pytest.mark.parametrize("outer", ["ema_run", "running", "shadow", "EMA_run"])
def test_a_files_own_name_does_not_make_all_in_it_averages(outer):
    found = account([writers.source({outer: _under("g.", RAW) | _under("g_ema.", MEAN)})])
    assert found.network == f"{outer}.g_ema"
    found = account([writers.source({"ema": _under("online_model.", RAW) | _under("ema_model.", MEAN)})])
    assert found.network == "ema.ema_model"


@pytest.mark.parametrize("outer", ["", "params."])
@pytest.mark.parametrize("other", ["other", "generator_target"])
def test_a_second_network_of_a_name_that_says_nothing_is_asked_about(outer, other):
    arrays = _under(f"{outer}generator.", RAW) | _under(f"{outer}{other}.", MEAN)
    with pytest.raises(CheckpointError, match=r"several networks; choose one with --network: "):
        account([writers.source({"": arrays})])
    assert account([writers.source({"": arrays})], network=other).network == f"{outer}{other}"


@pytest.mark.parametrize(
    "beside",
    [
        {"optimizer": _under("exp_avg.", MEAN)},
        {"g_ema_optim": dict(MEAN)},
        {"d_ema": {"final_linear.0.weight": ONE, "convs.0.0.weight": ONE}},
        {"stats": {"latent_avg": np.ones(7, np.float32)}},
        {"ema": {"value": ONE}},
    ],
    ids=["moments", "optimiser", "discriminator", "statistics", "number"],
)
def test_what_is_no_average_of_the_weights_does_not_matter(beside):
    found = account([writers.source({"g": RAW, **beside})])
    assert found.network == "g"
    _assert_same(found, RAW)


def _torch_file(path, values):
    torch = hostile.Torch()

    def made(value):
        if isinstance(value, dict):
            return {key: made(part) for key, part in value.items()}
        if isinstance(value, list):
            return [made(part) for part in value]
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    path.write_bytes(torch.zip(made(values)))
    return read_source(path)


def test_averages_that_are_no_network_are_told(tmp_path):
    """torch_ema keeps a list without names; Lightning's LitEma takes the dots out of names."""
    listed = {"generator": dict(RAW), "ema": {"decay": 0.999, "shadow_params": list(MEAN.values())}}
    bare = {key.replace(".", ""): array for key, array in MEAN.items()}
    for source, name, raw in (
        (_torch_file(tmp_path / "a.pt", listed), "ema/shadow_params", "generator"),
        (
            writers.source({"state_dict": _under("generator.", RAW) | _under("generator_ema.", bare)}),
            "state_dict.generator_ema",
            "state_dict.generator",
        ),
    ):
        told = rf"holds averaged weights, '{name}', that cannot be read as a network; --network {raw} takes the raw"
        with pytest.raises(CheckpointError, match=told):
            account([source])
        assert account([source], network="generator").network == raw


def test_an_unread_average_beside_bare_weights_is_told_as_left(tmp_path):
    source = _torch_file(tmp_path / "a.pt", {**RAW, "ema": {"shadow_params": list(MEAN.values())}})
    (told,) = account([source]).left
    assert told == "ema/shadow_params (averaged weights that cannot be read as a network)"


@pytest.mark.parametrize("place", ["latent_avg", "other"])
def test_the_mean_of_w_is_found_beside_a_nested_network(place):
    average = np.arange(7, dtype=np.float32)
    arrays = _under("generator.", MEAN) | {place: average, "betas": np.ones(3, np.float32)}
    found = account([writers.source({"state_dict": arrays})])
    filled = fill(found.plan, found.state)
    assert ("w_avg" in filled) == (place == "latent_avg")
    if place == "latent_avg":
        np.testing.assert_array_equal(filled["w_avg"], average)


@pytest.mark.parametrize("counter", ["decay", "num_updates", "initted", "ema_decay", "beta"])
def test_counters_of_averages_are_no_part_of_them(counter):
    _assert_same(account([writers.source({"g_ema": {**MEAN, counter: NUMBER}})]), MEAN)


@pytest.mark.parametrize("place", ["ema", "ema.module"])
def test_a_network_below_one_whose_keys_stand_bare_is_found(place):
    found = account([writers.source({"": {**RAW, **_under(f"{place}.", MEAN)}})])
    assert found.network == place
    _assert_same(found, MEAN)


@pytest.mark.parametrize("wrapped", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize(("mapping", "synthesis"), [("mapping", "synthesis"), ("g_mapping", "g_synthesis")])
def test_halves_that_stand_side_by_side_are_one_network(mapping, synthesis, wrapped):
    whole = writers.random_stylegan1()
    first, second = (file.networks[""] for file in writers.pulse(whole, None))
    arrays = _under(f"{synthesis}.{wrapped}", first) | _under(f"{mapping}.{wrapped}", second)
    for networks in ({"": arrays}, {"state_dict": arrays}):
        found = account([writers.source(networks)])
        assert found.plan.config.mapping_layers == 2 and not found.left
        expected = account(writers.pulse(whole, None))
        for name, array in fill(expected.plan, expected.state).items():
            np.testing.assert_array_equal(fill(found.plan, found.state)[name], array)


def test_settings_of_a_wrapped_module_are_found(tmp_path):
    """A pickled wrapper, such as DataParallel, around StyleGAN2-ADA's generator."""
    ada = writers.ada(writers.random_stylegan2(), 256)[0]
    generator = files._modules(ada.networks["G_ema"], ada.values["G_ema"], "Generator")
    odd = hostile.module("Discriminator", {}, {}, {}, architecture="resnet")

    def half(name):
        arrays, values = (
            {key.removeprefix(f"{name}."): value for key, value in table["G_ema"].items() if key.startswith(name)}
            for table in (ada.networks, ada.values)
        )
        return files._modules(arrays, values, name)

    for value in (
        hostile.module("Wrapper", {}, {}, {"module": generator}),
        hostile.module("Wrapper", {}, {}, {"G_ema": generator, "D": odd}),
        {name: half(name) for name in ("mapping", "synthesis")},
    ):
        (tmp_path / "a.pkl").write_bytes(hostile.pickled(value, 4))
        found = account([read_source(tmp_path / "a.pkl")])
        assert found.plan.config.conv_clamp == 256.0


def test_a_name_for_a_network_without_one_is_refused():
    with pytest.raises(CheckpointError, match="the only network has no name, got g_ema; leave --network out"):
        account([writers.source({"": dict(MEAN)})], network="g_ema")


def test_inspecting_says_what_converting_would(tmp_path):
    synthesis, _ = writers.pulse(writers.random_stylegan1(), None)
    path = tmp_path / "synthesis.safetensors"
    save_safetensors(path, synthesis.networks[""])
    fault = convert.inspect(path).fault
    assert "has no mapping network; give its file as well" in fault
    with pytest.raises(CheckpointError, match="has no mapping network; give its file as well"):
        convert.convert(path, tmp_path / "out", samples=16)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["k{}.b.c.d.e.f.g.h.i.j", "k{}.style.1.weight"])
def test_very_many_names_are_refused_soon(key):
    arrays = {key.format(i): ONE for i in range(99_000)}
    with pytest.raises(CheckpointError, match="more than 50000 groups of names; do not trust the file"):
        account([writers.source({"": arrays})])


def test_a_message_lists_some_of_very_many_networks():
    arrays = {f"n{i}.style.1.weight": ONE for i in range(3000)}
    with pytest.raises(CheckpointError, match="and 2992 more") as raised:
        account([writers.source({"": arrays})])
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("value", [True, (2.0,), "2"])
def test_a_level_of_detail_of_another_type_is_refused(value):
    (source,) = writers.STYLEGAN1["tensorflow1"](writers.random_stylegan1(), np.ones(7, np.float32))
    del source.networks["Gs"]["lod"]
    source.values.setdefault("Gs", {})["lod"] = value
    with pytest.raises(CheckpointError, match=r"but says lod = .*expected 0, the full resolution"):
        account([source])


def test_commands_say_what_is_missing_with_the_mapping_network(without_mapping, capsys, tmp_path):
    paths, folder = without_mapping
    convert.convert(paths, folder)
    assert main(["info", "--generator", str(folder)]) == 0
    assert "mapping" in (told := capsys.readouterr().out) and "none: only w can be searched" in told
    words = ["sample", "--generator", str(folder), "--output", str(tmp_path / "out"), "--truncation", "0.5"]
    assert main(words) == 1
    assert "the mapping network, without which this generator came" in capsys.readouterr().err
