"""Why a request is not answered as it wished: an HTTP status, a stable word, and what was wrong in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uadx.errors import InferenceError, InputError, UadxError, UsageError

STATUS_OF_INPUT = {
    "empty": 400,
    "unreadable": 400,
    "too_large": 413,
    "not_an_image": 415,
    "unsupported": 415,
}
"""By InputError.kind; what is an image and cannot be inspected is 422."""


class Refusal(Exception):  # noqa: N818
    """status: of HTTP. kind: a snake_case word for programs. headers: such as Retry-After."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self, path: str, request_id: str) -> dict[str, Any]:
        """The answer in the words of the API that `path` belongs to: PaddleX's, the Open Inference Protocol's, ours."""
        if path in PADDLEX_PATHS:
            return {"logId": request_id, "errorCode": self.status, "errorMsg": self.message}
        if path == "/v2" or path.startswith("/v2/"):
            return {"error": self.message}
        return {
            "error": {"type": self.kind, "message": self.message, "hint": self.hint},
            "request_id": request_id,
        }


PADDLEX_PATHS = frozenset({"/health", "/image-anomaly-detection", "/anomaly-detection"})


def busy(message: str) -> Refusal:
    """The service cannot take this now; the same request may well succeed in a second."""
    return Refusal(503, "busy", message, headers={"Retry-After": "1"})


def not_ready(why: str) -> Refusal:
    """No model can answer at the moment."""
    return Refusal(503, "not_ready", why, headers={"Retry-After": "5"})


def refusal_of(error: BaseException) -> Refusal:
    """What a client is told of an error. Anything that is not an error of uadx is named by its type alone."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InputError):
        return Refusal(STATUS_OF_INPUT.get(error.kind, 422), error.kind, error.in_one_line)
    if isinstance(error, UsageError):
        return Refusal(422, "usage", error.in_one_line, hint=error.hint)
    if isinstance(error, InferenceError):
        return Refusal(500, "inference_failed", error.in_one_line, hint=error.hint)
    if isinstance(error, UadxError):
        return Refusal(500, "failed", error.in_one_line, hint=error.hint)
    return Refusal(500, "unexpected", f"unexpected {type(error).__name__}; the server's log says more")
