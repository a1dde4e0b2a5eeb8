"""A camera by its number or an RTSP address: what names one, how it is opened, and why it cannot be."""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import cv2

from uadx.errors import InputError, UsageError
from uadx.images.capture import open_capture
from uadx.images.naming import place_url, printable

TIMEOUT = 10.0
"""Seconds for a connection, and without a frame after which it counts as broken."""

_NUMBER = re.compile(r"camera:(\d+)|/dev/video(\d+)|(\d+)", re.IGNORECASE)
_SECRET = re.compile(r"((?:pass(?:word|wd)?|pwd)=)[^&?/]*", re.IGNORECASE)
_PORTS = {"rtsp": 554, "rtsps": 322}


@dataclass(frozen=True)
class Camera:
    """A live input. label: its name for people and results, without user and password; output: where its pictures go
    below the output directory; target: what OpenCV opens, which may hold a password."""

    label: str
    output: PurePosixPath
    target: int | str = field(repr=False)

    def open(self) -> cv2.VideoCapture:
        """The opened cv2.VideoCapture, set up to hold back as few frames as it can.

        Raises InputError, unreachable, with the reason.
        """
        if isinstance(self.target, int):
            capture = open_capture(self.target)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # frames; some drivers do not care
        else:
            milliseconds = int(1000 * TIMEOUT)
            settings = [
                (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds),
                (cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds),
                (cv2.CAP_PROP_N_THREADS, 1),  # each thread more of an H.264 decoder keeps one frame more to itself
            ]
            capture = open_capture(self.target, settings)
        if not capture.isOpened():
            reason = _no_camera(self.target) if isinstance(self.target, int) else _no_stream(self.target)
            raise InputError("unreachable", f"{self.label} cannot be opened", cause_text=reason)
        return capture


def find_camera(what: object) -> Camera | None:
    """The camera that an input means: a number, "0", "camera:0", "/dev/video0", or an address rtsp:// or rtsps://;
    None for any other input, and for a file that is called so. Raises UsageError for a broken address."""
    if isinstance(what, int) and not isinstance(what, bool) and what >= 0:
        return Camera(f"camera:{what}", PurePosixPath(f"camera_{what}"), int(what))
    if not isinstance(what, str):
        return None
    if re.match(r"rtsps?://", what, re.IGNORECASE):
        label = _without_secrets(what)
        try:
            address = urlsplit(label)
            host, _ = address.hostname, address.port
        except ValueError as error:
            raise UsageError(f"{label} is not an address", cause_text=str(error)) from None
        if not host:
            raise UsageError(f"{label} names no host", hint="rtsp://HOST:554/PATH, as the camera's manual says")
        return Camera(label, place_url(address), what)
    number = _NUMBER.fullmatch(what)
    if number is None or os.path.isfile(what) or os.path.isdir(what):
        return None
    return find_camera(int(next(filter(None, number.groups()))))


def _without_secrets(address: str) -> str:
    """Without user and password, also where these hold a slash, or stand in the path as some cameras want it."""
    scheme, _, rest = address.partition("://")
    shown = _SECRET.sub(r"\1***", rest.rpartition("@")[2])
    return printable(f"{scheme.lower()}://{shown}")


def _no_camera(number: int) -> str:
    ways = cv2.videoio_registry.getCameraBackends()
    tried = ", ".join(cv2.videoio_registry.getBackendName(way) for way in ways if cv2.videoio_registry.hasBackend(way))
    if not sys.platform.startswith("linux"):
        why = "there is no camera of that number, another program has it, or this one may not use it"
    elif not (device := Path(f"/dev/video{number}")).exists():
        others = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none at all"
        why = f"there is no {device}, and of cameras {others}"
    elif not os.access(device, os.R_OK | os.W_OK):
        why = f"this user may not use {device}: its group, often `video`, may"
    else:
        why = f"{device} is no camera, or another program has it"
    return f"{why} (tried with {tried})"


def _no_stream(address: str) -> str:
    """OpenCV does not say why it could not open an address, so the server is asked."""
    scheme, _, rest = address.partition("://")
    user, _, rest = rest.rpartition("@")
    url = urlsplit(f"{scheme.lower()}://{rest}")
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT) as connection:
            if url.scheme == "rtsps":
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
            ask = f"DESCRIBE {url.geturl()} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: uadx\r\nAccept: application/sdp\r\n\r\n"
            connection.sendall(ask.encode())
            answer = connection.makefile("rb").readline(200).decode("latin-1").strip()
    except socket.gaierror as error:
        return f"the name {host} is not known: {error.strerror}"
    except OSError as error:
        return f"{host} does not answer on port {port}: {error.strerror or error}"
    if re.match(r"RTSP/\S+ 401", answer):
        asked = "refuses this user and password" if user else "asks for a user and password: rtsp://USER:PASSWORD@..."
        return f"{host} {asked}"
    if re.match(r"RTSP/\S+ 200", answer):
        return f"{host} offers the stream, but sends nothing that FFmpeg can decode within {TIMEOUT:g} s"
    return (
        f"{host} answers {printable(answer)!r}"
        if answer
        else f"what listens on port {port} of {host} is no RTSP server"
    )
