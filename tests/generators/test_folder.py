"""Generator folders: exact round trips, whole or nothing, and one clear line for whatever cannot be used."""

import dataclasses
import json
import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.generators import folder as storage
from pulse_jax.generators.architectures import StyleGAN1Config, architecture_from_dict, architecture_to_dict
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.priors.flow import Flow, init_blocks
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.system.files import sha256_of
from tests.tiny_networks import ARCHITECTURES, tiny_generator


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "generator"
    tiny_generator().save(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of a saved folder, to be damaged."""
    return pathlib.Path(shutil.copytree(saved, tmp_path / "copy"))


def _edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_architecture(folder, **changes):
    _edit(folder, architecture=json.loads((folder / "config.json").read_text())["architecture"] | changes)


def _data_files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "config.json")


def _assert_refused(folder, match):
    """Loading fails with one line that names the folder, what is wrong and what to do."""
    with pytest.raises(GeneratorError, match=match) as caught:
        Generator.load(folder)
    text = str(caught.value)
    assert text.startswith(f"{folder}: ")
    assert len(text.splitlines()) == 1
    assert len(text) < len(str(folder)) + 400
    assert any(advice in text for advice in ("again", "expected a generator folder, as", "update pulse_jax"))


def _assert_equal(a, b):
    assert a.config == b.config
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("fits", [True, False], ids=["fits", "bare"])
def test_float32_comes_back_bit_for_bit(architecture, fits, tmp_path):
    generator = tiny_generator(architecture, fits=fits)
    generator.save(tmp_path / "deep" / "er" / "generator")
    again = Generator.load(tmp_path / "deep" / "er" / "generator")
    _assert_equal(again, generator)
    assert all(isinstance(a, jax.Array) and a.dtype == jnp.float32 for a in jax.tree.leaves(again))


def test_float16_halves_the_networks_and_keeps_the_fits(tmp_path):
    generator = tiny_generator()
    generator.save(tmp_path / "half", dtype="float16")
    again = pulse_jax.load_generator(tmp_path / "half")
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(again))
    rounded = jax.tree.map(lambda a: np.asarray(a, np.float16).astype(np.float32), generator.params)
    _assert_equal(again, dataclasses.replace(generator, params=rounded))
    assert not np.array_equal(again.params["synthesis"]["const"], generator.params["synthesis"]["const"])


def _with_priors(generator, *, basis=True, radial=False, seed=0):
    rng = np.random.default_rng(seed)
    d = generator.latent_dim

    def draw(*shape):
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    blocks = jax.tree.map(lambda a: draw(*a.shape), init_blocks(jax.random.key(0), 2, 5, d))
    flow = Flow(draw(d), 1 + draw(d) ** 2, draw(d, d) if basis else None, blocks, 1 + draw(2, d) ** 2, draw(2, d))
    flow = flow._replace(radial=jnp.asarray([1.7, 0.75]) if radial else None)
    principal = PrincipalFit(draw(d), draw(d, d), 1 + draw(d) ** 2)
    return dataclasses.replace(generator, flow=flow, principal=principal, w_std=jnp.float32(3.5))


@pytest.mark.parametrize(("basis", "radial"), [(True, True), (False, False)], ids=["principal", "dimensions"])
def test_priors_come_back_bit_for_bit(tmp_path, basis, radial):
    generator = _with_priors(tiny_generator(), basis=basis, radial=radial)
    generator.save(tmp_path / "g", reports={"prior.json": b"{}"})
    _assert_equal(Generator.load(tmp_path / "g"), generator)
    # The report is accounted for like every other file.
    (tmp_path / "g" / "reports" / "prior.json").write_bytes(b"[]")
    _assert_refused(tmp_path / "g", "'reports/prior.json' is damaged")


def test_float16_halves_the_flows_blocks_too(tmp_path):
    generator = _with_priors(tiny_generator())
    generator.save(tmp_path / "half", dtype="float16")
    again = Generator.load(tmp_path / "half")
    rounded = jax.tree.map(lambda a: np.asarray(a, np.float16).astype(np.float32), generator.flow.blocks)
    jax.tree.map(np.testing.assert_array_equal, again.flow, generator.flow._replace(blocks=rounded))
    jax.tree.map(np.testing.assert_array_equal, again.principal, generator.principal)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("scale", jnp.ones((3, 8)), r"array 'flow/scale': expected shape \(2, 8\), got \(3, 8\)"),
        ("basis", jnp.ones((8, 7)), r"array 'flow/basis': expected shape \(8, 8\), got \(8, 7\)"),
        ("radial", jnp.ones(3), r"array 'flow/radial': expected shape \(2,\), got \(3,\)"),
        ("blocks", {"bias_1": jnp.ones((2, 5))}, "array 'flow/blocks/bias_2' of shape .* is missing"),
    ],
)
def test_a_flow_of_other_shapes_is_not_written(tmp_path, field, value, match):
    generator = _with_priors(tiny_generator())
    flow = generator.flow._replace(**{field: value})
    with pytest.raises(GeneratorError, match=match):
        dataclasses.replace(generator, flow=flow).save(tmp_path / "g")


def test_config_json_tells_what_is_inside(saved):
    description = json.loads((saved / "config.json").read_text())
    assert set(description) == {"format", "architecture", "source", "dtype", "arrays", "sha256", "description_sha256"}
    assert architecture_from_dict(description["architecture"]) == ARCHITECTURES["stylegan2-8"]
    assert description["arrays"]["networks/synthesis/const"] == [4, 4, 8]
    assert set(description["sha256"]) == {p.relative_to(saved).as_posix() for p in _data_files(saved)}


def test_a_changed_setting_is_noticed_though_every_array_still_fits(saved, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(saved, folder)
    description = json.loads((folder / "config.json").read_text())
    description["architecture"]["conv_clamp"] = 123.0
    (folder / "config.json").write_text(json.dumps(description))
    with pytest.raises(GeneratorError, match=r"config\.json was changed"):
        Generator.load(folder)


def test_values_that_half_precision_cannot_hold_are_refused(tmp_path):
    generator = tiny_generator()
    params = jax.tree.map(lambda a: 1e5 * a, generator.params)
    with pytest.raises(GeneratorError, match="beyond the range of float16; store it as float32"):
        dataclasses.replace(generator, params=params).save(tmp_path / "g", dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_another_architecture_are_not_written(tmp_path):
    generator = dataclasses.replace(tiny_generator(), config=ARCHITECTURES["stylegan1-16"])
    with pytest.raises(GeneratorError, match="array 'networks/mapping/dense1_bias' does not belong"):
        generator.save(tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_dtype_is_refused(tmp_path, unchecked):
    with pytest.raises(GeneratorError, match="dtype: expected float32 or float16, got 'int8'"):
        tiny_generator().save(tmp_path / "g", dtype="int8")


def _fail(*_, **__):
    raise RuntimeError("full")


@pytest.mark.parametrize("step", ["_files", "_put_in_place"])
def test_a_failing_save_leaves_nothing(step, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, step, _fail)
    with pytest.raises(RuntimeError, match="full"):
        tiny_generator().save(tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_overwrite_leaves_the_old_folder(copy, monkeypatch):
    rename = pathlib.Path.rename

    def fail_for_the_new_one(path, target):
        if path.suffix == ".part":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", fail_for_the_new_one)
    with pytest.raises(GeneratorError, match=r"cannot be written \(No space left on device\); choose another folder"):
        tiny_generator(seed=1).save(copy, overwrite=True)
    assert os.listdir(copy.parent) == [copy.name]
    _assert_equal(Generator.load(copy), tiny_generator())


def test_an_existing_folder_is_replaced_only_when_asked(copy):
    with pytest.raises(
        GeneratorError, match="exists already; choose another folder, or replace it with overwrite=True"
    ):
        tiny_generator(seed=1).save(copy)
    _assert_equal(Generator.load(copy), tiny_generator())
    tiny_generator(seed=1).save(copy, overwrite=True)
    _assert_equal(Generator.load(copy), tiny_generator(seed=1))
    assert os.listdir(copy.parent) == [copy.name]


def _empty(folder):
    folder.mkdir()


def _another_programs(folder):
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')


def _with_notes(folder):
    tiny_generator().save(folder)
    (folder / "notes.txt").write_text("mine")


def _file(folder):
    folder.write_text("mine")


@pytest.mark.parametrize("make", [_empty, _another_programs, _with_notes, _file])
def test_nothing_but_a_generator_folder_is_replaced(make, tmp_path):
    make(tmp_path / "there")
    before = sorted(tmp_path.rglob("*"))
    for overwrite in (False, True):
        with pytest.raises(
            GeneratorError, match="exists already and is not a generator folder as it was written; choose"
        ):
            tiny_generator().save(tmp_path / "there", overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_to_a_folder_is_followed(copy, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(copy)
    _assert_equal(load_generator(link), tiny_generator())
    tiny_generator(seed=1).save(link, overwrite=True)
    assert link.is_symlink()
    _assert_equal(load_generator(copy), tiny_generator(seed=1))


def test_a_parent_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GeneratorError, match=r"file/g: cannot be written \(.+\); choose another folder"):
        tiny_generator().save(tmp_path / "file" / "g")


def test_a_missing_folder_is_told(tmp_path):
    _assert_refused(tmp_path / "none", "no such folder; expected a generator folder, as pulse-jax convert")
    _assert_refused(tmp_path / ("n" * 300), "cannot be read")


def test_a_folder_without_config_json_is_told(tmp_path):
    _assert_refused(tmp_path, r"not a generator folder, it has no config\.json")


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "config.json is not valid JSON"),
        ("{", "config.json is not valid JSON"),
        ("\x00\x01", "config.json is not valid JSON"),
        ("[" * 100_000, "config.json is not valid JSON"),
        ('{"a": ' * 100_000, "config.json is not valid JSON"),
        ('{"format": ' + "1" * 10_000 + "}", "config.json is not valid JSON"),
        ("[]", "config.json is not a generator's"),
        ("null", "config.json is not a generator's"),
        ('{"model_type": "bert"}', "config.json is not a generator's"),
        (" " * (16 * 2**20 + 1), "config.json is larger than 16 MiB"),
    ],
    ids=["empty", "cut", "binary", "deep-list", "deep-dict", "digits", "list", "null", "foreign", "huge"],
)
def test_a_config_json_that_is_none_of_ours_is_told(copy, text, match):
    (copy / "config.json").write_text(text)
    _assert_refused(copy, match)


def test_a_config_json_in_another_encoding_is_told(copy):
    (copy / "config.json").write_bytes(b"\xff\xfe\x00")
    _assert_refused(copy, "config.json is not valid JSON")


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"format": 2}, "folder format 2, expected 1; update pulse_jax"),
        ({"format": True}, "config.json is not a generator's"),
        ({"dtype": "float64"}, "storage dtype 'float64', expected float32 or float16"),
        ({"dtype": "float16"}, "expected float16, as config.json says, got float32"),
        ({"architecture": {}}, "architecture family: expected one of stylegan1, stylegan2, got None"),
        ({"arrays": {}}, "array 'networks/mapping/dense0_bias' of shape .* is missing"),
        ({"arrays": None}, "config.json is not a generator's"),
    ],
)
def test_another_description_is_told(copy, changes, match):
    _edit(copy, **changes)
    _assert_refused(copy, match)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"family": "stylegan9"}, "architecture family: expected one of .*, got 'stylegan9'"),
        ({"family": []}, "architecture family: expected one of"),
        ({"family": "stylegan1"}, "stylegan1 settings: expected exactly .* unknown: 'conv_clamp', 'instance_norm_eps'"),
        ({"resolution": 2**30}, "resolution: expected a power of two from 4 to 4096"),
        ({"resolution": 10**4000}, "resolution: expected a power of two from 4 to 4096"),
        ({"resolution": "8"}, "resolution: expected an integer"),
        ({"mapping_layers": 10**6}, "mapping_layers: expected 0 to 64, got 1000000"),
        ({"latent_dim": 10**9}, "latent_dim: expected 1 to 16384, got 1000000000"),
        ({"channels": [10**9, 6]}, "channels: expected 2 widths from 1 to 16384"),
        ({"channels": [8] * 100_000}, "channels: expected 2 widths"),
        ({"channels": [8, "6"]}, "channels: expected a list of integers"),
        ({"conv_clamp": "no"}, "conv_clamp: expected a positive number, got 'no'"),
        ({"mapping_lr_multiplier": float("nan")}, "mapping_lr_multiplier: expected a positive number, got nan"),
        ({"mapping_lr_multiplier": 10**400}, "mapping_lr_multiplier: expected a positive number"),
        ({"channels": [8, 5]}, r"array 'networks/synthesis/b8_conv0/bias': expected shape \(5,\), got \(6,\)"),
        ({"mapping_layers": 1}, "array 'networks/mapping/dense1_bias' does not belong to this architecture"),
        ({"mapping_layers": 3}, "array 'networks/mapping/dense2_bias' of shape .* is missing"),
    ],
)
def test_another_architecture_is_told(copy, changes, match, unchecked):
    _edit_architecture(copy, **changes)
    _assert_refused(copy, match)


def _claim(folder, **changes):
    """Make `config.json` claim another architecture throughout."""
    description = json.loads((folder / "config.json").read_text())
    claimed = dataclasses.replace(architecture_from_dict(description["architecture"]), **changes)
    shapes = storage._expected_shapes(claimed, description["arrays"])
    _edit(folder, architecture=architecture_to_dict(claimed), arrays={k: list(v) for k, v in shapes.items()})


def test_a_claimed_huge_network_is_refused_before_anything_is_read(copy, monkeypatch):
    _claim(copy, latent_dim=16_384, mapping_layers=64, channels=(16_384, 16_384))
    monkeypatch.setattr(storage, "ArrayStore", _fail)
    _assert_refused(copy, r"config\.json claims arrays of \d+ bytes, the files hold \d+")


def test_shapes_that_the_files_do_not_have_are_told(copy):
    _claim(copy, channels=(8, 7))
    _assert_refused(copy, r"array 'networks/synthesis/b8_conv0/bias': expected shape \(7,\), got \(6,\)")


def test_a_flipped_bit_in_any_file_is_noticed(copy):
    for path in _data_files(copy):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        _assert_refused(copy, f"'{path.relative_to(copy).as_posix()}' is damaged")
        path.write_bytes(content)
    _assert_equal(Generator.load(copy), tiny_generator())


def test_a_missing_file_is_noticed(copy):
    path = _data_files(copy)[-1]
    path.unlink()
    _assert_refused(copy, f"'{path.relative_to(copy).as_posix()}' is missing; copy the folder again")
    shutil.rmtree(copy / "params")
    _assert_refused(copy, "is missing; copy the folder again")


def test_a_foreign_file_is_noticed(copy):
    (copy / "params" / "extra\n.py").write_text("")
    _assert_refused(copy, r"'params/extra\\n\.py' is foreign; remove it")


@pytest.mark.parametrize("place", ["config.json", "params", "params/_METADATA", "new"])
def test_links_and_devices_are_foreign(copy, place, tmp_path):
    path = copy / place
    if path.exists():
        shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    _assert_refused(copy, f"'{place}' is foreign|no config.json")


def test_a_pipe_is_foreign(copy):
    os.mkfifo(copy / "params" / "pipe")
    _assert_refused(copy, r"'params/pipe' is foreign \(a link or a device\)")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "params/../../outside", "", "x" * 5000])
@pytest.mark.parametrize("value", ["0" * 64, None, 3])
def test_names_outside_the_folder_are_never_opened(copy, name, value):
    (copy.parent / "outside").write_text("")
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    _edit(copy, sha256=hashes | {name: value})
    _assert_refused(copy, "is missing; copy the folder again")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_told(tmp_path, value):
    generator = tiny_generator("stylegan1-16")
    generator.params["synthesis"]["b8_conv1_bias"] = jnp.full((7,), value)
    generator.save(tmp_path / "broken")
    _assert_refused(tmp_path / "broken", "array 'networks/synthesis/b8_conv1_bias' holds NaN or infinite values")


def test_files_that_cannot_be_read_are_told(copy):
    path = copy / "params" / "manifest.ocdbt"
    path.write_text("{}")
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    _edit(copy, sha256=hashes | {"params/manifest.ocdbt": sha256_of(path)})
    _assert_refused(copy, r"params cannot be read \(.+\); copy the folder again")


def test_the_family_is_the_folders(tmp_path):
    tiny_generator("stylegan1-4").save(tmp_path / "one")
    assert isinstance(load_generator(tmp_path / "one").config, StyleGAN1Config)


def test_a_description_tells_architecture_and_shapes_without_the_arrays(saved, monkeypatch):
    config, tree = storage.read_folder(saved)
    monkeypatch.setattr(storage, "ArrayStore", None)
    found, shapes = storage.describe_folder(saved)
    assert found == config and shapes == {key: array.shape for key, array in storage.flatten(tree).items()}


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda folder: _edit(folder, arrays={"networks/x": [3]}), r"config\.json was changed"),
        (lambda folder: _edit_architecture(folder, latent_dim="x"), "latent_dim: expected an integer"),
        (lambda folder: _data_files(folder)[0].write_bytes(b"x"), "is damaged"),
        (lambda folder: _data_files(folder)[0].unlink(), "is missing"),
        (lambda folder: (folder / "params" / "more").write_bytes(b"x"), "is foreign"),
        (lambda folder: (folder / "config.json").unlink(), r"it has no config\.json"),
    ],
    ids=["arrays", "architecture", "damaged", "missing", "foreign", "none"],
)
def test_a_description_of_other_files_is_refused(copy, damage, match):
    damage(copy)
    with pytest.raises(GeneratorError, match=match):
        storage.describe_folder(copy)


@pytest.mark.parametrize("place", ["params/mine.txt", "reports/mine.txt", "mine.txt"])
def test_a_generator_folder_with_a_users_own_file_is_not_replaced(copy, place):
    (copy / place).parent.mkdir(exist_ok=True)
    (copy / place).write_text("mine")
    with pytest.raises(GeneratorError, match="is not a generator folder as it was written"):
        tiny_generator(seed=1).save(copy, overwrite=True)
    assert (copy / place).read_text() == "mine"
