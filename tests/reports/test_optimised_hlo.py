"""Kernels, bytes and products, counted in what the compiler for an H100 made of a loop whose counts are known."""

from pathlib import Path

import pytest

from pulse_jax.reports.optimised_hlo import Kernel, kernels_of_largest_loop, least_seconds

GOLDENS = Path(__file__).parents[1] / "goldens"


@pytest.fixture(scope="module")
def kernels():
    """One turn: x (512, 256) · (256, 256), and the tanh of a 3×3 convolution of (2, 16, 16, 8), as many channels."""
    return kernels_of_largest_loop((GOLDENS / "k_loop_h100.hlo").read_text())


def test_every_launch_of_the_loop_is_a_kernel(kernels):
    kinds = [kernel.kind for kernel in kernels]
    assert kinds == ["fusion", "__cudnn$convForward", "fusion", "__cublas$lt$matmul", "copy"]


def test_products_are_two_operations_for_each_pair_that_meets(kernels):
    flops = {kernel.kind: kernel.flops for kernel in kernels if kernel.flops}
    assert flops == {"__cudnn$convForward": 2 * 2 * 16 * 16 * 8 * 9 * 8, "__cublas$lt$matmul": 2 * 512 * 256 * 256}


def test_bytes_are_those_of_operands_and_results_and_of_no_scratch_memory(kernels):
    counter, picture, matrix, weight = 4, 4 * 2 * 16 * 16 * 8, 4 * 512 * 256, 4 * 256 * 256
    assert [kernel.bytes for kernel in kernels] == [
        2 * counter,
        2 * picture + 4 * 9 * 8 * 8,
        2 * picture,
        2 * matrix + weight,
        2 * matrix,
    ]


def test_a_kernel_takes_as_long_as_the_slower_of_its_products_and_its_bytes():
    kernels = [Kernel("a", "", 600, 10, "", ""), Kernel("b", "", 0, 50, "", "")]
    assert least_seconds(kernels, product=200.0, copy=25.0) == 3.0 + 2.0


def test_a_program_without_a_loop_is_refused():
    with pytest.raises(ValueError, match="expected a program with a loop"):
        kernels_of_largest_loop("ENTRY %main (x: f32[2]) -> f32[2] {\n  ROOT %x = f32[2]{0} parameter(0)\n}\n")
