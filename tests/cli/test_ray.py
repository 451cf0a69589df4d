"""`upsample --ray`: its address, and a run whose solutions come from workers."""

import pytest

from pulse_jax.cli import upsample
from tests.cli.fake_engine import draw, run, shown, summary_of


@pytest.fixture
def cluster(fake, monkeypatch):
    """What workers are asked for, whose solutions the fake engine makes."""
    asked = []

    def solve_on_workers(problems, generator, *, address, count, on_lost, **settings):
        asked.append({"address": address, "count": count, **settings})
        settings |= {"lanes": settings["lanes"] or 1, "other_device": False, "checkpoint_dir": None}
        for number, solution in enumerate(fake.solve_stream(problems, generator, **settings)):
            if number == 1:
                on_lost("host: a worker was lost")
            yield solution

    monkeypatch.setattr(upsample, "solve_on_workers", solve_on_workers)
    return asked


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (["--ray"], "local"),
        (["--ray", "--seed", 0], "local"),
        (["--ray", "auto"], "auto"),
        (["--ray=[::1]:9"], "[::1]:9"),
    ],
)
def test_solutions_of_workers_are_written_as_ones_own(cluster, inputs, tmp_path, capsys, words, address):
    for seed in range(3):
        draw(inputs / f"{seed}.png", seed=seed)
    assert run("upsample", inputs, "--output", tmp_path / "alone") == 0 and cluster == []
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == 0
    (asked,) = cluster
    assert (asked["address"], asked["count"], asked["lanes"]) == (address, 3, None)
    assert "host: a worker was lost" in capsys.readouterr().err
    assert shown(tmp_path / "out") == shown(tmp_path / "alone")
    settings = [summary_of(tmp_path / name)["settings"] for name in ("alone", "out")]
    assert settings[0] == settings[1]
    for file in (tmp_path / "alone").rglob("*"):
        if file.suffix in (".png", ".toml"):  # the address is no part of a run, which others may go on with
            assert (tmp_path / "out" / file.relative_to(tmp_path / "alone")).read_bytes() == file.read_bytes()


def test_workers_are_asked_for_what_is_left_and_this_process_can_go_on_without_them(cluster, fake, inputs, tmp_path):
    for seed in range(3):
        draw(inputs / f"{seed}.png", seed=seed)
    words = ["upsample", inputs, "--output", tmp_path / "out", "--restarts", 2]
    fake.interrupt_after = 4
    assert run(*words, "--ray", "--lanes", 5) == 130
    fake.interrupt_after = 1
    assert run(*words, "--ray", "host:6379") == 130
    fake.interrupt_after = None
    assert run(*words) == 0
    assert [asked["count"] for asked in cluster] == [3, 2]
    assert cluster[0]["lanes"] == 5
    made = [(p.index, k) for call in fake.calls for p in call for k in range(p.restarts) if k not in p.ended]
    assert summary_of(tmp_path / "out")["finished"] and len(set(made)) == 6


@pytest.mark.parametrize("address", ["ray://host:1", "/inputs", "host", ""])
def test_what_is_no_address_is_told(inputs, tmp_path, capsys, address):
    assert run("upsample", inputs, "--output", tmp_path / "out", "--ray", address) == 2
    told = f"pulse-jax: --ray: expected HOST:PORT, auto, local or nothing, got '{address}'; name inputs before it\n"
    assert capsys.readouterr().err == told


def test_an_interpolation_needs_no_workers(inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--ray", "--preset", "bicubic") == 2
    assert "--ray: has no meaning with --preset bicubic" in capsys.readouterr().err
