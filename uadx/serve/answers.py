"""How answers are written: JSON by msgspec, the request's id, and errors in the words of the API that was asked."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from uadx.serve.refusals import Refusal, refusal_of

GONE = 499
"""The status by which nginx and others log a client that left; nobody receives it."""
_log = logging.getLogger("uadx.serve")
_ADVICE = {404: "there is nothing at this address", 405: "this address does not take this method"}


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def request_id(request: Request) -> str:
    """What this request is called in the log and in its answer."""
    name: str = request.scope["request_id"]
    return name


async def answer_error(request: Request, error: Exception) -> Response:
    """For Starlette: what an exception becomes. What nobody foresaw is in the log with its traceback."""
    if isinstance(error, HTTPException):
        text = _ADVICE.get(error.status_code, error.detail)
        kind = "not_found" if error.status_code == 404 else "refused"
        error = Refusal(error.status_code, kind, text, headers=error.headers)
    refusal = refusal_of(error)
    if refusal.kind == "unexpected":
        _log.error("unexpected", exc_info=error, extra={"request_id": request_id(request)})
    request.scope["refused"] = refusal
    return refused(request.scope["path"], request_id(request), refusal)


async def answer_nobody(request: Request, error: Exception) -> Response:
    """For Starlette, where the client has left: before its answer, or in the middle of its own body."""
    return Response(status_code=GONE)


def refused(path: str, name: str, refusal: Refusal) -> Response:
    """The answer to a request that is refused."""
    return json_answer(refusal.body(path, name), refusal.status, refusal.headers)
