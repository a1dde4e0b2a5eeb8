"""What a client may do with a connection: how many, how slowly, how oddly."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import select
import socket
import sys

import pytest
from serve.conftest import PATIENCE, lines_of, serving, until

from uadx.serve import connection, lifecycle


@contextlib.contextmanager
def wire(server, source="127.0.0.1"):
    """A bare connection to a server."""
    host, port = server.base_url.host, server.base_url.port
    with socket.create_connection((host, port), PATIENCE, (source, 0)) as opened:
        yield opened


def all_of(opened):
    """What comes until the server ends the connection; one that it breaks off has said nothing more."""
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := opened.recv(65536):
            came += piece
    return came


def up_to(opened, end):
    """What comes, up to that."""
    came = b""
    while end not in came:
        piece = opened.recv(65536)
        assert piece, came
        came += piece
    return came


def head(line, **headers):
    named = {"Host": "localhost", **headers}
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode()


@pytest.fixture
def hasty(monkeypatch):
    """A server that waits for a second."""
    monkeypatch.setattr(lifecycle, "_GRACE", 0.8)
    with serving(body_timeout=0.2) as client:
        yield client


@pytest.mark.parametrize("said", [b"", b"GET /live HTT", b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_connection_that_asks_nothing_is_ended(hasty, said):
    with wire(hasty) as opened:
        opened.sendall(said)
        assert all_of(opened) == b""
    assert hasty.get("/live").status_code == 200


def test_a_body_that_does_not_come_is_408_and_its_connection_ends(hasty):
    with wire(hasty) as opened:
        opened.sendall(head("POST /v1/inspect", **{"Content-Length": 100}) + b"only this")
        assert all_of(opened).startswith(b"HTTP/1.1 408 ")


def test_a_refused_body_that_never_ends_is_not_read_for_ever(hasty):
    with wire(hasty) as opened:
        chunked = {"Transfer-Encoding": "chunked", "Content-Type": "text/html"}
        opened.sendall(head("POST /v1/inspect", **chunked) + b"1\r\nx\r\n")
        assert all_of(opened).startswith(b"HTTP/1.1 415 ")


def test_between_requests_a_connection_may_rest_longer_than_a_request_may_take(hasty):
    with wire(hasty) as opened:
        for _ in range(2):
            opened.sendall(head("GET /live"))
            assert up_to(opened, b"}").startswith(b"HTTP/1.1 200 ")
            opened.settimeout(1.5)
            with pytest.raises(TimeoutError):
                opened.recv(1)
            opened.settimeout(PATIENCE)


def test_a_client_that_does_not_take_its_answers_is_left(monkeypatch):
    monkeypatch.setattr(connection, "TAKING", 0.3)
    with serving() as server, wire(server) as opened:
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):  # until both sides' buffers are full, and the server's time is over
                opened.sendall(head("GET /openapi.json"))
        with pytest.raises(ConnectionError):
            opened.sendall(head("GET /live") * 100_000)
        assert server.get("/live").status_code == 200


def test_a_slow_client_that_takes_its_answers_gets_them(monkeypatch):
    monkeypatch.setattr(connection, "TAKING", 1.0)
    with serving() as server, wire(server) as opened:
        opened.sendall(head("GET /openapi.json") * 400 + head("GET /live", Connection="close"))
        opened.settimeout(1)
        with contextlib.suppress(TimeoutError):
            opened.recv(1, socket.MSG_WAITALL)
        opened.settimeout(PATIENCE)
        came = all_of(opened)
        assert came.count(b"Finds defects in pictures") == 400
        assert came.endswith(b'{"status":"live"}')


def said_by(came):
    """Status, headers and JSON of a whole answer."""
    top, _, body = came.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(body)
    return status, headers, json.loads(body)


def test_one_connection_too_many_is_told_so_and_the_next_is_taken(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "uadx.serve")
    monkeypatch.setattr(lifecycle, "_MOST_CONNECTIONS", 6)
    with serving() as server:
        with contextlib.ExitStack() as opened:
            for _ in range(3):
                opened.enter_context(wire(server))
            with wire(server) as fourth:
                status, headers, answer = said_by(all_of(fourth))
            assert (status, headers["retry-after"]) == ("HTTP/1.1 503 Service Unavailable", "1")
            assert answer == {
                "error": {
                    "type": "busy", "message": "3 connections come from 127.0.0.1, and no more may", "hint": None,
                },
                "request_id": headers["x-request-id"],
            }  # fmt: skip
            (line,) = [record for record in caplog.records if record.message == "refused"]
            assert (line.request_id, line.client) == (headers["x-request-id"], "127.0.0.1")
        until(lambda: server.get("/live").status_code == 200)


@pytest.mark.skipif(sys.platform != "linux", reason="the whole of 127.0.0.0/8 is this machine on Linux only")
def test_one_address_leaves_room_for_others_until_there_is_none(monkeypatch):
    monkeypatch.setattr(lifecycle, "_MOST_CONNECTIONS", 4)
    with serving() as server, contextlib.ExitStack() as opened:
        for address in ("127.0.0.2", "127.0.0.3"):
            for _ in range(2):
                opened.enter_context(wire(server, address))
        with wire(server, "127.0.0.4") as late:
            assert said_by(all_of(late))[2]["error"]["message"] == "there are 4 connections, and no more may be"


def test_a_compressed_body_is_no_image_and_said_so(server, good_image):
    body = gzip.compress(good_image.read_bytes())
    answer = server.post("/v1/inspect", content=body, headers={"Content-Encoding": "gzip", "Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        415, "the body must come as it is, without a Content-Encoding",
    )  # fmt: skip


def test_a_length_that_is_given_twice_is_refused_and_smuggles_nothing(server):
    both = {"Content-Length": 4, "Transfer-Encoding": "chunked"}
    with wire(server) as opened:
        opened.sendall(head("POST /v1/inspect", **both) + b"0\r\n\r\n" + head("GET /live"))
        came = all_of(opened)
        assert came.startswith(b"HTTP/1.1 400 ")
        assert came.count(b"HTTP/1.1") == 1
        assert b"gives its length twice" in came


@pytest.mark.parametrize(
    "said",
    [
        b"GET /live HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"POST /v1/inspect HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /v1/inspect HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/inspect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET /" + b"x" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"\x00" * 10_000,
    ],
)
def test_what_is_no_http_is_400_or_501_and_the_end_of_its_connection(server, said):
    with wire(server) as opened:
        opened.sendall(said)
        status, headers, answer = said_by(all_of(opened))
    assert status.split()[1] in {"400", "501"}
    assert answer["request_id"] == headers["x-request-id"]
    assert server.get("/live").status_code == 200


def test_requests_in_one_piece_are_answered_in_their_order(server):
    with wire(server) as opened:
        opened.sendall(head("GET /live") + head("GET /nowhere") + head("GET /ready", Connection="close"))
        came = all_of(opened)
    assert [part[:3] for part in came.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_the_server(server, caplog):
    caplog.set_level(logging.INFO, "uadx.serve")
    with wire(server) as opened:
        opened.sendall(head("POST /v1/inspect", **{"Content-Length": 100, "X-Request-ID": "left"}) + b"half")
    assert [(record.getMessage(), record.status) for record in lines_of(caplog, "left")] == [("request", 499)]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_large_bodies_have_a_bound_together(server, good_image):
    with serving(max_body=200_000) as small, contextlib.ExitStack() as opened:
        held = [opened.enter_context(wire(small)) for _ in range(11)]
        for one in held:
            one.sendall(head("POST /v1/inspect", **{"Content-Length": 199_000}) + b"x" * 150_000)
        refused, _, _ = select.select(held, [], [], PATIENCE)  # those whose last pieces came at once, and not all
        assert 1 <= len(refused) <= 3
        for one in refused:
            answer = up_to(one, b"}")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"too large together" in answer
        for one in held:
            one.close()
        until(lambda: small.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200)


def test_a_path_of_any_length_is_a_short_line_in_the_log(server, caplog):
    caplog.set_level(logging.INFO, "uadx.serve")
    assert server.get("/" + "x" * 10_000, headers={"X-Request-ID": "long"}).status_code == 404
    (line,) = lines_of(caplog, "long")
    assert len(line.path) == 200


def test_methods_that_an_address_does_not_take_are_405_with_those_that_it_does(server):
    for method, path, takes in [
        ("OPTIONS", "/v1/inspect", {"POST"}),
        ("PUT", "/v1/model", {"GET", "HEAD", "POST"}),
        ("POST", "/ready", {"GET", "HEAD"}),
    ]:
        answer = server.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == takes
    assert server.head("/ready").status_code == 200
    assert server.head("/ready").content == b""
    assert server.get("/ready/").status_code == 404  # and no redirect to whatever name the request called it by


def test_a_host_that_is_none_is_refused_where_names_matter_and_harmless_elsewhere(server):
    for host in ("[::1", "", "a b", "user@localhost", "localhost:99999999"):
        assert server.get("/live", headers={"Host": host}).status_code in {200, 400}
    with serving(allow_hosts=("127.0.0.1",)) as named:
        for host in ("[::1", "", "user@127.0.0.1", "127.0.0.1.evil.example", "127.0.0.1/"):
            assert named.get("/v1/model", headers={"Host": host}).status_code == 400
