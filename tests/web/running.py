"""A server in a process of its own, which can be killed, and sees where it writes and whom it asks."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


class Server:
    """`pulse-jax serve` with a home, a folder for temporary files and a working folder below `place`.

    What it would ask somebody else goes to `trap`, a proxy that answers nobody.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.output = place / "served"
        self.trap = socket.create_server(("127.0.0.1", 0))
        self.trap.setblocking(False)
        self.port = 0
        for name in ("home", "temporary", "work"):
            (place / name).mkdir()
        self.start()

    def start(self) -> None:
        """Start it; the port stays the same from the first time on."""
        proxy = f"http://127.0.0.1:{self.trap.getsockname()[1]}"
        kept = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "XDG_CACHE_HOME")}
        env = {
            **kept,
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "temporary"),
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        words = [sys.executable, "-m", "pulse_jax", "serve", "--port", str(self.port), "--output", str(self.output)]
        log = open(self.place / "log.txt", "ab")  # noqa: SIM115
        with log:
            self.process = subprocess.Popen(
                words, env=env, cwd=self.place / "work", stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "Serving at http://127.0.0.1:" in line, (line, (self.place / "log.txt").read_text())
        self.address = line.split()[2].rstrip(",")
        self.port = int(self.address.rpartition(":")[2])

    def end(self, number: int = signal.SIGINT) -> int:
        """End it by a signal, and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def asked_somebody(self) -> bool:
        """Whether it has tried to reach anybody."""
        with contextlib.suppress(BlockingIOError):
            self.trap.accept()[0].close()
            return True
        return False

    def written(self, name: str) -> list[str]:
        """The files below its home, its folder for temporary files, or its working folder."""
        return sorted(
            str(path.relative_to(self.place / name)) for path in (self.place / name).rglob("*") if path.is_file()
        )
