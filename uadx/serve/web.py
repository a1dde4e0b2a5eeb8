"""The page at `/`: its files, and the policy that a browser is to run them by. It asks /v1 like any other client."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from uadx.serve.refusals import Refusal

FOLDER = "/page/"
"""Where the page's own files are; they need no key, since the page asks for it."""
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304: a new version is seen at once
}


class Page:
    """The routes of the page's files, which are read once."""

    def __init__(self) -> None:
        folder = files("uadx.serve").joinpath("page")
        self._files = {
            file.name: (file.read_bytes(), _TYPES[suffix])
            for file in folder.iterdir()
            if (suffix := file.name.rpartition(".")[2]) in _TYPES
        }
        self.routes = [
            Route("/", self.index, methods=["GET"]),
            Route(FOLDER + "{name}", self.file, methods=["GET"]),
        ]

    async def index(self, request: Request) -> Response:
        """The page."""
        return self._answer(request, "index.html")

    async def file(self, request: Request) -> Response:
        """A file that the page names."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        if name not in self._files:
            raise Refusal(404, "not_found", "there is nothing at this address")
        content, kind = self._files[name]
        headers = _HEADERS | {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers | {"Content-Type": kind})
