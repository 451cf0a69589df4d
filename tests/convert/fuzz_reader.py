"""Feeds mutated checkpoints to `convert` and counts what comes of them.

    python -m tests.convert.fuzz_reader --count 20000

Tiny files of every program in every container are changed byte by byte, cut, spliced and, where they are pickles,
opcode by opcode, and inspected (read, recognised, accounted for) in child processes under a memory limit and a time
limit. Every file must end in a `CheckpointError` or an inspection; anything else is printed with the seed that makes it
again, and the exit status is 1. At least a quarter must get as far as tensors, else the mutations are too coarse to say
anything about what lies behind the first check.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import pathlib
import pickletools
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from typing import Any, NoReturn

import convert
from convert import CheckpointError, nodes, safetensors_file, torch_files
from tests.convert.files import CASES, write_files

_SECONDS = 10
_MEMORY = 512 * 2**20


def main() -> None:
    """Starts children that read `count` files between them, one child at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="how many mutated files")
    parser.add_argument("--seed", type=int, default=0, help="the first file's seed; each further one's is one more")
    parser.add_argument("--chunk", type=int, default=5_000, help="files per child process")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.seed, options.count)
        return
    total: collections.Counter[str] = collections.Counter()
    failed = False
    began = time.monotonic()
    for seed in range(options.seed, options.seed + options.count, options.chunk):
        count = min(options.chunk, options.seed + options.count - seed)
        command = [sys.executable, "-m", "tests.convert.fuzz_reader", "--child"]
        command += ["--seed", str(seed), "--count", str(count)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        counts, *failures = result.stdout.splitlines() or [""]
        total.update({name: int(number) for name, _, number in (part.partition("=") for part in counts.split())})
        if result.returncode or failures:
            failed = True
            print(*failures, f"seeds {seed} to {seed + count - 1}: the child ended with {result.returncode}", sep="\n")
    reached = total["reached-tensors"] / max(1, total["files"])
    print(*(f"{name}: {number}" for name, number in sorted(total.items())), sep="\n")
    print(f"{reached:.0%} reached tensors, {time.monotonic() - began:.0f} s")
    sys.exit(failed or total["files"] != options.count or reached < 0.25)


def _child(seed: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _too_slow)
    # Of NumPy, which would print them.
    warnings.simplefilter("error")
    built = _count_tensors()
    # Else hardly any changed archive would be read further.
    torch_files._check_sums = lambda members, found: None
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        honest = _honest(folder)
        everything = [raw for files in honest.values() for raw in files.values()]
        for number in range(seed, seed + count):
            rng = random.Random(number)
            kind = list(honest)[number % len(honest)]
            files = dict(honest[kind])
            changed = rng.choice(list(files))
            files[changed] = mutated(files[changed], rng, everything)
            for path, raw in files.items():
                path.write_bytes(raw)
            built[0] = 0
            signal.alarm(_SECONDS)
            try:
                inspection = convert.inspect(list(files))
                lines = inspection.lines()
                counts["recognised"] += 1
                counts["convertible"] += not inspection.fault
            except CheckpointError as error:
                lines = [str(error)]
                counts["refused"] += 1
            except Exception:
                # The fuzzer reports whatever the reader lets through; the reader itself never does this.
                lines = []
                failures.append(f"seed {number} ({kind}): {traceback.format_exc(limit=-3)}")
            finally:
                signal.alarm(0)
            failures += [f"seed {number} ({kind}): {line!a:.900}" for line in lines if not line.isprintable()]
            counts["files"] += 1
            counts["reached-tensors"] += built[0] > 0
    print(*(f"{name}={number}" for name, number in counts.items()))
    print(*failures, sep="\n", end="")


def _honest(folder: pathlib.Path) -> dict[str, dict[pathlib.Path, bytes]]:
    """The tests' files, by program and container: paths and what stands there."""
    return {
        f"{naming}, {container}": {path: path.read_bytes() for path in write_files(naming, container, folder)}
        for naming, container in CASES
    }


def mutated(raw: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A file with one to four changes."""
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(out))
        match rng.randrange(10):
            case 0:
                out[at] = rng.randrange(256)
            case 1 | 8 | 9:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                del out[at : at + rng.randrange(1, 9)]
            case 3:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                width = rng.choice((1, 2, 4, 8))
                out[at : at + width] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"\1")) * width
            case 5:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                out[at : at + rng.randrange(64)] = other[start : start + rng.randrange(64)]
            case 6 if rng.randrange(2):
                del out[at:]
            case _:
                out = _other_opcode(out, rng)
        if not out:
            out = bytearray(b"\x80")
    return bytes(out)


def _other_opcode(raw: bytearray, rng: random.Random) -> bytearray:
    """A pickle in the file with an opcode removed, doubled or moved; other files as they are."""
    start = next((match.start() for match in re.finditer(rb"\x80[\x02-\x05]", raw)), 0)
    positions: list[int] = []
    # A pickle that was changed before may break off; the part before still serves.
    with contextlib.suppress(Exception):
        for _, _, position in pickletools.genops(io.BytesIO(raw[start:])):
            positions.append(start + (position or 0))
    if len(positions) < 4:
        return raw
    first = rng.randrange(1, len(positions) - 2)
    begin, end = positions[first], positions[first + 1]
    code = raw[begin:end]
    match rng.randrange(3):
        case 0:
            del raw[begin:end]
        case 1:
            raw[end:end] = code
        case _:
            target = rng.choice(positions)
            raw[target:target] = code
    return raw


def _count_tensors() -> list[int]:
    """A counter of tensors and arrays built, of safetensors' too."""
    built = [0]
    for node in (nodes.Tensor, nodes.Array):

        def view(self: Any, original: Any = node.view) -> Any:
            array = original(self)
            built[0] += not isinstance(array, str)
            return array

        node.view = view  # pyright: ignore
    original = safetensors_file._tensor

    def tensor(*args: Any) -> Any:
        result = original(*args)
        built[0] += 1
        return result

    safetensors_file._tensor = tensor
    return built


def _too_slow(*_: object) -> NoReturn:
    raise TimeoutError(f"more than {_SECONDS} s")


if __name__ == "__main__":
    main()
