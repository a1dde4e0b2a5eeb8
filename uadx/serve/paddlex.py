"""PaddleX's HTTP API for anomaly detection, field by field, with uadx's own fields beside its own.

Source: PaddleX's pipeline usage page for anomaly detection, "service deployment".
"""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import cv2
import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from uadx.output.pictures import JPEG_LIMIT
from uadx.render.overlay import mask
from uadx.result import Result, encode_image
from uadx.serve.answers import json_answer, request_id
from uadx.serve.body import Wanted, check_query, check_spelling, converted, flag, read_json
from uadx.serve.service import Service


class Asked(msgspec.Struct):
    """image: base64, or a URL where the server allows its host. visualize: whether with a picture. labelMap:
    false leaves the 65,536 numbers out, as the query's `labelMap=false` does. Other fields are ignored, as there, but
    for what is nearly one of these."""

    image: str
    visualize: bool | None = None
    labelMap: bool | None = None  # noqa: N815
    threshold: float | None = None
    fpr: float | None = None


class PaddleX:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/anomaly-detection", self.detect, methods=["POST"]),
            Route("/image-anomaly-detection", self.detect, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """Whether the server is there; /ready says whether the model is."""
        return json_answer({"logId": request_id(request), "errorCode": 0, "errorMsg": "Healthy"})

    async def detect(self, request: Request) -> Response:
        """One image."""
        service = self._service
        check_query(request, ("labelMap",))
        in_query = flag(request, "labelMap")
        fields = await read_json(request, service.settings, dict[str, Any])
        check_spelling(fields, Asked.__struct_fields__)
        asked = converted(fields, Asked)
        wanted = Wanted(asked.threshold, asked.fpr)
        (source,) = await service.sources(request, [asked.image])
        result = await service.inspect_one(request, source, wanted)
        with_map = next(given for given in (asked.labelMap, in_query, service.settings.label_map) if given is not None)
        drawn = service.settings.visualize if asked.visualize is None else asked.visualize
        size = service.engine.pipeline.bundle.manifest.input
        draw = partial(_answer, result, drawn, with_map, (size.height, size.width))
        answer = {"logId": request_id(request), "errorCode": 0, "errorMsg": "Success"}
        return json_answer(answer | {"result": await service.draw(draw)})


def _answer(result: Result, picture: bool, label_map: bool, size: tuple[int, int]) -> dict[str, Any]:
    """labelMap and size are at the model's size, as PaddleX's; a pixel is 255 where any that it stands for is. Ours
    are at the image's own."""
    fields: dict[str, Any] = {}
    if label_map:
        defective = mask(result.anomaly_map, result.region_threshold, result["is_anomaly"])
        # as float32: in uint8 a lone pixel of a large image would be rounded away
        small = cv2.resize(defective.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        fields["labelMap"] = np.where(small > 0, 255, 0).ravel().tolist()
    fields["size"] = list(size)
    if picture:
        suffix = ".png" if max(result["image_size"]) > JPEG_LIMIT else ".jpg"
        fields["image"] = base64.b64encode(encode_image(result.img, suffix)).decode()
    return fields | {
        "score": result["score"],
        "threshold": result["threshold"],
        "isAnomaly": result["is_anomaly"],
        "pValue": result["p_value"],
        "regions": result["regions"],
        "imageSize": result["image_size"],
    }
