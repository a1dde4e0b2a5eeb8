"""uadx's own API: POST /v1/inspect takes one image or many in whatever form a client has them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from uadx.images.source import Source
from uadx.report.pictures import thumbnail
from uadx.result import Result, encode_image
from uadx.serve.answers import json_answer, request_id
from uadx.serve.body import Wanted, check_query, flag, media_type, read, read_json, source
from uadx.serve.form import read_files
from uadx.serve.refusals import Refusal, refusal_of
from uadx.serve.service import Service

_RAW = frozenset({"application/octet-stream", ""})
LONGER_SIDE = 1600
"""Of a row's `picture`, in pixels: what a screen shows."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON body. image: base64 or an allowed URL; images: many of them, instead. threshold, fpr: see Wanted."""

    image: str | None = None
    images: list[str] | None = None
    threshold: float | None = None
    fpr: float | None = None

    def __post_init__(self) -> None:
        if (self.image is None) == (self.images is None) or self.images == []:
            raise ValueError("give `image`, or `images` with at least one")


class Inspection:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [Route("/v1/inspect", self.inspect, methods=["POST"])]

    async def inspect(self, request: Request) -> Response:
        """Rows as results.jsonl has them, with map and picture where the query says so; or the overlay of a single
        image where Accept asks for image/png.

        An only image that cannot be inspected is an error of the request; of many it is a row with `error`.
        """
        check_query(request, ("threshold", "fpr", *_MORE))
        sources, wanted = await self._read(request)
        more = {name: draw for name, draw in _MORE.items() if flag(request, name)}
        overlay = _accepts_png(request.headers.get("accept", ""))
        if overlay and len(sources) > 1:
            raise Refusal(406, "not_acceptable", f"a picture is the answer for one image, not for {len(sources)}")
        results = await self._service.inspect(request, sources, wanted)
        if len(results) == 1 and results[0].error is not None:
            raise refusal_of(results[0].error)
        if overlay:
            return await self._overlay(results[0])
        rows = [result.json for result in results]
        if more:
            await self._service.draw(partial(_add, more, results, rows))
        return json_answer({"request_id": request_id(request), "results": rows})

    async def _read(self, request: Request) -> tuple[list[Source], Wanted]:
        settings, stated = self._service.settings, media_type(request)
        wanted = Wanted.of_query(request)
        if stated == "application/json":
            asked = await read_json(request, settings, Asked)
            if asked.threshold is not None or asked.fpr is not None:
                wanted = Wanted(asked.threshold, asked.fpr)
            texts = asked.images if asked.image is None else [asked.image]
            return await self._service.sources(request, texts or []), wanted
        if stated == "multipart/form-data":
            return await read_files(request, settings), wanted
        if stated in _RAW or stated.startswith("image/"):
            return [source("image", await read(request, settings))], wanted
        raise Refusal(
            415,
            "unsupported",
            "the body must be an image (image/png, ..., application/octet-stream), multipart/form-data or "
            "application/json",
        )

    async def _overlay(self, result: Result) -> Response:
        png = await self._service.draw(lambda: encode_image(result.img, ".png"))
        verdict = "NG" if result["is_anomaly"] else "OK"
        headers = {"X-Uadx-Score": repr(result["score"]), "X-Uadx-Verdict": verdict}
        return Response(png, 200, headers, "image/png")


def _accepts_png(accept: str) -> bool:
    """Whether image/png is named, and not with a quality of 0: that says "not this" (RFC 9110, 12.4.2)."""
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind == "image/png":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def _anomaly_map(result: Result) -> dict[str, Any]:
    """At the scale at which the model sees, float32 by rows. Stretched to image_size (bilinear) it is what the regions
    are found in."""
    assert result.feature_map is not None
    values = result.feature_map.astype("<f4")
    data = base64.b64encode(values.tobytes()).decode("ascii")
    return {"shape": list(values.shape), "dtype": values.dtype.str, "data": data}


def _picture(result: Result) -> str:
    """What was inspected, upright and as colours of 8 bits, whatever the file was: the data URL of a JPEG."""
    return thumbnail(result.image, LONGER_SIDE)


_MORE: Mapping[str, Callable[[Result], Any]] = {"anomaly_map": _anomaly_map, "picture": _picture}
"""Fields that a row has where the query says `NAME=true`."""


def _add(
    more: Mapping[str, Callable[[Result], Any]], results: Sequence[Result], rows: Sequence[dict[str, Any]]
) -> None:
    for result, row in zip(results, rows, strict=True):
        if result.error is None:
            row.update({name: draw(result) for name, draw in more.items()})
