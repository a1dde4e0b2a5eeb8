"""A server of one RTSP stream, for tests: JPEG pictures by RTP over RTSP's own TCP connection (RFC 2326, RFC 2435)."""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track\r\n"
_PIECE = 1200


class RtspServer:
    """Sends picture(n) for n = 0, 1, 2, ... `fps` times a second to whoever plays it, from 0 on for each.

    user_password: "user:password" that is asked for. sent: how many pictures went out. A context manager; stop() breaks
    off all connections, start() listens again on the same port.
    """

    def __init__(
        self, picture: Callable[[int], NDArray[np.uint8]], *, fps: float = 25, user_password: str | None = None
    ) -> None:
        self.picture, self.fps, self.user_password = picture, fps, user_password
        self.sent = 0
        self.port = 0
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/line1"

    def start(self) -> None:
        stream = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                stream._connections.append(self.request)
                with contextlib.suppress(OSError):  # the client, or stop(), has gone
                    stream._talk(self.request)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Does nothing where it was stopped before."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _talk(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        while request := lines.readline().decode():
            method = request.split()[0]
            headers = {}
            while line := lines.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            status, extra, body = "200 OK", "", ""
            if self._refuses(headers.get("authorization")):
                status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="test"\r\n'
            elif method == "OPTIONS":
                extra = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                extra, body = f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n", _SDP
            elif method == "SETUP" and "TCP" not in headers["transport"]:
                status = "461 Unsupported Transport"
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            answer = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n{extra}\r\n{body}"
            connection.sendall(answer.encode())
            if method == "PLAY" and status == "200 OK":
                self._play(connection)
            if method == "TEARDOWN":
                return

    def _refuses(self, authorization: str | None) -> bool:
        if self.user_password is None:
            return False
        return authorization != f"Basic {base64.b64encode(self.user_password.encode()).decode()}"

    def _play(self, connection: socket.socket) -> None:
        number, began = 0, time.monotonic()
        for n in itertools.count():
            head, scan = _rtp_jpeg(self.picture(n))
            for at in range(0, len(scan), _PIECE):
                piece = scan[at : at + _PIECE]
                last = at + _PIECE >= len(scan)
                clock = int(n * 90_000 / self.fps)
                rtp = struct.pack(">BBHII", 0x80, 0x9A if last else 26, number & 0xFFFF, clock, 1)
                body = rtp + b"\0" + at.to_bytes(3, "big") + head[4:8] + (head[8:] if at == 0 else b"") + piece
                connection.sendall(b"$\0" + struct.pack(">H", len(body)) + body)
                number += 1
            self.sent += 1
            time.sleep(max(0.0, began + (n + 1) / self.fps - time.monotonic()))


def _rtp_jpeg(picture: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """The JPEG header of RFC 2435 with the quantisation tables behind it, and the scan. Sides are multiples of 16."""
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    tables, at = b"", 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDB:
            segment = data[at + 4 : at + 2 + length]
            tables += b"".join(segment[k + 1 : k + 65] for k in range(0, len(segment), 65))
        at += 2 + length
    scan = data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") : -2]
    height, width = picture.shape[:2]
    head = b"\0\0\0\0" + bytes([1, 255, width // 8, height // 8]) + struct.pack(">BBH", 0, 0, len(tables)) + tables
    return head, scan
