"""Who follows a run hears of every search that ends, once, and can end the run as an interrupt does."""

from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.runs.watch import Watch
from pulse_jax.system.screen import Screen
from tests.cli.fake_engine import draw, listing, summary_of


class Follower(Watch):
    def __init__(self, most):
        self.most = most
        self.plans = []
        self.heard = []

    def began(self, plan, lanes):
        self.plans.append(plan)

    def found(self, one, solution):
        self.heard.append((one.name, solution.restart, solution.downscaling_error))

    def wants_end(self):
        return len(self.heard) >= self.most


def test_a_run_that_is_ended_keeps_what_there_is_and_is_heard_whole_when_it_goes_on(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    options = Upsample(inputs=(inputs,), output=tmp_path / "out", restarts=4)
    followed = Follower(100)
    assert (
        run_upsample(Upsample(inputs=(inputs,), output=tmp_path / "whole", restarts=4), Screen(), watch=followed) == 0
    )
    assert [plan.size for plan in followed.plans] == [16] and len(followed.heard) == 4
    ended = Follower(2)
    assert run_upsample(options, Screen(), watch=ended) == 130
    assert ended.heard == followed.heard[:2] and not summary_of(tmp_path / "out")["finished"]
    on = Follower(100)
    assert run_upsample(options, Screen(), watch=on) == 0
    assert on.heard == followed.heard and len(fake.calls) == 3
    assert listing(tmp_path / "out") == listing(tmp_path / "whole")


def test_progress_is_told_with_its_numbers(fake, inputs, tmp_path):
    class Told(Screen):
        def progress(self, line, done, total):
            told.append((line, done, total))

    told = []
    draw(inputs / "a.png")
    assert run_upsample(Upsample(inputs=(inputs,), output=tmp_path / "out", restarts=3), Told()) == 0
    assert told[-1][1:] == (3, 3) and told[0][0].startswith("1/3 searches")
