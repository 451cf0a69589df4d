"""What visitors do with runs that are real but for the engine: looking, stopping, going on, comparing, downloading."""

import dataclasses
import functools
import html
import json
import zipfile

import numpy as np
import pytest

from pulse_jax.cli.options.serve import Serve
from pulse_jax.cli.serve import _options
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.generators import generator as generators
from pulse_jax.images.alignment import Detection
from pulse_jax.images.files import read_image, save_png
from pulse_jax.runs.solution_files import read_solutions
from pulse_jax.system.errors import UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.web.actions import AUTOMATIC, CENTRE, FACE, Actions
from pulse_jax.web.follow import Follower
from pulse_jax.web.jobs import Jobs
from pulse_jax.web.request import Offer
from tests.cli.fake_engine import RESOLUTION, draw, listing
from tests.images.photographs import face, smooth
from tests.web.test_jobs import until

OFFER = Offer(presets=["fast", "bicubic"], sizes=[2, 4, 8], size=RESOLUTION, finds_faces=False)


@pytest.fixture
def actions(fake, tmp_path):
    def solve(request, picture, output, screen, watch):
        search = _options(request, picture, output, Serve(), RESOLUTION)
        search.check()
        return run_upsample(search, screen, watch=watch)

    jobs = Jobs(tmp_path / "home", solve, Screen())
    yield Actions(jobs, OFFER, generators.load_generator(None))
    jobs.close()


def solved(actions, picture, size=AUTOMATIC, preset="fast", restarts=4, eps="0.2", state="finished"):
    run = actions.submit(str(picture), CENTRE, size, preset, restarts, eps, 0)
    job = actions.jobs.find(run)
    until(lambda: job.is_over)
    assert job.state == state, job.words
    return run, job


def test_a_request_is_a_run_of_upsample_and_all_of_it_can_be_had(actions, inputs):
    pixels = draw(inputs / "a.png")
    run, job = solved(actions, inputs / "a.png")
    assert (job.run / "run.toml").is_file() and (job.run / "index.html").is_file()
    result = actions.result(run)
    assert result["state"] == "finished" and len(result["solutions"]) == 4
    feasible = [entry["feasible"] for entry in result["solutions"]]
    assert f"<strong>Finished</strong> {sum(feasible)} of 4 solutions are feasible" in actions.standing(job)
    gallery = actions.gallery(job)
    assert [text.startswith("✓ feasible\nerror ") for _, text in gallery] == feasible
    pair, facts = actions.compare(run, 1)
    assert pair[0].shape == pair[1].shape == (512, 512, 3) and "pulse-jax upsample" in facts
    assert (pair[0][::128, ::128] == pixels).all()
    with zipfile.ZipFile(actions.archive(run)) as archive:
        names = archive.namelist()
        assert json.loads(archive.read("pulse/a/solutions.json"))["solutions"] == result["solutions"]
    assert {f"pulse/{name}" for name in listing(job.run)} == {*names}
    with pytest.raises(UsageError, match="solution: expected 1 to 4, got 5"):
        actions.compare(run, 5)


def test_what_the_input_does_not_fix_is_where_feasible_solutions_differ(actions, inputs, fake):
    draw(inputs / "a.png")
    run, _ = solved(actions, inputs / "a.png", eps="1")
    picture, words = actions.unseen(run)
    assert picture.shape == (512, 512) and picture.max() == 255 and "4 feasible solutions differ" in words
    run, _ = solved(actions, inputs / "a.png", eps="1", restarts=1)
    with pytest.raises(UsageError, match="it takes two feasible solutions"):
        actions.unseen(run)


def test_the_way_between_two_solutions_is_drawn_once_and_judged(actions, inputs, monkeypatch):
    draw(inputs / "a.png")
    run, _ = solved(actions, inputs / "a.png", restarts=2)
    calls = []

    def drawn(generator, config, one, other, *, frames):
        calls.append((one.latent[0, 0], other.latent[0, 0]))
        return np.full((frames, RESOLUTION, RESOLUTION, 3), 128, np.uint8)

    monkeypatch.setattr("pulse_jax.web.results.morph", drawn)
    monkeypatch.setattr("pulse_jax.runs.solution_files.StoredSolutions.check", lambda *_: None)
    path, words = actions.between(run, 1, 2, 0)
    assert words.startswith("0 % of the way from solution 1 to solution 2: ") and "downscale" in words
    actions.between(run, 1, 2, 24)
    stored = read_solutions(actions.shown(run).root / "a" / "solutions.npz")
    assert calls == [(stored.latents[0, 0, 0], stored.latents[1, 0, 0])]
    assert read_image(path).pixels.shape == (RESOLUTION, RESOLUTION, 3)
    for wrong in ((1, 3, 0), (0, 1, 0), (1, 2, 25)):
        with pytest.raises(UsageError):
            actions.between(run, *wrong)


def test_stopping_keeps_what_there_is_and_going_on_ends_as_if_undisturbed(actions, inputs, monkeypatch):
    draw(inputs / "a.png")
    whole, _ = solved(actions, inputs / "a.png")
    with monkeypatch.context() as patched:
        patched.setattr(Follower, "wants_end", lambda self: len(self._job.found) >= 2)
        run, job = solved(actions, inputs / "a.png", state="stopped")
    assert job.words.startswith("Stopped: 2 of 4 searches had ended")
    result = actions.result(run)
    assert len(result["solutions"]) == 2
    expected = {entry["restart"]: entry for entry in actions.result(whole)["solutions"]}
    for entry in result["solutions"]:
        theirs = expected[entry["restart"]]
        assert all(entry[key] == theirs[key] for key in ("downscaling_error", "feasible", "steps", "status"))
        pictures = [
            (actions.shown(name).root / one["image"]).read_bytes() for name, one in ((run, entry), (whole, theirs))
        ]
        assert pictures[0] == pictures[1]
    assert len(read_solutions(job.stopped / "a" / "solutions.npz").latents) == 2
    assert actions.page(run) == f"runs/{run}/stopped/index.html"
    assert "has not finished" in (job.stopped / "index.html").read_text()
    with zipfile.ZipFile(actions.archive(run)) as archive:
        assert "pulse/a/solution_02.png" in archive.namelist() and "pulse/index.html" in archive.namelist()
    actions.jobs.go_on(job)
    until(lambda: job.state == "finished")
    assert not job.stopped.exists() and not (job.folder / "stopped.zip").exists()
    assert listing(job.run) == listing(actions.jobs.find(whole).run)
    strip = functools.partial(map, lambda entry: {**entry, "command": ""})
    assert [*strip(actions.result(run)["solutions"])] == [*strip(actions.result(whole)["solutions"])]


def test_a_plain_enlargement_has_no_way_and_a_larger_picture_is_downscaled(actions, inputs):
    draw(inputs / "a.png", side=21)
    run, job = solved(actions, inputs / "a.png", size=4, preset="bicubic")
    shown = actions.shown(run)
    assert shown.record["size"] == 4 and not shown.has_latents and len(shown.record["solutions"]) == 1
    assert "<li>cropped from 21x21 to its centre 20x20</li><li>downscaled by 5 to 4x4</li>" in actions.standing(job)
    run, _ = solved(actions, inputs / "a.png")
    assert actions.shown(run).record["size"] == 2


def test_names_of_pictures_are_never_read_as_html(actions, inputs):
    hostile = "<img src=x onerror=alert(1)>"
    draw(inputs / f"{hostile}.png", side=3)
    picture = str(inputs / f"{hostile}.png")
    run = actions.submit(picture, CENTRE, 8, "fast", 1, "", 0)
    job = actions.jobs.find(run)
    until(lambda: job.is_over)
    assert job.state == "failed" and "smaller than 8x8" in job.words and str(job.folder) not in job.words
    assert html.escape(hostile) in actions.standing(job) and hostile not in actions.standing(job)
    with pytest.raises(UsageError, match="smaller than 8x8"):
        actions.compare(run, 1)


def test_the_largest_face_of_a_photograph_is_cut_out(actions, inputs, monkeypatch):
    found = [Detection(face((30, 30), 1.2), 0.9), Detection(face((80, 50), 10, 0.3), 0.8)]
    monkeypatch.setattr("pulse_jax.cli.photographs.load_detector", lambda: lambda pixels: found)
    actions.offer = dataclasses.replace(OFFER, finds_faces=True)
    save_png(inputs / "group.png", smooth(190, 110))
    for size, expected in ((AUTOMATIC, 8), (4, 4)):
        run = actions.submit(str(inputs / "group.png"), FACE, size, "fast", 2, "", 0)
        job = actions.jobs.find(run)
        until(lambda job=job: job.is_over)
        record = actions.shown(run).record
        assert (record["face"], record["size"], record["solved"]) == (2, expected, "group_2/input.png")
        assert f"aligned and downscaled to {expected}x{expected}" in actions.standing(job)
    found.clear()
    job = actions.jobs.find(actions.submit(str(inputs / "group.png"), FACE, 4, "fast", 2, "", 0))
    until(lambda: job.is_over)
    assert job.state == "failed" and "no face" in job.words


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "the file is empty"), (b"GIF89a...", "GIF"), (b"no", "not a picture")]
)
def test_bad_files_get_a_line(actions, tmp_path, content, text):
    bad = tmp_path / "bad.png"
    bad.write_bytes(content)
    with pytest.raises(UsageError, match=text) as refused:
        actions.look(str(bad))
    assert str(refused.value).startswith("bad.png: ") and str(tmp_path) not in str(refused.value)
    _, job = solved(actions, bad, state="failed")
    assert text in job.words and str(tmp_path) not in job.words


def test_a_picture_is_shown_as_it_is_read(actions, inputs):
    pixels = draw(inputs / "a.png")
    seen, words = actions.look(str(inputs / "a.png"))
    assert words == "4 × 4 pixels" and (seen[::128, ::128] == pixels).all()
    draw(inputs / "b.png", side=900)
    seen, words = actions.look(str(inputs / "b.png"))
    assert seen.shape == (512, 512, 3) and words == "900 × 900 pixels"


@pytest.mark.parametrize(
    ("picture", "take", "text"),
    [(None, CENTRE, "no picture"), ("x.png", "all", "take: expected"), ("x.png", FACE, "faces: this server cannot")],
)
def test_what_cannot_be_asked_for_is_not_queued(actions, picture, take, text):
    with pytest.raises(UsageError, match=text):
        actions.submit(picture, take, AUTOMATIC, "fast", 1, None, 0)
    assert not [path for path in actions.jobs.home.iterdir() if len(path.name) == 32]


def test_only_what_the_page_shows_is_served(actions, inputs):
    draw(inputs / "a.png")
    run, job = solved(actions, inputs / "a.png", restarts=1)
    for name in (
        "index.html",
        "a/input.png",
        "a/solution_01.png",
        "a/downscaled_01.png",
        "a/solutions.npz",
        "a/sheet.png",
    ):
        assert actions.file(run, "run", name) == job.run / name
    (job.run / "a" / "solution_01.png").unlink()
    (job.run / "a" / "solution_01.png").symlink_to("/etc/passwd")
    for root, name in (
        ("run", "a/solution_01.png"), ("run", "../request.json"), ("run", "summary.json"), ("stopped", "index.html"),
        ("..", "index.html"), ("run", "/etc/passwd"), ("run", "a/../index.html"),
    ):  # fmt: skip
        assert actions.file(run, root, name) is None
