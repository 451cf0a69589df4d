"""What the web server answers, and what it does not."""

import socket

import pytest

from pulse_jax.system.errors import UsageError
from pulse_jax.web.server import bound, is_served


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", True),
        ("/config", True),
        ("/theme.css", True),
        ("/assets/index.js", True),
        ("/runs/0/run/index.html", True),
        ("/gradio_api/queue/join", True),
        ("/gradio_api/call/submit/1", True),
        ("/gradio_api/upload", True),
        ("/gradio_api/file=ROOT/a.png", True),
        ("/gradio_api/file=ROOT/../b.png", False),
        ("/gradio_api/file=ROOT/link.png", False),
        ("/gradio_api/file=/etc/passwd", False),
        ("/gradio_api/file=etc/passwd", False),
        ("/gradio_api/file=http://127.0.0.1/a.png", False),
        ("/gradio_api/file=/a\0b", False),
        ("/gradio_api/proxy=http://127.0.0.1/a.png", False),
        ("/gradio_api/run/submit", False),
        ("/gradio_api/uploads", False),
        ("/gradio_api/vibe-code", False),
        ("/monitoring", False),
        ("/login", False),
    ],
)
def test_only_what_the_page_asks_for_is_answered(path, expected, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to("/etc/passwd")
    assert is_served(path.replace("ROOT", str(root)), [root]) == expected


def test_a_port_is_had_once():
    with bound("127.0.0.1", 0) as listening:
        listening.listen()
        with pytest.raises(UsageError, match=r"127\.0\.0\.1 cannot be listened at"):
            bound("127.0.0.1", listening.getsockname()[1])
    with pytest.raises(UsageError, match="cannot be listened at"):
        bound("no such host", 0)
    assert listening.family == socket.AF_INET
