"""What becomes of runs that are killed, that find the disk full, the clock set back, a neighbour, or no folder.

`python -m examples.benchmarks.disturbed_runs` runs `pulse-jax upsample` with the embedded generator on the bundled
inputs, more searches than run at once, disturbs it at random moments, gives the same command again until it ends, and
compares every file with those of a run that nobody disturbed. A table and `disturbed.json`; the exit code is 1 if
anything was lost or differs. The disk is a small one in memory, which only root can mount: elsewhere it is left out.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro

import pulse_jax

_INPUTS = sorted((Path(pulse_jax.__path__[0]) / "data" / "demo").glob("head_*.png"))[:6]
_VARIANTS = {
    "refilled lanes": ("--restarts", "3"),
    "--diverse": ("--solutions", "2", "--max-restarts", "4", "--diverse"),
    "--noise-samples": ("--restarts", "2", "--noise-samples", "2"),
    "animations": ("--restarts", "2", "--save-intermediate"),
}
_PICTURES = (".png", ".gif", ".webp")
_PROGRAM = "import sys; from pulse_jax.cli import main; sys.exit(main())"
_EARLIER = "import time; now = time.time; time.time = lambda: now() - 86400; "
_PATIENCE = 300.0
# Of one run, so that it comes to an end.
_MOST_KILLS = 8


@dataclass
class Tally:
    """What one kind of disturbance has done.

    Attributes:
        runs: Runs that were disturbed and came to an end.
        faults: Disturbances.
        pictures: Pictures that undisturbed runs would have written.
        lost: Those that are not there.
        differ: Those that are others.
        others: Other files that are missing, differ or should not be there.
        surprises: Tracebacks, and exit codes that were not expected.
    """

    runs: int = 0
    faults: int = 0
    pictures: int = 0
    lost: int = 0
    differ: int = 0
    others: int = 0
    surprises: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, differs or came as a surprise."""
        return not (self.lost or self.differ or self.others or self.surprises)


class Runs:
    """Runs in a folder, all with the same cache of compiled programs, and what they should have written.

    Args:
        home: Folder for everything.
        draw: Where random moments come from.
    """

    def __init__(self, home: Path, draw: random.Random) -> None:
        self.home = home
        self.draw = draw
        self._seconds: dict[str, float] = {}
        self._count = 0

    def fresh(self) -> Path:
        """Return a folder that is not there yet."""
        self._count += 1
        return self.home / f"run_{self._count}"

    def start(self, out: Path, variant: str, prelude: str = "") -> subprocess.Popen[str]:
        """Start the command of a variant, after a line of Python of its own."""
        words = ["upsample", *map(str, _INPUTS), "--output", str(out), "--steps", "80", *_VARIANTS[variant]]
        caches = {"XDG_CACHE_HOME": str(self.home / "cache"), "XDG_STATE_HOME": str(self.home / "state")}
        return subprocess.Popen(
            [sys.executable, "-c", prelude + _PROGRAM, *words],
            env=os.environ | caches,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def whole(self, variant: str) -> Path:
        """Return the folder of an undisturbed run, made once."""
        out = self.home / f"whole_{list(_VARIANTS).index(variant)}"
        if variant not in self._seconds:
            # Twice: the first one compiles.
            for _ in range(2):
                shutil.rmtree(out, ignore_errors=True)
                began = time.monotonic()
                _, told = _ended(self.start(out, variant))
                self._seconds[variant] = time.monotonic() - began
            if not (out / "summary.json").exists():
                raise SystemExit(f"the undisturbed run failed: {told}")
        return out

    def moment(self, variant: str) -> float:
        """Return a random moment in the life of an undisturbed run."""
        self.whole(variant)
        return self.draw.uniform(0.0, self._seconds[variant])

    def finish(self, out: Path, variant: str, tally: Tally) -> None:
        """Give the command again, undisturbed, and count how the files compare."""
        code, told = _ended(self.start(out, variant))
        tally.surprises += _surprising(code != 0, told)
        tally.runs += 1
        self.compare(out, variant, tally)

    def compare(self, out: Path, variant: str, tally: Tally) -> None:
        """Count how the files of a run compare with those of the undisturbed one."""
        whole = self.whole(variant)
        ours, theirs = _files(out), _files(whole)
        for name in theirs:
            is_picture = name.endswith(_PICTURES)
            tally.pictures += is_picture
            if name not in ours:
                tally.lost += is_picture
                tally.others += not is_picture
            elif _contents(out, name) != _contents(whole, name):
                print(f"differs: {out / name}", flush=True)
                tally.differ += is_picture
                tally.others += not is_picture
        tally.others += len(ours - theirs)


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; its exit code, and what it said."""
    told = process.communicate(timeout=_PATIENCE)[1]
    return process.returncode, told


def _surprising(wrong: bool, told: str) -> bool:
    """Whether an exit code or what a process said was not expected; shown if so."""
    if wrong or "Traceback" in told:
        print(f"surprising: {told}", flush=True)
        return True
    return False


def _files(folder: Path) -> set[str]:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    # Empty, and left by a process that was killed when all was done: the next one takes it over.
    return files - {".pulse-jax-lock"}


def _contents(folder: Path, name: str) -> object:
    """What must be the same of a file in every run: all but times, and the name of the folder."""
    path = folder / name
    if name.endswith(".npz"):
        with np.load(path) as arrays:
            return {key: (array.dtype.str, array.shape, array.tobytes()) for key, array in arrays.items()}
    if name.endswith(".json"):
        read = json.loads(path.read_text().replace(f"{folder}/", "OUT/"))
        return {**read, "speed": None}
    return path.read_bytes()


def killed(runs: Runs, kills: int, variants: Sequence[str] = tuple(_VARIANTS)) -> Iterator[tuple[str, Tally]]:
    """Kill runs of every variant at random moments, again and again."""
    for number, variant in enumerate(variants):
        tally = Tally()
        share = kills // len(variants) + (number < kills % len(variants))
        while tally.faults < share:
            out = runs.fresh()
            for _ in range(_MOST_KILLS):
                if _is_finished(out):  # and killed after that
                    break
                process = runs.start(out, variant)
                try:
                    _, told = process.communicate(timeout=runs.moment(variant))
                    tally.surprises += _surprising(process.returncode != 0, told)
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    tally.faults += 1
                if tally.faults == share:
                    break
            if _is_finished(out):
                tally.runs += 1
                runs.compare(out, variant, tally)
            else:
                runs.finish(out, variant, tally)
        yield f"killed, {variant}", tally


def _is_finished(out: Path) -> bool:
    summary = out / "summary.json"
    return summary.exists() and json.loads(summary.read_text())["finished"]


def clock_set_back(runs: Runs) -> Iterator[tuple[str, Tally]]:
    """Kill a run, and go on a day earlier, among files from what is now the future."""
    tally, variant = Tally(), "refilled lanes"
    for _ in range(5):
        out = runs.fresh()
        _kill_after(runs.start(out, variant), runs.moment(variant))
        process = runs.start(out, variant, _EARLIER)
        _kill_after(process, runs.moment(variant))
        tomorrow = time.time() + 86400
        for path in out.rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
        tally.faults += 2
        _complete(runs, out, variant, tally)
    yield "clock set back", tally


def _kill_after(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _complete(runs: Runs, out: Path, variant: str, tally: Tally) -> None:
    """Compare a run, after going on with it where it has not finished."""
    if _is_finished(out):
        tally.runs += 1
        runs.compare(out, variant, tally)
    else:
        runs.finish(out, variant, tally)


def two_at_one_folder(runs: Runs) -> Iterator[tuple[str, Tally]]:
    """Start a second process at a random moment of the first, or at once."""
    tally, variant = Tally(), "refilled lanes"
    for number in range(6):
        out = runs.fresh()
        first = runs.start(out, variant)
        if number % 2:
            time.sleep(runs.moment(variant))
        second = runs.start(out, variant)
        told = [_ended(process) for process in (first, second)]
        tally.faults += 1
        nobody = 0 not in [code for code, _ in told]
        tally.surprises += sum(_surprising(nobody, text) for _, text in told)
        tally.runs += 1
        runs.compare(out, variant, tally)
    yield "two at one folder", tally


def vanished(runs: Runs) -> Iterator[tuple[str, Tally]]:
    """Move a run's folder away, let the run end, and put the folder back; or remove it for good."""
    tally, variant = Tally(), "refilled lanes"
    for number in range(6):
        out, away = runs.fresh(), runs.fresh()
        process = runs.start(out, variant)
        time.sleep(runs.moment(variant))
        if out.exists() and process.poll() is None:
            out.rename(away)
            tally.faults += 1
        code, told = _ended(process)
        # What was made after the folder had gone is no part of the run.
        tally.surprises += _surprising(code not in (0, 1), told)
        if away.exists():
            shutil.rmtree(out, ignore_errors=True)
            if number % 2:
                away.rename(out)
            else:
                shutil.rmtree(away)
        _complete(runs, out, variant, tally)
    yield "folder vanished", tally


def disk_full(runs: Runs) -> Iterator[tuple[str, Tally]]:
    """Run on a disk that fills up, is given more room, and fills up again."""
    tally, variant = Tally(), "--noise-samples"
    taken = sum(path.stat().st_size for path in runs.whole(variant).rglob("*"))
    for _ in range(5):
        disk = runs.fresh()
        disk.mkdir()
        kilobytes = round(taken * runs.draw.uniform(0.05, 0.7) / 1000)
        if not _mount(disk, kilobytes):
            print("disk full: left out, nothing can be mounted here", flush=True)
            return
        try:
            out = disk / "out"
            while _on_full_disk(runs, out, variant, tally) and kilobytes < 40 * taken / 1000:
                tally.faults += 1
                kilobytes = round(kilobytes * runs.draw.uniform(1.2, 2.0))
                _mount(disk, kilobytes, "remount,")
            tally.runs += 1
            runs.compare(out, variant, tally)
        finally:
            subprocess.run(["umount", disk], check=True)
    yield "disk full", tally


def _on_full_disk(runs: Runs, out: Path, variant: str, tally: Tally) -> int:
    code, told = _ended(runs.start(out, variant))
    tally.surprises += _surprising(code not in (0, 1), told)
    return code


def _mount(folder: Path, kilobytes: int, how: str = "") -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"{how}size={kilobytes}k", "tmpfs", str(folder)]
    try:
        return subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def main(kills: int = 50, seed: int = 0, out: Path | None = None) -> None:
    """Disturb runs in every way.

    Args:
        kills: How many times runs are killed.
        seed: What random moments are drawn from.
        out: Folder for the runs, which stay there; one that goes away at the end by default.
    """
    with tempfile.TemporaryDirectory(prefix="disturbed-") as temporary:
        home = Path(temporary) if out is None else out
        home.mkdir(parents=True, exist_ok=True)
        runs = Runs(home.resolve(), random.Random(seed))
        found: dict[str, Tally] = {}
        ways: list[Callable[[Runs], Iterator[tuple[str, Tally]]]] = [
            lambda runs: killed(runs, kills), disk_full, clock_set_back, two_at_one_folder, vanished,
        ]  # fmt: skip
        print("| disturbance | " + " | ".join(Tally.__dataclass_fields__) + " |", flush=True)
        for way in ways:
            for name, tally in way(runs):
                found[name] = tally
                print(f"| {name} | " + " | ".join(map(str, asdict(tally).values())) + " |", flush=True)
        if out is not None:
            text = json.dumps({name: asdict(tally) for name, tally in found.items()}, indent=1)
            (out / "disturbed.json").write_text(text)
    if not all(tally.clean for tally in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(main)
