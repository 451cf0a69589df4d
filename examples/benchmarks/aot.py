"""What the program of searches does on a GPU or TPU, counted without one: `python -m examples.benchmarks.aot`.

The program that steps all lanes once is compiled for a described device, and its kernels, their bytes and products are
counted in what the compiler gives (see `pulse_jax.reports.optimised_hlo`). Nothing runs: what is told of rates is a
bound, of a device that takes each kernel at its rate of products or of bytes, whichever is slower.

For an H100 it needs `pip install jax-cuda12-plugin jax-cuda12-pjrt` of JAX's version, and the libraries that these
compile with (`nvidia-{cuda-nvcc,cuda-runtime,cuda-nvrtc,cuda-cupti,cublas,cudnn,cufft,cusolver,cusparse}-cu12`); for a
TPU v5e `pip install libtpu`.
"""

import collections
import dataclasses
import os
from typing import Any, Literal

import jax
import tyro
from jax.experimental import topologies

from examples.benchmarks.described import described_chunk, described_generator, settings
from pulse_jax.generators.architectures import Precision
from pulse_jax.reports.optimised_hlo import Kernel, kernels_of_largest_loop, least_seconds

# An H100 with SXM, as XLA describes its devices.
_H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84942979072
}
platform_name: "CUDA"
runtime_version { major: 12 minor: 8 }
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# What such a card was measured to do with a plain product and a plain copy: RESULTS, "On a GPU".
_PRODUCTS: dict[Precision, float] = {"float32": 52e12, "tf32": 407e12, "bfloat16": 741e12}
_COPY = 2.48e12


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compiled and counted.

    Attributes:
        device: Device that it is compiled for.
        generator: `heads64`, the embedded one; or a family and a resolution, such as `stylegan2-1024`.
        precision: Arithmetic of its convolutions.
        lanes: Searches at once.
        preset: Settings of the searches.
        form: The form for accelerators that searches run, or the networks as they are defined.
        shown: How many kernels are told of, those that move most first.
    """

    device: Literal["h100", "v5e"] = "h100"
    generator: str = "stylegan2-1024"
    precision: Precision = "bfloat16"
    lanes: int = 4
    preset: str = "pulse"
    form: Literal["accelerated", "plain"] = "accelerated"
    shown: int = 20


def described_device(name: Literal["h100", "v5e"]) -> Any:
    """Return a device that is not there, to compile for."""
    if name == "h100":
        return topologies.get_topology_desc("", "cuda", target_config=_H100, topology="1x1x1").devices[0]
    # Asked for where no machine of Google's answers, these keep it from asking.
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost"}
    return topologies.get_topology_desc("v5e:2x2", "tpu").devices[0]


def main(options: Options) -> None:
    """Compile, count and print."""
    generator = described_generator(options.generator)
    if options.form == "accelerated":
        platform = "gpu" if options.device == "h100" else "tpu"
        generator = jax.eval_shape(lambda generator: generator.prepared(platform), generator)
    config, device = settings(options.preset, options.precision), described_device(options.device)
    lowered = described_chunk(generator, config, options.lanes, device).lower()
    # Without a device XLA does not know the tiles of some of Triton's products.
    flags = {"xla_gpu_enable_triton_gemm": False} if options.device == "h100" else {}
    compiled = lowered.compile(compiler_options=flags)
    print(f"{options.generator} ({options.form}), {options.precision}, {options.lanes} lanes, {device.device_kind}")
    memory = compiled.memory_analysis()
    print(f"  {memory.temp_size_in_bytes / options.lanes / 2**30:.3f} GiB for each lane while it runs")
    if options.device == "v5e":
        costs = compiled.cost_analysis()
        parts = {"bytes accessed": "GB", "flops": "GFLOP"}
        told = [f"{costs[part] / options.lanes / 1e9:.2f} {unit}" for part, unit in parts.items() if part in costs]
        print(f"  {', '.join(told)} for each image-step, by XLA's count")
        return
    _tell(kernels_of_largest_loop(compiled.as_text()), options)


def _tell(kernels: list[Kernel], options: Options) -> None:
    lanes, rate = options.lanes, _PRODUCTS[options.precision]
    moved, flops = sum(kernel.bytes for kernel in kernels), sum(kernel.flops for kernel in kernels)
    seconds = least_seconds(kernels, rate, _COPY)
    print(f"  {len(kernels)} kernels a step; {moved / lanes / 1e9:.2f} GB and {flops / lanes / 1e9:.0f} GFLOP for each")
    print(f"  at most {lanes / seconds:.0f} image-steps a second, {lanes * _COPY / moved:.0f} by bytes alone")
    kinds: collections.defaultdict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for kernel in kernels:
        kinds[kernel.kind][0] += 1
        kinds[kernel.kind][1] += kernel.bytes
    print("  MB for each image-step, by kind:")
    for kind, (number, size) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        print(f"  {size / lanes / 1e6:9.1f}  {number:4d}  {kind}")
    print("  and by kernel:")
    for kernel in sorted(kernels, key=lambda kernel: -kernel.bytes)[: options.shown]:
        result = kernel.result.partition("{")[0]
        print(f"  {kernel.bytes / lanes / 1e6:9.1f}  {kernel.kind:40s} {result:40s} {kernel.source[-60:]}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
