"""Searches on the devices of a Ray cluster: data sets of pictures, and the stream behind `upsample --ray`."""

from pulse_jax.distributed.dataset import upsample_dataset

__all__ = ["upsample_dataset"]
