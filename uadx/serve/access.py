"""Every request has an id, a line in the log and its place in the metrics."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from uadx.serve.answers import refused
from uadx.serve.refusals import Refusal, refusal_of
from uadx.serve.service import Service

_log = logging.getLogger("uadx.serve")
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LONGEST_PATH = 200  # in the log; a request's may have 64 kB


class Access:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._metrics = app, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        wished = Headers(scope=scope).get("x-request-id", "")
        scope["request_id"] = name = wished if _SANE.fullmatch(wished) else str(uuid.uuid4())
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"], (b"x-request-id", name.encode()), (b"x-content-type-options", b"nosniff"),
                ]  # fmt: skip
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception as error:
            if "refused" not in scope:  # else answer_error has logged it; Starlette raises it all the same
                _log.exception("unexpected", extra={"request_id": name})
                scope["refused"] = refusal_of(error)
            if not status:
                await refused(scope["path"], name, scope["refused"])(scope, receive, named)
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        endpoint = getattr(route, "path", "other")
        self._metrics.requests.labels(endpoint, str(status)).inc()
        self._metrics.request_seconds.labels(endpoint).observe(seconds)
        refusal: Refusal | None = scope.get("refused")
        extra = {
            "request_id": scope["request_id"],
            "client": scope["client"][0] if scope.get("client") else None,
            "method": scope["method"],
            "path": scope["path"][:_LONGEST_PATH],
            "status": status,
            "ms": round(seconds * 1e3, 1),
        }
        if refusal is not None:
            self._metrics.errors.labels(refusal.kind).inc()
            extra |= {"error": refusal.kind, "reason": refusal.message}
        _log.info("request", extra=extra)
