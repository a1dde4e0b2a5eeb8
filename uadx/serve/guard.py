"""Who may ask: the host name that was called, the page that calls, the key; and whether there is room for a body."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from uadx.serve.answers import refused
from uadx.serve.refusals import Refusal
from uadx.serve.service import Service
from uadx.serve.settings import Settings
from uadx.serve.web import FOLDER

PROBES = frozenset({"/health", "/live", "/ready", "/v2/health/live", "/v2/health/ready"})
"""Asked by whatever name: Kubernetes calls a pod by its address, a container's health check calls 127.0.0.1."""
OPEN = PROBES | {"/", "/openapi.json"}
"""What needs no key: probes, the API's description, and the page, which asks for the key itself."""
RELOAD = ("POST", "/v1/model")
"""Let through where the server has no room for bodies: it is how an operator ends that. It asks for its own key."""


class Guard:
    """ASGI middleware. What it refuses is read to its end within the limits, so that the client reads the reason
    instead of a broken connection, and never kept."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except Refusal as refusal:
            scope["refused"] = refusal
            await _read_away(receive, self._service.settings.max_body)
            await refused(scope["path"], scope["request_id"], refusal)(scope, receive, send)
            return
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["held"] = held = self._service.room.enter()

        async def counted() -> Message:
            message = await receive()
            held.take_bytes(len(message.get("body", b"")))
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            held.leave()

    def _check(self, scope: Scope) -> None:
        settings, headers = self._service.settings, Headers(scope=scope)
        asked = method, path = scope["method"], scope["path"]
        called = headers.get("host", "").lower()
        name = _name_in(called)
        if settings.allow_hosts and name not in settings.allow_hosts and path not in PROBES:
            raise Refusal(
                400, "wrong_host", "this server is not called by that name", hint="start it with --allow-host"
            )
        origin = headers.get("origin")
        if origin not in (None, f"http://{called}", f"https://{called}"):
            raise Refusal(403, "wrong_origin", "a page of another site may not ask this server")
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may see another request in it
            raise Refusal(400, "ambiguous", "the request gives its length twice", headers={"Connection": "close"})
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "unsupported", "the body must come as it is, without a Content-Encoding")
        if path not in OPEN and not path.startswith(FOLDER):
            self._check_key(headers)
        if method == "POST" and asked != RELOAD:
            self._service.room.check()

    def _check_key(self, headers: Headers) -> None:
        settings = self._service.settings
        keys = [key for key in (settings.api_key, settings.admin_key) if key is not None]
        if settings.api_key is not None and True not in [_same(_given(headers), key) for key in keys]:
            raise _unauthorised("this needs the server's key: X-API-Key: ..., or Authorization: Bearer ...")


def check_admin(settings: Settings, headers: Headers) -> None:
    """Raise Refusal where a request does not bring the admin key. Asked by what it protects, and not by its address,
    which a router may understand otherwise than a guard."""
    if settings.admin_key is None:
        raise Refusal(403, "no_admin_key", "models are not loaded by request: the server has no --admin-key")
    if not _same(_given(headers), settings.admin_key):
        raise _unauthorised("this needs the server's admin key")


def _name_in(host: str) -> str:
    """The name without its port; "" of what is no host."""
    try:
        return urlsplit(f"//{host}").hostname or "" if not set(host) & set("/@?#\\ ") else ""
    except ValueError:  # [::1
        return ""


def _given(headers: Headers) -> str:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")


def _same(given: str, key: str) -> bool:
    """In a time that tells nothing of the key, its length neither."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, key))
    return hmac.compare_digest(*digests)


def _unauthorised(message: str) -> Refusal:
    return Refusal(401, "unauthorised", message, headers={"WWW-Authenticate": "Bearer"})


async def _read_away(receive: Receive, most: int) -> None:
    received = 0
    while received <= most:
        message: Message = await receive()
        received += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
