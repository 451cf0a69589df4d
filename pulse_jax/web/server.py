"""The web server: the page, the pages of runs beside it, and what it refuses."""

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import reason_of
from pulse_jax.web.actions import Actions

__all__ = ["MAX_UPLOAD", "bound", "serve"]

MAX_UPLOAD = 64 * 2**20
"""Bytes that an upload may have."""
# Scripts and styles of the page's own, and nothing from elsewhere.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; connect-src 'self'; frame-ancestors 'self'; base-uri 'self'"
)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Address to listen at.
        port: Port; 0 for any that is free.

    Raises:
        UsageError: It cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        return listening
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {port}: {host} cannot be listened at ({reason_of(error)}); choose another") from None


def settle(uploads: Path) -> None:
    """Say, before Gradio is first imported, where it may write and that it asks nobody anything."""
    os.environ |= {
        "GRADIO_TEMP_DIR": str(uploads),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def serve(actions: Actions, examples: Sequence[Path], listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the process is interrupted.

    Args:
        actions: What visitors can do.
        examples: Pictures that they can choose from.
        listening: Socket to listen at, of `bound`.
        ready: Called once the page can be had.
    """
    settle(actions.jobs.uploads)
    import uvicorn  # pyright: ignore[reportMissingImports]

    app = _app(actions, examples, listening.getsockname()[0])
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False)
    server = uvicorn.Server(config)
    ready()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _app(actions: Actions, examples: Sequence[Path], address: str) -> Any:
    import gradio as gr  # pyright: ignore[reportMissingImports]
    from fastapi import FastAPI, Request  # pyright: ignore[reportMissingImports]
    from fastapi.responses import FileResponse, PlainTextResponse, Response  # pyright: ignore[reportMissingImports]
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # pyright: ignore[reportMissingImports]

    from pulse_jax.reports.templates import asset
    from pulse_jax.web.page import build_page

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if address in ("127.0.0.1", "::1"):
        # A page from elsewhere whose name leads here would else be taken for this server's own.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])

    @app.middleware("http")
    async def guarded(request: Request, follow) -> Response:
        response = await follow(request)
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/runs/{run}/{root}/{name:path}")
    def of_run(run: str, root: str, name: str) -> Response:
        path = None
        with contextlib.suppress(UsageError):
            path = actions.file(run, root, name)
        return PlainTextResponse("there is no such file", 404) if path is None else FileResponse(path)

    home = actions.jobs.home
    return gr.mount_gradio_app(
        app,
        build_page(actions, examples).queue(default_concurrency_limit=4, max_size=None),
        path="/",
        server_name=address,
        allowed_paths=[str(home), *{str(path.parent) for path in examples}],
        max_file_size=MAX_UPLOAD,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        # Fonts that the visitor has: those of its own Gradio takes from elsewhere.
        theme=gr.themes.Default(  # pyright: ignore[reportPrivateImportUsage]
            primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=asset("page/serve.css"),
        show_error=True,
    )
