"""Requests side by side: every future ends, with its own answer, and threads do not mix theirs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

import numpy as np

from uadx.errors import InferenceError
from uadx.testing.expect import failure, refusal, require, require_answer
from uadx.testing.golden import default_bundle, small
from uadx.testing.kit import Kit, fitting

if TYPE_CHECKING:
    from uadx.api import Array

THREADS, ROUNDS = 8, 4


class Concurrency(Kit):
    def test_every_request_gets_its_own_answer(self) -> None:
        """Four times as many submits as async_depth, before the first is waited for, each give their own answer."""
        golden = small("stfpm")
        with self._compile(golden) as model:
            size = fitting(model, 1)
            starts = range(4 * model.capabilities.async_depth + 1)
            futures = [model.submit({"image": golden.batch(size, start)[0]}) for start in starts]
            for start, future in zip(starts, futures, strict=True):
                expected = golden.batch(size, start)[1]
                require_answer(self._result(future), expected, self._allowed(model), f"request {start}")

    def test_a_future_carries_its_error(self) -> None:
        """A wrong batch that is submitted ends in InferenceError, and the requests beside it in their answers."""
        golden = small("relu")
        with self._compile(golden) as model:
            images, expected = golden.batch(fitting(model, 1))
            right = model.submit({"image": images})
            for _ in range(model.capabilities.async_depth + 1):
                refusal(
                    InferenceError,
                    lambda: self._result(model.submit({"image": images.astype(np.float32)})),
                    "submit of a float32 batch",
                    "raise it in submit, or set it on the future",
                )
            for future in (right, model.submit({"image": images})):
                require_answer(self._result(future), expected, self._allowed(model), "a request beside a wrong one")

    def test_closing_finishes_what_was_submitted(self) -> None:
        """When close() returns, every future is done, with its answer or an error."""
        golden = default_bundle()
        model = self._compile(golden, max_batch=1)
        images, expected = golden.batch(fitting(model, 1))
        futures = [model.submit({"image": images}) for _ in range(model.capabilities.async_depth)]
        allowed = self._allowed(model)
        closing = threading.Thread(target=model.close, daemon=True)
        closing.start()
        closing.join(self.patience)
        advice = "let close() wait for the requests under way, and finish or fail those that had not begun"
        require(not closing.is_alive(), "close() returns", f"it has not after {self.patience:g} s", advice)
        pending = sum(not future.done() for future in futures)
        require(pending == 0, "no future is pending when close() has returned", f"{pending} of {len(futures)}", advice)
        for future in futures:
            if not future.cancelled() and future.exception() is None:
                require_answer(future.result(), expected, allowed, "a request that close() found under way")

    def test_threads_do_not_mix_their_answers(self) -> None:
        """Eight threads that call infer at once each get their own answers (where capabilities.thread_safe)."""
        golden = small("stfpm")
        with self._compile(golden) as model:
            if not model.capabilities.thread_safe:
                raise SkipTest("capabilities.thread_safe is False: the core calls infer from one thread at a time")
            size = fitting(model, 1)
            ready = threading.Barrier(THREADS)

            def work(start: int) -> list[Mapping[str, Array]]:
                images = golden.batch(size, start)[0]
                ready.wait(self.patience)
                return [model.infer({"image": images}) for _ in range(ROUNDS)]

            threads = ThreadPoolExecutor(THREADS)
            try:
                answers = list(threads.map(work, range(THREADS), timeout=self.patience))
            except TimeoutError as error:
                came = f"they have not ended after {self.patience:g} s"
                advice = "a lock that one thread holds while it waits for another"
                raise failure("eight threads that call infer end", came, advice) from error
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
            for start, rounds in enumerate(answers):
                for outputs in rounds:
                    what = f"infer in thread {start} of {THREADS}"
                    require_answer(outputs, golden.batch(size, start)[1], self._allowed(model), what)

    def _result(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        try:
            return future.result(timeout=self.patience)
        except TimeoutError as error:
            came = f"it is pending after {self.patience:g} s"
            advice = "set a result or an exception on every future"
            raise failure("a submitted request ends", came, advice) from error
