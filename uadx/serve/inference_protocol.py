"""The Open Inference Protocol (KServe's v2), so that its clients can send encoded images to this model.

Source: https://kserve.github.io/website, "Open Inference Protocol"; the binary extension is Triton's
"binary tensor data". Input `image`: BYTES [N], each an encoded image, in JSON as base64. Outputs, each [N]: score and
threshold and p_value FP64, is_anomaly BOOL, regions BYTES (JSON).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import uadx
from uadx.errors import InputError
from uadx.result import Result
from uadx.serve.answers import json_answer
from uadx.serve.body import Wanted, check_spelling, decoded, from_base64, read, source
from uadx.serve.refusals import Refusal, refusal_of
from uadx.serve.service import Service

_DIGITS = re.compile("[0-9]{1,18}")
_BINARY = "inference-header-content-length"
_JUDGED_BY = ("threshold", "fpr")
_OUTPUTS = {"score": "FP64", "threshold": "FP64", "p_value": "FP64", "is_anomaly": "BOOL", "regions": "BYTES"}


class Tensor(msgspec.Struct):
    """An input. shape: [N], or [N, 1] as some clients send it."""

    name: Literal["image"]
    shape: list[int]
    datatype: Literal["BYTES"]
    parameters: dict[str, Any] = {}
    data: list[str | list[str]] | None = None


class Output(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class Asked(msgspec.Struct):
    """A request. parameters: `threshold` or `fpr`, and what is not uadx's, which the protocol lets a server ignore."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Output] | None = None


class InferenceProtocol:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [
            Route("/v2", self.server, methods=["GET"]),
            Route("/v2/health/live", self.live, methods=["GET"]),
            Route("/v2/health/ready", self.ready, methods=["GET"]),
        ]
        for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            self.routes += [
                Route(place, self.model, methods=["GET"]),
                Route(f"{place}/ready", self.model_ready, methods=["GET"]),
                Route(f"{place}/infer", self.infer, methods=["POST"]),
            ]

    async def server(self, request: Request) -> Response:
        """What this server is."""
        return json_answer({"name": "uadx", "version": uadx.__version__, "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request) -> Response:
        """The process answers, and its device does not hang."""
        self._service.live()
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """The model answers too."""
        await self._service.ready()
        return json_answer({"ready": True})

    async def model(self, request: Request) -> Response:
        """What the model takes and gives."""
        name, version = self._named(request)
        outputs = [{"name": output, "datatype": kind, "shape": [-1]} for output, kind in _OUTPUTS.items()]
        return json_answer(
            {
                "name": name,
                "versions": [version],
                "platform": "uadx_stfpm",
                "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
                "outputs": outputs,
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """The same as ready: there is one model."""
        name, _ = self._named(request)
        await self._service.ready()
        return json_answer({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """All images or none: the protocol has no place for what is wrong with one of them."""
        name, version = self._named(request)
        _check_place(request.query_params)
        asked, rest = self._split(request, await read(request, self._service.settings))
        if len(asked.inputs) != 1:
            raise Refusal(422, "invalid", f"the model takes one input, `image`, not {len(asked.inputs)}")
        _check_place(asked.inputs[0].parameters)
        images = _images(asked.inputs[0], rest, self._service.engine.check_count)
        check_spelling(asked.parameters, _JUDGED_BY)
        given = {key: asked.parameters[key] for key in _JUDGED_BY if key in asked.parameters}
        if not all(type(value) in (int, float) for value in given.values()):
            raise Refusal(422, "invalid", "`threshold` and `fpr` are numbers")
        if unknown := [output.name for output in asked.outputs or [] if output.name not in _OUTPUTS]:
            raise Refusal(422, "invalid", f"there is no output {unknown[0][:50]!r}: {', '.join(_OUTPUTS)}")
        sources = [source(f"image[{at}]", image) for at, image in enumerate(images)]
        results = await self._service.inspect(request, sources, Wanted(**given))
        for result in results:
            if result.error is not None:
                raise refusal_of(result.error)
        names = [output.name for output in asked.outputs] if asked.outputs else list(_OUTPUTS)
        answer = {"model_name": name, "model_version": version, "outputs": [_output(key, results) for key in names]}
        return json_answer(answer if asked.id is None else {**answer, "id": asked.id})

    def _named(self, request: Request) -> tuple[str, str]:
        """The model's name and version, where it is the one that the request names."""
        bundle = self._service.engine.pipeline.bundle
        own = (self._service.settings.model_name or bundle.manifest.name, bundle.sha256[:12])
        asked = request.path_params
        if asked["name"] != own[0] or asked.get("version", own[1]) != own[1]:
            raise Refusal(404, "not_found", f"there is no such model: it is {own[0]!r}, version {own[1]}")
        return own

    def _split(self, request: Request, content: bytes) -> tuple[Asked, bytes]:
        """The JSON and, with the binary extension, what follows it."""
        header = request.headers.get(_BINARY)
        if header is None:
            return decoded(content, Asked), b""
        if not _DIGITS.fullmatch(header) or int(header) > len(content):
            raise Refusal(400, "invalid", "Inference-Header-Content-Length is no length of a part of the body")
        return decoded(content[: int(header)], Asked), content[int(header) :]


def _check_place(given: Iterable[str]) -> None:
    """A threshold that stands where nobody reads it would be a verdict by another one."""
    for name in given:
        if name in _JUDGED_BY:
            raise Refusal(422, "usage", f"`{name}` stands in the request's own `parameters`, and in no other place")
    check_spelling(given, _JUDGED_BY)


def _images(tensor: Tensor, rest: bytes, check_count: Callable[[int], None]) -> list[bytes | InputError]:
    images: list[bytes | InputError]
    if tensor.data is not None:
        flat = [text for some in tensor.data for text in ([some] if isinstance(some, str) else some)]
        check_count(len(flat))
        images = [from_base64(text) for text in flat]
    else:
        if tensor.parameters.get("binary_data_size") != len(rest):
            raise Refusal(400, "invalid", f"`binary_data_size` is not the {len(rest)} bytes that follow the JSON")
        images = [*_elements(rest, check_count)]
    if tensor.shape not in ([len(images)], [len(images), 1]) or not images:
        raise Refusal(422, "invalid", f"`shape` is {tensor.shape}, and the data are {len(images)} images")
    return images


def _elements(data: bytes, check_count: Callable[[int], None]) -> list[bytes]:
    """BYTES in binary: each has its length before it, four bytes, little endian."""
    found, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise Refusal(400, "invalid", "the binary data end within a length")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at > len(data):
            raise Refusal(400, "invalid", f"the binary data end before an image of {length} bytes does")
        found.append(data[at - length : at])
        check_count(len(found))
    return found


def _output(name: str, results: list[Result]) -> dict[str, Any]:
    values = [result[name] for result in results]
    if name == "regions":
        values = [msgspec.json.encode(value).decode() for value in values]
    return {"name": name, "datatype": _OUTPUTS[name], "shape": [len(values)], "data": values}
