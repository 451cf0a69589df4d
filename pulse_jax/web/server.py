"""The web server: the page, the pages of runs beside it, and what it refuses."""

import contextlib
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable, reason_of
from pulse_jax.web.actions import Actions

__all__ = ["MAX_UPLOAD", "bound", "is_served", "serve"]

MAX_UPLOAD = 64 * 2**20
"""Bytes that an upload may have."""
# Scripts and styles of the page's own, and nothing from elsewhere.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; connect-src 'self'; frame-ancestors 'self'; base-uri 'self'"
)
# What the page and its programs ask for. Gradio has more, which fetches from elsewhere for whoever asks.
_GRADIO = "queue|call|upload|upload_progress|heartbeat|info|startup-events|reset|cancel"
_ROUTES = re.compile(
    rf"/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|(assets|static|svelte|runs)/.*"
    rf"|gradio_api/({_GRADIO})(/.*)?)?"
)
_FILE = "/gradio_api/file="


def is_served(path: str, roots: Sequence[Path]) -> bool:
    """Return whether a path of the server's is answered at all.

    Args:
        path: Path of an address, decoded.
        roots: Folders of which Gradio may hand out files whose names visitors know.
    """
    if path.startswith(_FILE):
        name = path.removeprefix(_FILE)
        return name.startswith("/") and "\0" not in name and lies_in(Path(name), roots)
    return _ROUTES.fullmatch(path) is not None


def lies_in(path: Path, roots: Sequence[Path]) -> bool:
    """Return whether a file lies in one of some folders, whatever links lead there."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(root.resolve()) for root in roots)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Address to listen at.
        port: Port; 0 for any that is free.

    Raises:
        UsageError: It cannot be had.
    """
    listening = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        return listening
    except (OSError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        name = printable(host, 60)
        raise UsageError(f"--port {port}: {name} cannot be listened at ({reason_of(error)}); choose another") from None


def _settle(uploads: Path) -> None:
    """Say, before Gradio is first imported, where it may write and that it asks nobody anything."""
    os.environ |= {
        "GRADIO_TEMP_DIR": str(uploads),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        # Gradio asks it for nothing here, but imports it where it is installed.
        "MPLCONFIGDIR": str(uploads),
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
    _settle(actions.jobs.uploads)
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

    home = actions.jobs.home
    roots = [home, *{path.parent for path in examples}]

    @app.middleware("http")
    async def guarded(request: Request, follow: Any) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return PlainTextResponse("pages from elsewhere ask for nothing here", 403)
        is_known = is_served(request.url.path, roots)
        response = await follow(request) if is_known else PlainTextResponse("there is no such page", 404)
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

    page = build_page(actions, examples)
    _keep_to(page, roots)
    return gr.mount_gradio_app(
        app,
        page.queue(default_concurrency_limit=4, max_size=None),
        path="/",
        server_name=address,
        allowed_paths=[*map(str, roots)],
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


def _keep_to(page: Any, roots: Sequence[Path]) -> None:
    """Sees that no part of the page takes a file from elsewhere, whatever a visitor names in place of an upload."""
    import gradio as gr  # pyright: ignore[reportMissingImports]

    # Gradio itself looks where a visitor's files lie only once a page was launched, which a mounted one never is.
    page.has_launched = True

    def keeping(keep: Any) -> Any:
        async def kept(path: Any) -> str | None:
            # None of a fetched address either.
            if path is not None and not ("://" not in str(path) and lies_in(Path(path), roots)):
                told = "a picture is uploaded, and neither named by an address nor by a path"
                raise gr.Error(told, print_exception=False)
            return await keep(path)

        return kept

    for block in page.blocks.values():
        block.async_move_resource_to_block_cache = keeping(block.async_move_resource_to_block_cache)
