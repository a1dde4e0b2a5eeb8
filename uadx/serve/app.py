"""The application: all routes, the page's too, and around them who may ask and what is noted."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from uadx.errors import UadxError
from uadx.serve.access import Access
from uadx.serve.answers import answer_error, answer_nobody
from uadx.serve.guard import Guard
from uadx.serve.inference_protocol import InferenceProtocol
from uadx.serve.inspection import Inspection
from uadx.serve.operations import Operations
from uadx.serve.paddlex import PaddleX
from uadx.serve.refusals import Refusal
from uadx.serve.service import ClientGone, Service
from uadx.serve.web import Page


def build_app(service: Service) -> ASGIApp:
    """The ASGI application of a service."""
    routes: list[BaseRoute] = [
        *PaddleX(service).routes,
        *Inspection(service).routes,
        *InferenceProtocol(service).routes,
        *Operations(service).routes,
        *Page().routes,
    ]
    handlers: dict[Any, Any] = {
        **dict.fromkeys((Refusal, UadxError, HTTPException, Exception), answer_error),
        **dict.fromkeys((ClientGone, ClientDisconnect), answer_nobody),
    }
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False  # it would send a client to whatever name the request called the server by
    return Access(Guard(inner, service), service)
