"""The Ray cluster: importing Ray, joining a cluster or starting one, and where in it workers can be (no JAX)."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from pulse_jax.system.errors import RunError
from pulse_jax.system.text import printable, reason_of

__all__ = ["LOCAL", "Place", "connected", "import_ray", "places"]

LOCAL = "local"
"""Address of a cluster that is this machine alone, started for as long as it is needed."""

# Seconds within which a cluster must answer.
_PATIENCE = 10.0


class Place(NamedTuple):
    """Where one worker can be: a GPU, or all CPUs that a node gives to Ray.

    Attributes:
        node: Ray's identifier of the node.
        host: Name of the machine, for people.
        number: Which of the node's places it is, from 0.
        cores: Cores of the worker's; None where it has a GPU.
    """

    node: str
    host: str
    number: int
    cores: int | None


def import_ray() -> Any:
    """Return Ray's module, which reports nothing to its makers.

    Raises:
        RunError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise RunError('distributed searches need Ray: pip install "pulse-jax[ray]"')
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Where it is unset, Ray warns of how a later version will treat workers without GPUs.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    return ray


@contextlib.contextmanager
def _own_handler() -> Iterator[None]:
    """Keeps what a SIGTERM does: Ray puts a handler of its own in the place of whatever was there."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give Ray's module while this process is part of a cluster; one that it has joined before is left as it is.

    Args:
        address: HOST:PORT of the cluster, `auto` for the one that this machine belongs to, or `LOCAL`.

    Raises:
        RunError: Ray is not installed, or there is no such cluster.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    own = {"include_dashboard": False} if address == LOCAL else {}
    host, _, port = address.rpartition(":")
    try:
        if host:  # Ray would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
        with warnings.catch_warnings():
            # JAX's, of forks: these become Ray's own programs at once.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            with _own_handler():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        told = printable(reason_of(error), 300)
        raise RunError(f"--ray {printable(address)}: cannot be reached ({told}); see whether it runs") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def places(ray: Any, platform: str) -> list[Place]:
    """Return where workers can be now: one for each GPU, or, where these are CPUs, one for each node.

    Args:
        ray: Ray's module.
        platform: What workers compute on, as `jax.Device.platform` calls it.
    """
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            about = node["NodeID"], printable(node["NodeManagerHostname"])
            cores, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
            if platform == "gpu":
                found += [Place(*about, number, None) for number in range(gpus)]
            elif platform == "cpu" and cores:
                found.append(Place(*about, 0, cores))
    return found
