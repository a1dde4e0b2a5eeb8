"""The images of a multipart form."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from uadx.images.naming import printable
from uadx.images.source import Source
from uadx.serve.body import pieces, source
from uadx.serve.refusals import Refusal
from uadx.serve.settings import Settings

_MAX_FILES = 1000


async def read_files(request: Request, settings: Settings) -> list[Source]:
    """The files of a multipart form, kept in memory: a request writes no file."""
    end = _End(request.headers.get("content-type", ""))
    parser = MultiPartParser(
        request.headers, end.watched(pieces(request, settings)), max_files=_MAX_FILES, max_fields=100
    )
    parser.spool_max_size = settings.max_body
    try:
        form = await parser.parse()
    except (MultiPartException, HTTPException, KeyError, ValueError, AssertionError) as error:
        text = getattr(error, "message", None) or "broken"
        raise Refusal(400, "not_multipart", f"the body is no multipart form: {printable(text)}") from None
    try:
        if not end.came:
            raise Refusal(400, "not_multipart", "the form ends before its last boundary: the body was cut")
        files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
        others = [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]
        if others:
            raise Refusal(
                422,
                "usage",
                f"the form's field `{printable(others[0])[:50]}` is no file",
                hint="a threshold is part of the address: /v1/inspect?threshold=2"
                if others[0] in {"threshold", "fpr"}
                else "a file has an @ before its name: curl -F image=@part.png",
            )
        if not files:
            raise Refusal(422, "invalid", "the form has no file: curl -F image=@part.png")
        return [source(file.filename or f"image[{at}]", await file.read()) for at, file in enumerate(files)]
    finally:
        await form.close()


class _End:
    """Whether a form's last boundary came: without it the parser takes the files that were whole for all of them.

    Source: RFC 2046, 5.1.1.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._last = b"--" + boundary + b"--"
        self._tail = b""

    async def watched(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for piece in body:
            self._tail = (self._tail + piece)[-len(self._last) - 64 :]
            yield piece

    @property
    def came(self) -> bool:
        """64 bytes of line breaks or of something else may follow it."""
        return self._last in self._tail
