"""torchvision's teacher, from a server on this machine: fetched once, checked, and an error that helps offline."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator

import pytest

from uadx.errors import UnavailableError
from uadx.train import download
from uadx.train.download import torchvision_resnet18

BODY = bytes(range(256)) * 4_000
NAME = "resnet18-f37072fd.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404, "Not Found")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000] if self.path == "/short" else BODY)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[str]:
    """A server that has the file; caches in tmp_path."""
    monkeypatch.setattr(download, "SHA256", hashlib.sha256(BODY).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    Handler.requests.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_it_is_fetched_once_and_progress_is_told(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UADX_TEACHER_URL", f"{server}/file")
    told: list[tuple[int, int]] = []
    path = torchvision_resnet18(lambda done, total: told.append((done, total)))
    assert path == tmp_path / "cache" / "uadx" / "teachers" / NAME
    assert path.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert len(told) > 1
    assert torchvision_resnet18(lambda done, total: None) == path
    assert Handler.requests == ["/file"]


def test_a_copy_that_torch_fetched_is_used(server, tmp_path):
    copy = tmp_path / "torch" / "hub" / "checkpoints" / NAME
    copy.parent.mkdir(parents=True)
    copy.write_bytes(BODY)
    assert torchvision_resnet18(lambda done, total: None) == copy
    assert Handler.requests == []


def test_a_damaged_copy_in_the_cache_is_fetched_anew(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UADX_TEACHER_URL", f"{server}/file")
    cached = tmp_path / "cache" / "uadx" / "teachers" / NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(BODY[:-1])
    assert torchvision_resnet18(lambda done, total: None).read_bytes() == BODY


def test_a_wrong_file_at_the_right_place_is_named_where_nothing_can_be_fetched(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UADX_TEACHER_URL", "http://127.0.0.1:9/file")
    cached = tmp_path / "cache" / "uadx" / "teachers" / NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a file")
    with pytest.raises(UnavailableError) as caught:
        torchvision_resnet18(lambda done, total: None)
    found, wanted = hashlib.sha256(b"half a file").hexdigest(), hashlib.sha256(BODY).hexdigest()
    assert str(caught.value.hint).startswith(
        f"the file at {cached} is another: its sha256 is {found}, not {wanted}; without a network: fetch "
    )


def test_another_file_is_refused_and_not_kept(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UADX_TEACHER_URL", f"{server}/file")
    monkeypatch.setattr(download, "SHA256", "0" * 64)
    with pytest.raises(UnavailableError) as caught:
        torchvision_resnet18(lambda done, total: None)
    assert caught.value.render().splitlines() == [
        f"error: what {server}/file sent is not torchvision's ResNet-18",
        f"    its sha256 is {hashlib.sha256(BODY).hexdigest()}",
        f"    and should be {'0' * 64}",
        f"  fix: without a network: fetch {download.URL} elsewhere and put it at "
        f"{tmp_path / 'cache' / 'uadx' / 'teachers' / NAME}; or --teacher default, which is at hand",
    ]
    assert not list((tmp_path / "cache").rglob("*.*"))


@pytest.mark.parametrize(
    ("path", "words"),
    [("missing", "Not Found"), ("short", r"\b1000\b"), (None, "refused")],
    ids=["404", "cut", "offline"],
)
def test_what_went_wrong_is_said_and_what_to_do_offline(server, monkeypatch, tmp_path, path, words):
    monkeypatch.setenv("UADX_TEACHER_URL", f"{server}/{path}" if path else "http://127.0.0.1:9/file")
    with pytest.raises(UnavailableError, match=words) as caught:
        torchvision_resnet18(lambda done, total: None)
    assert caught.value.message.startswith("the teacher cannot be fetched from http://127.0.0.1:")
    assert str(tmp_path / "cache" / "uadx" / "teachers" / NAME) in str(caught.value.hint)
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_the_default_address_and_digest_belong_together():
    assert download.URL.endswith(f"-{download.SHA256[:8]}.pth")
