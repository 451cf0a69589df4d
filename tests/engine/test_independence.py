"""A search's bits are its own: whatever runs beside it, in whichever order, and with however many threads.

Processes by themselves, with the compiler's settings that users have, at shapes that users run.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

FAST = ("embedded:whole:float32", "stylegan1:512-channels:float32")
PRODUCTS = "products:embedded:float32"
MATRIX = (
    "embedded:whole:bfloat16",
    "embedded:near:float32",
    "stylegan2:512-channels:float32",
    *(f"{family}:512-channels:bfloat16" for family in ("stylegan1", "stylegan2")),
    *(
        f"{family}:{pixels}-pixels:{precision}"
        for pixels in (256, 1024)
        for family in ("stylegan1", "stylegan2")
        for precision in ("float32", "bfloat16")
    ),
)


def found(cases, threads, **others):
    """What a process whose operations are split over so many threads finds; `others` go into its environment."""
    settings = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.independence", *cases],
        env=settings | {"NPROC": str(threads), "JAX_PLATFORMS": "cpu"} | others,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_company_order_lanes_and_threads_change_no_bit():
    with ThreadPoolExecutor(2) as beside:
        one, two = beside.map(found, (FAST, (*FAST, PRODUCTS)), (1, 2))
    # What the number of threads could change is not even there.
    assert two.pop(PRODUCTS) == []
    for case in FAST:
        for ways in (one[case], two[case]):
            assert len(ways) > 2 and len({*ways.values()}) == 1, (case, ways)
    assert one == two


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["embedded", "stylegan1", "stylegan2"])
def test_every_product_of_a_search_of_any_family(family, precision):
    case = f"products:{family}:{precision}"
    assert found((case,), 2) == {case: []}


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX)
def test_nothing_else_changes_a_bit_of_any_shape(case):
    one, two, eight = (found((case,), threads)[case] for threads in (1, 2, 8))
    assert len(one) > 2 and len({*one.values(), *two.values(), *eight.values()}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", [*FAST, "stylegan1:256-pixels:float32"])
def test_nothing_changes_a_bit_where_the_processor_denies_avx512(case, tmp_path):
    """As older processors answer, libraries take other code; the first version failed there, by company and threads."""
    if "cpuid_fault" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor cannot refuse to say what it is")
    library = tmp_path / "without_avx512.so"
    source = Path(__file__).with_name("without_avx512.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    for how in ({}, {"AS_EPYC": "1"}):
        ways = [found((case,), threads, LD_PRELOAD=str(library), **how)[case] for threads in (1, 2, 8)]
        assert len({bits for way in ways for bits in way.values()}) == 1
