"""A server's life: its port, its signals, and its end, at which everything that was accepted has an answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn

from uadx.errors import UadxError, UsageError
from uadx.serve.app import build_app
from uadx.serve.connection import bounded
from uadx.serve.engine import Engine
from uadx.serve.service import Service

_log = logging.getLogger("uadx.serve")
_BACKLOG = 2048
_KEEP_ALIVE = 65  # seconds; longer than the minute that load balancers keep theirs
_GRACE = 5.0  # seconds after the body's time is over, in which a client reads so
_MOST_CONNECTIONS = 1000
_OTHER_FILES = 100  # that a process has open beside its connections: models, libraries, pipes
HUNG = 7
"""The exit code where the device does not come back from what it does: that of a failed inference."""


def bound(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0 is any that is free. Raises UsageError where it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}, port {port}",
            cause_text=error.strerror or str(error),
            hint="another server may be running there: choose another --port, or 0 for any that is free",
        ) from None
    return opened


def address_of(opened: socket.socket) -> str:
    """What to type into a browser."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # uvicorn's own would end the process by the signal, and not with 0


def config_of(service: Service) -> uvicorn.Config:
    """How uvicorn is to serve a service."""
    settings = service.settings
    return uvicorn.Config(
        build_app(service), http=bounded(settings.body_timeout + _GRACE, most_connections()), log_config=None,
        access_log=False, lifespan="off", server_header=False, proxy_headers=False, ws="none", backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=max(1, round(settings.drain)),
    )  # fmt: skip


def most_connections() -> int:
    """Connections at a time, each of which is an open file, of which a process may have so many."""
    try:
        import resource
    except ImportError:  # Windows
        return _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(_MOST_CONNECTIONS, soft - _OTHER_FILES))


def serve(service: Service, opened: socket.socket, listening: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one breaks off. SIGHUP reads the model again. listening: is called once
    connections are taken."""
    server = _Server(config_of(service))

    def stop(number: int, frame: FrameType | None) -> None:
        server.force_exit = service.draining
        server.should_exit = service.draining = True

    def reload(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=_reload, args=[service.engine], name="uadx-serve-reload", daemon=True).start()

    handlers = {"SIGINT": stop, "SIGTERM": stop, "SIGHUP": reload}  # Windows has no SIGHUP
    before = {
        number: signal.signal(number, handlers[number.name]) for number in signal.Signals if number.name in handlers
    }
    try:
        asyncio.run(_serve(server, opened, listening))
        if not service.engine.close():
            _log.error("ended beside a device that hangs")
            logging.shutdown()
            os._exit(HUNG)  # its threads would be waited for
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(server: uvicorn.Server, opened: socket.socket, listening: Callable[[], None]) -> None:
    serving = asyncio.create_task(server.serve(sockets=[opened]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        listening()
    await serving


def _reload(engine: Engine) -> None:
    try:
        engine.reload()
    except UadxError as error:
        _log.error("the model is refused, and the one that is there serves on", extra={"reason": error.in_one_line})
