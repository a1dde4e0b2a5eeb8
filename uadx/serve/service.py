"""What the APIs share: images in, results out, in the terms of one request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from uadx.errors import InputError
from uadx.images.fetch import FETCH_FAILURES, why_not
from uadx.images.source import Source
from uadx.result import Result
from uadx.serve import body, remote
from uadx.serve.body import Wanted
from uadx.serve.engine import Engine
from uadx.serve.metrics import Metrics
from uadx.serve.refusals import Refusal, busy, not_ready, refusal_of
from uadx.serve.room import Held, Room, pixels_of
from uadx.serve.settings import Settings

T = TypeVar("T")
_PROBED_FOR = 1.0  # seconds for which an answer of the device shows that it is there, so that asking costs nothing
_PROBE_WITHIN = 5.0
_HANGS_AFTER = 120.0
_FETCHES = 16


class ClientGone(Exception):  # noqa: N818
    """The connection ended before its answer was there."""


@dataclass
class Service:
    """One server's. draining: no longer accepting, on its way to its end."""

    engine: Engine
    settings: Settings
    metrics: Metrics
    draining: bool = False

    def __post_init__(self) -> None:
        self.room = Room(self.settings)
        workers = self.engine.pipeline.inspector.workers
        self._drawing = ThreadPoolExecutor(workers, thread_name_prefix="uadx-serve-draw")
        self._fetches = threading.Semaphore(_FETCHES)
        self._probing: asyncio.Task[None] | None = None
        self._probed = 0.0

    async def sources(self, request: Request, texts: Sequence[str]) -> list[Source]:
        """The images that a JSON body gives as base64 or, where the operator allows it, by their addresses."""
        self.engine.check_count(len(texts))
        return [
            body.source(f"image[{at}]" if len(texts) > 1 else "image", await self._image(request, text))
            for at, text in enumerate(texts)
        ]

    async def _image(self, request: Request, text: str) -> bytes | InputError:
        if not body.is_url(text):
            return body.from_base64(text)
        try:
            image = await self._fetched(text)
        except InputError as error:
            return error
        request.scope["held"].take_bytes(len(image))
        return image

    async def _fetched(self, address: str) -> bytes:
        """Each fetch is a thread of its own, which may outlast its time by a slow name server: so many and no more."""
        remote.check_any(self.settings.allow_url)
        if not self._fetches.acquire(blocking=False):
            raise busy(f"{_FETCHES} images are being fetched")
        timeout = self.engine.pipeline.config.url_timeout
        fetching = remote.begin(address, self.settings.allow_url, timeout=timeout, max_bytes=self.settings.max_body)
        fetching.add_done_callback(lambda _: self._fetches.release())
        waited_for = asyncio.wrap_future(fetching)
        waited_for.add_done_callback(lambda done: done.exception())  # or asyncio complains where nobody waits any more
        try:
            return await asyncio.wait_for(asyncio.shield(waited_for), timeout)
        except FETCH_FAILURES as error:
            raise why_not(error, timeout) from None

    async def inspect(self, request: Request, sources: Sequence[Source], wanted: Wanted) -> list[Result]:
        """One result for each image, in order. Raises Refusal where they are not accepted or the device fails, and
        ClientGone, with what has not begun called off."""
        inspector = self.engine.pipeline.inspector
        thresholds = None
        if wanted != Wanted():  # a rate that cannot be certified is refused before anything is inspected
            thresholds = inspector.thresholds_for(inspector.config.override(threshold=wanted.threshold, fpr=wanted.fpr))
        largest = inspector.config.max_pixels
        request.scope["held"].take_pixels(await pixels_of(sources, largest), largest)
        futures = self.engine.accept(sources, request.client.host if request.client else "")
        _hold_until_done(request.scope["held"], futures)
        results = await _or_gone(request, asyncio.gather(*map(asyncio.wrap_future, futures)))
        if thresholds is not None:
            results = await self.draw(lambda: [result.against(thresholds) for result in results])
        for result in results:
            if result.error is not None:
                self.metrics.errors.labels(result.error.kind).inc()
                self.metrics.verdicts.labels("error").inc()
            else:
                self.metrics.verdicts.labels("ng" if result["is_anomaly"] else "ok").inc()
        return list(results)

    async def inspect_one(self, request: Request, source: Source, wanted: Wanted) -> Result:
        """The same for a request of one image, where an image that cannot be inspected is an error of the request."""
        (result,) = await self.inspect(request, [source], wanted)
        if result.error is not None:
            raise refusal_of(result.error)
        return result

    async def draw(self, work: Callable[[], T]) -> T:
        """Run what takes a while, such as drawing, beside the event loop, on as many cores as the pipeline uses."""
        return await asyncio.get_running_loop().run_in_executor(self._drawing, work)

    def live(self) -> None:
        """Raise Refusal where only a restart can help: the device hangs."""
        if self.engine.silent > _HANGS_AFTER:
            raise not_ready(f"the device has not answered for {_HANGS_AFTER:g} s: the server must be started anew")

    async def ready(self) -> None:
        """Unless the device has just answered, let the model inspect an image of its own. Raises Refusal with the
        reason where it cannot."""
        if self.draining:
            raise not_ready("the server is stopping")
        if self.engine.seconds_since_answer < _PROBED_FOR:
            return
        if self._probing is None or (self._probing.done() and time.monotonic() - self._probed > _PROBED_FOR):
            self._probed = time.monotonic()
            self._probing = asyncio.create_task(self._probe())
        try:
            await asyncio.wait_for(asyncio.shield(self._probing), _PROBE_WITHIN)
        except (TimeoutError, asyncio.TimeoutError):
            # it stands behind the images that wait, which is no fault of the device as long as those are answered
            if self.engine.seconds_since_answer > _PROBE_WITHIN:
                raise not_ready(f"the device has not answered for {_PROBE_WITHIN:g} s") from None

    async def _probe(self) -> None:
        try:
            result = await asyncio.wrap_future(self.engine.probe())
        except Exception as error:
            raise not_ready(refusal_of(error).message) from None
        if result.error is not None:
            raise not_ready(result.error.in_one_line)


def _hold_until_done(held: Held, futures: Sequence[Future[Result]]) -> None:
    loop = asyncio.get_running_loop()

    def leave(_: Future[Result]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(held.leave)

    for future in futures:
        held.keep()
        future.add_done_callback(leave)


async def _or_gone(request: Request, answers: asyncio.Future[list[Result]]) -> list[Result]:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answers.add_done_callback(lambda done: done.cancelled() or done.exception())  # or asyncio complains of nobody's
    watch = asyncio.create_task(gone())
    try:
        both: list[asyncio.Future[Any]] = [answers, watch]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answers.done():
            answers.cancel()
            raise ClientGone
        return answers.result()
    except asyncio.CancelledError:
        answers.cancel()
        raise Refusal(503, "stopped", "the server was stopped before the image was inspected") from None
    finally:
        watch.cancel()
