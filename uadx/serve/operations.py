"""For operators: is it alive, is it ready, which model and devices, metrics, the API's description; a new model."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import uadx
from uadx.devices.listing import list_devices
from uadx.errors import UadxError
from uadx.pipeline.pipeline import Pipeline
from uadx.serve.answers import json_answer, request_id
from uadx.serve.body import read_json
from uadx.serve.guard import check_admin
from uadx.serve.metrics import CONTENT_TYPE
from uadx.serve.refusals import Refusal
from uadx.serve.service import Service

_PROBE_SECONDS = 30.0


class NewModel(msgspec.Struct, forbid_unknown_fields=True):
    """path: a bundle on the server; None: the configured one, read again."""

    path: str | None = None


class Operations:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._devices: asyncio.Task[dict[str, Any]] | None = None
        self.routes = [
            Route("/live", self.live, methods=["GET"]),
            Route("/ready", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/v1/model", self.model, methods=["GET", "POST"]),
            Route("/v1/devices", self.devices, methods=["GET"]),
        ]

    async def live(self, request: Request) -> Response:
        """The process answers, and its device does not hang."""
        self._service.live()
        return json_answer({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """The model has just inspected an image of its own."""
        await self._service.ready()
        return json_answer({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """All of it, for people and generators of clients."""
        return json_answer(_description())

    async def model(self, request: Request) -> Response:
        """Which model answers, on what, by which threshold, and the scores of the good images behind that."""
        if request.method == "POST":
            return await self._reload(request)
        return json_answer(_described(self._service.engine.pipeline))

    async def _reload(self, request: Request) -> Response:
        """Answer by another model from now on, or by the one that is there where the new one is refused."""
        check_admin(self._service.settings, request.headers)
        asked = await read_json(request, self._service.settings, NewModel)
        engine = self._service.engine
        try:
            await asyncio.to_thread(engine.reload, asked.path)
        except UadxError as error:
            raise Refusal(422, "model_refused", error.in_one_line, hint=error.hint) from None
        return json_answer({"request_id": request_id(request), **_described(engine.pipeline)})

    async def devices(self, request: Request) -> Response:
        """What `uadx devices` lists here. Asked of the machine once: a device does not come while a server runs."""
        if self._devices is None or (self._devices.done() and self._devices.exception()):
            self._devices = asyncio.create_task(asyncio.to_thread(self._list))
        return json_answer(await asyncio.shield(self._devices))

    def _list(self) -> dict[str, Any]:
        named = self._service.engine.pipeline.config.devices_file
        listing = list_devices(None, None if named is None else Path(named), probing=True, seconds=_PROBE_SECONDS)
        answer = listing.as_json()
        del answer["devices_files"]  # paths of this machine are nobody's business
        return answer


@cache
def _description() -> dict[str, Any]:
    text = files("uadx.serve").joinpath("openapi.yaml").read_text("utf-8")
    description: dict[str, Any] = yaml.safe_load(text)
    description["info"]["version"] = uadx.__version__
    return description


def _described(pipeline: Pipeline) -> dict[str, Any]:
    inspector = pipeline.inspector
    manifest, opened = inspector.bundle.manifest, inspector.opened
    calibration = inspector.calibration
    return {
        "name": manifest.name,
        "sha256": inspector.bundle.sha256,
        "made_by": manifest.created_by,
        "input": {"height": manifest.input.height, "width": manifest.input.width, "fit": manifest.input.fit},
        "tiles": None if manifest.input.tiling is None else msgspec.to_builtins(manifest.input.tiling),
        "threshold": inspector.thresholds.image,
        "pixel_threshold": inspector.thresholds.pixel,
        "fusion": inspector.config.fusion,
        "default_fpr": manifest.default_fpr,
        "calibration": None
        if calibration is None
        else {"lowest_fpr": calibration.lowest_fpr, "scores": list(calibration.scores)},
        "device": {
            "requested": opened.requested,
            "used": opened.used,
            "precision": opened.precision,
            "simulated": opened.simulated,
            "fallback_reason": opened.fallback_reason,
        },
        "max_batch": inspector.batch_size,
        "max_pixels": inspector.config.max_pixels,
    }
