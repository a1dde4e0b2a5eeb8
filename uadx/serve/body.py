"""What comes in: a request's body, read within its limits, and the images in it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from uadx.errors import InputError
from uadx.images.naming import printable
from uadx.images.source import Source
from uadx.pipeline.config import LARGEST_THRESHOLD
from uadx.serve.refusals import Refusal
from uadx.serve.settings import Settings

T = TypeVar("T")
_SPACE = re.compile(r"\s+")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Wanted:
    """By which threshold a request wants its images judged; neither: by the server's."""

    threshold: float | None = None
    fpr: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and self.fpr is not None:
            raise Refusal(422, "usage", "give `threshold` or `fpr`, not both")
        if self.threshold is not None and not abs(self.threshold) <= LARGEST_THRESHOLD:
            raise Refusal(422, "usage", "`threshold` must be a number from -1e30 to 1e30")
        if self.fpr is not None and not 0 < self.fpr < 1:
            raise Refusal(422, "usage", "`fpr` must be between 0 and 1")

    @classmethod
    def of_query(cls, request: Request) -> Wanted:
        """From ?threshold= or ?fpr=."""
        return cls(_number(request, "threshold"), _number(request, "fpr"))


def check_query(request: Request, known: Collection[str]) -> None:
    """What is misspelt or said twice would be a verdict by another threshold than was meant."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            raise Refusal(
                422, "usage", f"there is no parameter `{printable(name)[:50]}`", hint=f"there are {', '.join(known)}"
            )
        if names.count(name) > 1:
            raise Refusal(422, "usage", f"`{name}` is given {names.count(name)} times")


def check_spelling(given: Iterable[str], own: Collection[str]) -> None:
    """Where an API lets a request say what the server does not know, one letter off must not be a verdict by another
    threshold than was meant."""
    for name in given:
        if name not in own and (near := get_close_matches(name, own, 1, 0.8)):
            raise Refusal(422, "usage", f"there is no `{printable(name)[:50]}`", hint=f"did you mean `{near[0]}`?")


def _number(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise Refusal(422, "usage", f"`{name}` must be a number, not {text[:50]!r}") from None


def flag(request: Request, name: str) -> bool | None:
    """?name=true or false; None where it is not there."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if text.lower() not in {"true", "1", "false", "0"}:
        raise Refusal(422, "usage", f"`{name}` must be true or false, not {text[:50]!r}")
    return text.lower() in {"true", "1"}


async def pieces(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises Refusal as soon as it is too large or takes too long."""
    received, limit = 0, settings.max_body
    too_large = Refusal(413, "too_large", f"the body is larger than the limit of {limit:,} bytes")
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > limit:
        raise too_large
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.body_timeout
    stream = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), max(0.0, deadline - loop.time()))
        except StopAsyncIteration:
            return
        except (TimeoutError, asyncio.TimeoutError):
            raise Refusal(408, "timeout", f"the body did not come within {settings.body_timeout:g} s") from None
        received += len(piece)
        if received > limit:
            raise too_large
        yield piece


async def read(request: Request, settings: Settings) -> bytes:
    """The whole body."""
    body = bytearray()
    async for piece in pieces(request, settings):
        body += piece
    if not body:
        raise Refusal(400, "empty", "the body is empty")
    return bytes(body)


async def read_json(request: Request, settings: Settings, kind: type[T]) -> T:
    """The body as JSON of a type. Raises Refusal: 415 for another content type, 400 for no JSON, 422 for other JSON."""
    stated = media_type(request)
    if stated not in {"application/json", ""}:
        raise Refusal(415, "unsupported", f"the body must be application/json, not {printable(stated)[:100]}")
    return decoded(await read(request, settings), kind)


def decoded(body: bytes, kind: type[T]) -> T:
    """JSON of a type."""
    with _words_of_json():
        return msgspec.json.decode(body, type=kind)


def converted(fields: dict[str, Any], kind: type[T]) -> T:
    """What JSON held, as a type."""
    with _words_of_json():
        return msgspec.convert(fields, kind)


@contextmanager
def _words_of_json() -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        raise Refusal(422, "invalid", printable(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "not_json", f"the body is not JSON: {printable(str(error))}") from None


def media_type(request: Request) -> str:
    """The content type without its parameters, lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def source(name: str, data: bytes | InputError) -> Source:
    """An image of a request. Its name is for the answer alone: nothing is read or written by it."""
    return Source(printable(name)[:_LONGEST_NAME], PurePosixPath("image"), data)


def is_url(text: str) -> bool:
    """Whether an image is given by its address. Anything else is base64, and never a path."""
    return text[:8].lower().startswith(("http://", "https://"))


def from_base64(text: str) -> bytes | InputError:
    """The bytes of an image, with or without a "data:image/png;base64," before and line breaks within."""
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    try:
        return base64.b64decode(_SPACE.sub("", text), validate=True)
    except (binascii.Error, ValueError) as error:
        return InputError("unreadable", "not base64", cause_text=str(error))
