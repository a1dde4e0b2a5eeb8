"""The model that answers: accepts images up to a bound, swaps models while it serves, rebuilds a device that failed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import PurePosixPath

from uadx.contract import words
from uadx.errors import UadxError
from uadx.images.source import Source
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline
from uadx.result import Result
from uadx.serve.batcher import Batcher, Job
from uadx.serve.metrics import Metrics
from uadx.serve.refusals import Refusal, busy, not_ready
from uadx.serve.settings import Settings

_log = logging.getLogger("uadx.serve")
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before a failed device is opened again; they double as long as it fails."""
SETTLED = 60.0
"""Seconds that a device must have served for its next failure to count as its first."""
CLOSING = 10.0
"""Seconds that a device has to close, before it is left alone: it may hang."""


class Engine:
    """Open one with a pipeline configuration; raises what Pipeline does. Its methods may be called by any thread."""

    def __init__(self, config: PipelineConfig, settings: Settings, metrics: Metrics) -> None:
        self._config, self._settings, self._metrics = config, settings, metrics
        self._lock = threading.RLock()
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._waiting: Counter[str] = Counter()
        self._hanging: list[threading.Thread] = []
        self._delay = FIRST_DELAY
        self._why = ""
        self._batcher: Batcher | None = self._build(config)
        metrics.watch(lambda: self.waiting, lambda: self._batcher is not None)

    @property
    def pipeline(self) -> Pipeline:
        """The one that answers now. Raises Refusal where there is none."""
        batcher = self._batcher
        if batcher is None:
            raise not_ready(self._why)
        return batcher.pipeline

    @property
    def waiting(self) -> int:
        """Images that were accepted and have no answer yet."""
        return self._waiting.total()

    @property
    def is_full(self) -> bool:
        """Whether the next image would be refused."""
        return self.waiting >= self._settings.queue

    def check_count(self, images: int) -> None:
        """Raise Refusal where a request has more images than may ever wait."""
        if images > self._settings.queue:
            text = f"{images} images in a request, and at most {self._settings.queue} may wait"
            raise Refusal(413, "too_many_images", text)

    def accept(self, sources: Sequence[Source], client: str) -> list[Future[Result]]:
        """Take all of a request's images, or none: raises Refusal where that is more than may wait."""
        count, limit, most = len(sources), self._settings.queue, self._settings.per_client
        self.check_count(count)
        with self._lock:
            if most is not None and self._waiting[client] + count > most:
                text = f"{self._waiting[client]} images of yours are under way, and {most} may be"
                raise Refusal(429, "too_many_requests", text, headers={"Retry-After": "1"})
            if self.waiting + count > limit:
                raise busy(f"{self.waiting} images are waiting, and {limit} may")
            jobs = [Job(source) for source in sources]
            self._waiting[client] += count
            for job in jobs:
                job.answer.add_done_callback(partial(self._answered, client))
            if not all(self._submit(job) for job in jobs):
                for job in jobs:
                    job.answer.cancel()
                raise not_ready(self._why)
        return [job.answer for job in jobs]

    @property
    def seconds_since_answer(self) -> float:
        """How long ago the device answered what this server asked of it."""
        batcher = self._batcher
        return math.inf if batcher is None else time.perf_counter() - batcher.answered

    @property
    def silent(self) -> float:
        """Seconds for which the device has said nothing though images wait for it; 0 while it is being opened again."""
        batcher = self._batcher
        return 0.0 if batcher is None else batcher.silent

    def probe(self) -> Future[Result]:
        """Send one of the model's own golden images the way of all images, beside the bound on what may wait."""
        golden = self.pipeline.inspector.bundle.golden.images[0]
        job = Job(Source("golden", PurePosixPath("golden"), golden[..., ::-1].copy()))
        if not self._submit(job):
            raise not_ready(self._why)
        return job.answer

    def reload(self, model: str | None = None) -> None:
        """Open a model, the configured one again or another, and answer by it from then on; what was accepted before
        is answered by the old one. Raises what Pipeline does, and the old one serves on."""
        with self._reloading:
            config = self._config if model is None else self._config.override(model=model)
            try:
                new = self._build(config)
            except Exception:
                self._metrics.reloads.labels("refused").inc()
                raise
            with self._lock:
                old, self._batcher, self._config = self._batcher, new, config
            self._metrics.reloads.labels("loaded").inc()
            bundle = new.pipeline.bundle
            _log.info(
                "reloaded", extra={"model": bundle.sha256, "name_of_model": bundle.manifest.name, "path": config.model}
            )
        if old is not None:
            self._close(old)

    def close(self) -> bool:
        """Answer what was accepted and release the device. False where that, or the end of a device that had failed
        before, still hangs."""
        self._stopping.set()
        with self._lock:
            batcher, self._batcher, self._why = self._batcher, None, "the server is stopping"
        if batcher is not None:
            self._close(batcher)
        return not any(thread.is_alive() for thread in self._hanging)

    def _close(self, batcher: Batcher) -> None:
        """Close it, and go on without waiting any longer where it hangs."""

        def close() -> None:
            try:
                batcher.close()
            except Exception as failure:  # a device that has failed may not even close
                _log.error("the device cannot be closed", extra={"reason": words(failure)})

        closing = threading.Thread(target=close, name="uadx-serve-close", daemon=True)
        closing.start()
        closing.join(CLOSING)
        if closing.is_alive():
            _log.error("the device has not ended its work and closed", extra={"seconds": CLOSING})
            self._hanging.append(closing)

    def _build(self, config: PipelineConfig) -> Batcher:
        return Batcher(Pipeline(config), self._settings.max_delay, self._metrics, self._crashed)

    def _submit(self, job: Job) -> bool:
        with self._lock:
            return self._batcher is not None and self._batcher.submit(job)

    def _answered(self, client: str, answer: Future[Result]) -> None:
        with self._lock:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def _crashed(self, batcher: Batcher, error: BaseException, jobs: list[Job]) -> None:
        """In a thread of its own: until a device answers again or the server stops."""
        why = error.in_one_line if isinstance(error, UadxError) else words(error)
        _log.error("the device failed", extra={"reason": why})
        self._metrics.crashes.inc()
        began = time.monotonic()
        with self._lock:
            current = self._batcher is batcher
            if current:
                self._batcher, self._why = None, f"the device failed and is being opened again: {why}"
        self._close(batcher)
        if current:
            self._rebuild(jobs)
        else:
            self._hand_over(jobs)
        _log.info("recovered", extra={"seconds": round(time.monotonic() - began, 3)})

    def _rebuild(self, jobs: list[Job]) -> None:
        while not self._stopping.wait(self._delay):
            self._delay = min(2 * self._delay, LONGEST_DELAY)
            with self._reloading:
                if self._batcher is not None:  # a reload came first
                    break
                try:
                    new = self._build(self._config)
                except Exception as error:
                    why = error.in_one_line if isinstance(error, UadxError) else words(error)
                    self._why = f"the device failed and cannot be opened again: {why}"
                    _log.error("the device cannot be opened again", extra={"reason": why})
                    _give_up(jobs, self._why)
                    jobs = []
                    continue
                with self._lock:
                    stopping = self._stopping.is_set()
                    self._batcher = None if stopping else new
            if stopping:
                new.close()
                break
            timer = threading.Timer(SETTLED, self._settle, [new])
            timer.daemon = True
            timer.start()
            break
        self._hand_over(jobs)

    def _hand_over(self, jobs: list[Job]) -> None:
        _give_up([job for job in jobs if not self._submit(job)], self._why)

    def _settle(self, batcher: Batcher) -> None:
        if self._batcher is batcher:
            self._delay = FIRST_DELAY


def _give_up(jobs: list[Job], why: str) -> None:
    for job in jobs:
        if job.begin():
            job.answer.set_exception(not_ready(why))
