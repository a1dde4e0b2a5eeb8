"""Images of many requests through one pipeline: decoded in its threads, inferred in batches, scored, handed back.

The stages are the inspector's own, as in `uadx run`; what differs is that images come one by one, that a batch is
whatever is there (uadx.pipeline.stream.gathered), and that each image's result goes to its own request.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from uadx.images.source import Source
from uadx.pipeline.mapped import Ahead, mapped
from uadx.pipeline.pipeline import Pipeline
from uadx.pipeline.stream import gathered, staged
from uadx.pipeline.windows import Complete, Inferred, Window, regrouped, windows_of
from uadx.result import Result
from uadx.serve.metrics import Metrics


@dataclass(eq=False)
class Job:
    """One image that was accepted. answer: its result, or why there is none; cancelled where nobody waits any more."""

    source: Source
    answer: Future[Result] = field(default_factory=Future)
    accepted: float = field(default_factory=time.perf_counter)

    def begin(self) -> bool:
        """Whether it is still wanted; from then on it cannot be cancelled. May be asked again after a failure."""
        return self.answer.running() or self.answer.set_running_or_notify_cancel()


class Batcher:
    """Owns a pipeline. on_crash(self, error, jobs): the device failed; the jobs are those that it had nothing to do
    with and that still want an answer. Jobs of the batch that failed have the error for an answer."""

    def __init__(
        self,
        pipeline: Pipeline,
        patience: float,
        metrics: Metrics,
        on_crash: Callable[[Batcher, BaseException, list[Job]], None],
    ) -> None:
        self.pipeline = pipeline
        self._inspector = inspector = pipeline.inspector
        self._patience, self._metrics, self._on_crash = patience, metrics, on_crash
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._decoded: SimpleQueue[Iterable[Window] | None] = SimpleQueue()
        self._under_way: dict[int, Job] = {}  # by id of the source, which the job keeps alive
        self._changed = threading.Condition()
        self._dead = False
        self.answered = -math.inf
        """When the device last answered, by time.perf_counter(); never where its last answer was no numbers."""
        self._heard = -math.inf
        # decoded images are large: as many as keep the threads and the device busy
        batches = inspector.opened.async_depth + 2
        self._room = threading.Semaphore(2 * inspector.workers + inspector.batch_size * batches)
        self._decoders = ThreadPoolExecutor(inspector.workers, thread_name_prefix="uadx-serve-decode")
        self._threads = [
            threading.Thread(target=run, name=f"uadx-serve-{name}", daemon=True)
            for name, run in (("decode", self._feed), ("answer", self._answer))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def silent(self) -> float:
        """Seconds for which the device has said nothing though images wait for it."""
        with self._changed:
            oldest = min((job.accepted for job in self._under_way.values()), default=math.inf)
        return max(0.0, time.perf_counter() - max(oldest, self._heard))

    def submit(self, job: Job) -> bool:
        """Take a job; False where the device has failed."""
        with self._changed:
            if self._dead:
                return False
            self._under_way[id(job.source)] = job
        self._jobs.put(job)
        return True

    def close(self) -> None:
        """Answer what was submitted, then release the device."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)
        self._end()
        for thread in self._threads:
            thread.join()
        self._decoders.shutdown(cancel_futures=True)  # a failed device's are on_crash's
        self.pipeline.close()

    def _end(self) -> None:
        self._jobs.put(None)
        self._decoded.put(None)
        self._room.release()

    def _feed(self) -> None:
        while (job := self._jobs.get()) is not None and not self._dead:
            self._room.acquire()
            if job.begin():
                with contextlib.suppress(RuntimeError):  # closed after a failure: its job is on_crash's
                    self._decoders.submit(self._decode, job)
            else:
                self._take(job.source)

    def _decode(self, job: Job) -> None:
        self._metrics.stage_seconds.labels("queue").observe(time.perf_counter() - job.accepted)
        try:
            self._decoded.put(list(windows_of(self._inspector.decode(job.source))))
        except BaseException as error:  # its own answer, and nobody else's
            self._fail([job.source], error)

    def _answer(self) -> None:
        inspector = self._inspector
        batches = gathered(self._decoded, inspector.batch_size, self._patience)
        inferred = staged(batches, self._infer, inspector.opened.async_depth + 1)
        complete = regrouped(inferred, inspector.device_fields)
        scored = mapped(complete, self._scored, inspector.workers, Ahead(inspector.workers + 1))
        try:
            with closing(scored):
                for results in scored:
                    for result in results:
                        self._hand_back(result)
        except BaseException as error:
            self._crash(error)

    def _infer(self, batch: list[Window]) -> Future[Inferred]:
        done: Future[Inferred] = Future()
        done.set_running_or_notify_cancel()
        sources = [window.item.source for window in batch]

        def finish(future: Future[Inferred]) -> None:
            if (error := future.exception()) is None:
                self.answered = self._heard = time.perf_counter()
                done.set_result(future.result())
                return
            self._fail(sources, error)  # before anybody learns of it, and takes these for bystanders
            done.set_exception(error)

        self._metrics.batch.observe(len(batch))
        try:
            self._inspector.infer(batch).add_done_callback(finish)
        except BaseException as error:
            self._fail(sources, error)
            raise
        return done

    def _scored(self, complete: Complete) -> list[Result]:
        try:
            return self._inspector.score(complete, self._inspector.thresholds)
        except Exception as error:  # level maps that are not numbers: the device goes on
            self.answered = -math.inf
            if len(complete.items) > 1:  # whoever only shared the batch has an answer
                return [result for one in complete.each() for result in self._scored(one)]
            self._fail([item.source for item in complete.items], error)
            return []

    def _hand_back(self, result: Result) -> None:
        for stage, spent in result["ms"].items():
            if spent is not None:
                self._metrics.stage_seconds.labels(stage).observe(spent / 1e3)
        if (job := self._take(result.source)) is not None:
            job.answer.set_result(result)

    def _fail(self, sources: Iterable[Source], error: BaseException) -> None:
        for job in filter(None, map(self._take, sources)):
            job.answer.set_exception(error)

    def _take(self, source: Source) -> Job | None:
        with self._changed:
            job = self._under_way.pop(id(source), None)
            self._changed.notify_all()
        if job is not None:
            self._room.release()
        return job

    def _crash(self, error: BaseException) -> None:
        with self._changed:
            self._dead = True
            bystanders = list(self._under_way.values())
            self._under_way.clear()
            self._changed.notify_all()
        self._end()
        threading.Thread(target=partial(self._on_crash, self, error, bystanders), name="uadx-serve-rebuild").start()
