"""Fetching images from a real server on this machine."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import PurePosixPath

import cv2
import numpy as np
import pytest

from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.fetch import fetch
from uadx.images.source import Source, Url
from uadx.images.sources import expand

PNG = cv2.imencode(".png", np.full((8, 9, 3), 77, np.uint8))[1].tobytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path; a server that is closing lets its stalled answers go."""

    closing = threading.Event()

    def do_GET(self) -> None:
        name = self.path.split("?")[0].strip("/")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"answer_{name.split('.')[0].split('/')[0]}", self.answer_missing)()

    def answer_missing(self) -> None:
        self.send_error(404, "Not Found")

    def answer_broken(self) -> None:
        self.send_error(503, "Line is down")

    def answer_image(self, body: bytes = PNG, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def answer_agent(self) -> None:
        self.answer_image(self.headers["User-Agent"].encode())

    def answer_short(self) -> None:
        self.answer_image(length=len(PNG) + 100)

    def answer_nolength(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(3000))

    def answer_page(self) -> None:
        self.answer_image(b"<html>Please log in</html>")

    def answer_promise(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000000")
        self.end_headers()
        self.closing.wait(20)

    def answer_stall(self) -> None:
        self.closing.wait(20)

    def answer_slowhead(self) -> None:
        for byte in b"HTTP/1.0 200 OK\r\nServer: " + b"x" * 2000:
            self.wfile.write(bytes([byte]))
            if self.closing.wait(0.05):
                return

    def answer_trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.closing.wait(0.05):
            self.wfile.write(b"x")

    def redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def answer_moved(self) -> None:
        self.redirect("/image.png")

    def answer_tofile(self) -> None:
        self.redirect("file:///etc/hostname")

    def answer_toftp(self) -> None:
        self.redirect("ftp://127.0.0.1/x.png")

    def answer_todata(self) -> None:
        self.redirect("data:image/png;base64,AAAA")

    def answer_circle(self) -> None:
        self.redirect("/circle")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        Handler.closing.set()
        running.shutdown()
        thread.join()


def get(address: str, timeout: float = 15, max_bytes: int = 1 << 20) -> bytes:
    return fetch(address, timeout=timeout, max_bytes=max_bytes)


def refusal(address: str, timeout: float = 15, max_bytes: int = 1 << 20) -> InputError:
    with pytest.raises(InputError) as caught:
        get(address, timeout, max_bytes)
    return caught.value


def test_the_body_is_fetched(server: str):
    assert get(f"{server}/image.png") == PNG


def test_a_url_becomes_an_image(server: str):
    (source,) = expand(f"{server}/image.png")
    assert load(source, Limits()).shape == (8, 9, 3)


def test_a_scheme_in_capitals_is_a_url_too(server: str):
    (source,) = expand(f"{server}/image.png".replace("http", "HTTP"))
    assert load(source, Limits()).shape == (8, 9, 3)


def test_a_query_spaces_and_other_alphabets_reach_the_server(server: str):
    assert get(f"{server}/image.png?name=часть 1&x=%41") == PNG


def test_the_server_learns_who_asks(server: str):
    assert get(f"{server}/agent") == b"uadx"


def test_a_redirect_is_followed(server: str):
    assert get(f"{server}/moved") == PNG


@pytest.mark.parametrize(
    ("path", "reason"),
    [("tofile", "not allowed"), ("todata", "not allowed"), ("toftp", "unknown url type: ftp")],
)
def test_a_redirect_away_from_http_is_refused(server: str, path: str, reason: str):
    error = refusal(f"{server}/{path}")
    assert error.kind == "fetch_failed"
    assert reason in str(error)


def test_redirects_in_a_circle_end(server: str):
    error = refusal(f"{server}/circle")
    assert error.kind == "fetch_failed"
    assert "infinite loop" in error.message
    assert "\n" not in error.message


def test_404_is_an_error_that_names_the_status(server: str):
    error = refusal(f"{server}/missing.png")
    assert (error.kind, error.message) == ("fetch_failed", "the server answered 404 Not Found")


def test_the_server_s_own_words_are_kept(server: str):
    assert "503 Line is down" in refusal(f"{server}/broken").message


def test_a_result_names_the_address(server: str):
    source = Source("http://x/a.png", PurePosixPath("x/a.png"), Url(f"{server}/missing.png"))
    with pytest.raises(InputError, match=r"^http://x/a.png: the server answered 404"):
        load(source, Limits())


@pytest.mark.parametrize("path", ["stall", "slowhead", "trickle"])
def test_a_server_that_stalls_or_trickles_is_left_at_the_deadline(server: str, path: str):
    start = time.monotonic()
    assert refusal(f"{server}/{path}", timeout=0.4).kind == "timeout"
    assert time.monotonic() - start < 10


def test_a_server_that_accepts_and_says_nothing_is_left_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.4).kind == "timeout"
        assert time.monotonic() - start < 10


def test_https_on_a_plain_server_fails_in_the_system_s_words(server: str):
    error = refusal(server.replace("http:", "https:"))
    assert error.kind == "fetch_failed"
    assert "SSL" in (error.cause_text or "")


def test_a_refused_connection_fails_in_the_system_s_words():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}/a.png")
    assert error.kind == "fetch_failed"
    assert "refused" in (error.cause_text or "")


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:port/a.png", "http://[::1/a.png"])
def test_an_address_that_means_nothing_fails(address: str):
    assert refusal(address).kind == "fetch_failed"


def test_a_promised_body_above_the_limit_is_refused(server: str):
    assert get(f"{server}/image.png", max_bytes=len(PNG)) == PNG
    assert refusal(f"{server}/image.png", max_bytes=len(PNG) - 1).kind == "too_large"


def test_a_promise_above_the_limit_is_not_waited_for(server: str):
    assert refusal(f"{server}/promise").kind == "too_large"


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: str):
    assert len(get(f"{server}/nolength", max_bytes=3000)) == 3000
    assert refusal(f"{server}/nolength", max_bytes=2999).kind == "too_large"


def test_a_connection_that_ends_early_is_an_error(server: str):
    error = refusal(f"{server}/short")
    assert error.kind == "fetch_failed"
    assert f"{len(PNG)} of {len(PNG) + 100} bytes" in (error.cause_text or "")


def test_a_web_page_is_not_an_image(server: str):
    with pytest.raises(InputError) as caught:
        load(Source("page", PurePosixPath("page"), Url(f"{server}/page")), Limits())
    assert caught.value.kind == "not_an_image"


def test_the_limits_of_decoding_hold_for_addresses(server: str):
    source = Source("a", PurePosixPath("a"), Url(f"{server}/stall"))
    with pytest.raises(InputError) as caught:
        load(source, Limits(url_timeout=0.3))
    assert caught.value.kind == "timeout"
    source = Source("a", PurePosixPath("a"), Url(f"{server}/image.png"))
    with pytest.raises(InputError) as caught:
        load(source, Limits(max_url_bytes=10))
    assert caught.value.kind == "too_large"
