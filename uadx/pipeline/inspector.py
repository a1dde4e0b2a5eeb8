"""One model on its devices, and the way of an image through it: decode, infer, score, in input order."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.api import Hint
from uadx.bundle.reader import Bundle
from uadx.contract import plugin_code, words
from uadx.cores import usable_cores
from uadx.devices.compiling import Request
from uadx.devices.opened import OpenedModel, Share, open_model
from uadx.errors import InferenceError, InputError, UadxError
from uadx.images.decode import Limits, load
from uadx.images.source import Source
from uadx.parity import compare, require
from uadx.pipeline.batches import check_answer, check_fits, run_batch, run_checked, start_batch
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.mapped import Ahead, mapped
from uadx.pipeline.scorer import Scorer, ms_since
from uadx.pipeline.stream import grouped, staged, until
from uadx.pipeline.windows import Complete, Inferred, Item, Window, regrouped, windows
from uadx.result import Result
from uadx.scoring.calibration import Thresholds

T = TypeVar("T")
HINT: Hint = "throughput"
"""Where the configuration says none."""
MOST_WINDOWS = 10_000
"""Of one image: 200 MB of level maps, and minutes of work."""
AHEAD = 16
"""Small images that are decoded before their turn, for each one that a thread or a batch holds."""
MOST_BYTES = 32 << 20
"""Of images that are decoded before their turn; more only as many as the threads and a batch hold."""
RUNNING = "running the model"
"""The stage of an InferenceError."""


class Inspector:
    """Holds the compiled model; close() releases it. Use one thread at a time."""

    def __init__(self, bundle: Bundle, config: PipelineConfig) -> None:
        self.config = config
        self.limits = Limits(max_pixels=config.max_pixels, url_timeout=config.url_timeout)
        self.bundle = bundle.tiled(config.tiling(bundle.manifest.input.tiling))
        self.thresholds_for(config)  # a rate that cannot be certified is refused before a device is opened
        self.workers = config.workers or usable_cores()
        self.opened = _open(self.bundle, config)
        self.bundle = self.bundle.running(self.opened.precision)
        self._framing = self.bundle.manifest.input.framing
        self._scorer = Scorer(self.bundle, config.fusion, partial(load, limits=self.limits))
        self.calibration = self._scorer.calibration
        self.thresholds = self.thresholds_for(config)
        capabilities = self.opened.compiled.capabilities
        # a runtime that runs requests side by side is busy with single images, any other wants real batches
        best = capabilities.static_batch or (1 if capabilities.async_depth > 1 else 8)
        self.batch_size = config.batch_size or best

    def thresholds_for(self, config: PipelineConfig) -> Thresholds:
        """The thresholds a configuration means: its own for both, its false-alarm rate's, or the bundle's default."""
        if config.threshold is not None:
            return Thresholds(config.threshold, config.threshold)
        return self.bundle.thresholds(config.fusion, config.fpr)

    def inspect(
        self, sources: Iterable[Source], thresholds: Thresholds, batch_size: int
    ) -> Generator[Result, None, None]:
        """Results in the order of the sources. A bad input is a result with `error`; a failing device raises."""
        return self.inspect_and(lambda result: result, sources, thresholds, batch_size)

    def inspect_and(
        self, then: Callable[[Result], T], sources: Iterable[Source], thresholds: Thresholds, batch_size: int
    ) -> Generator[T, None, None]:
        """then(result) in place of the results, done in the thread that scored it: drawing, writing."""

        def score(complete: Complete) -> list[T]:
            return [then(result) for result in self.score(complete, thresholds)]

        # tiles of one image fill a batch, and images that wait to be cut into tiles are large
        least = self.workers + (1 if self._framing.tiling else batch_size)
        stopped = threading.Event()
        decoded = mapped(
            until(stopped, sources), self.decode, self.workers, Ahead(least, AHEAD * least, MOST_BYTES, _bytes)
        )
        inferred = staged(grouped(windows(decoded), batch_size), self.infer, self.opened.async_depth + 1)
        scored = mapped(regrouped(inferred, self.device_fields), score, self.workers, Ahead(self.workers + 1))
        with contextlib.closing(scored):
            try:
                for results in scored:
                    yield from results
            finally:
                stopped.set()  # first of all: the last stage waits for the one before it, and that for a whole batch

    def score(self, complete: Complete, thresholds: Thresholds) -> list[Result]:
        """One result for each of some items whose level maps are there."""
        return self._scorer.results(complete, thresholds)

    def level_maps(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The model alone: uint8 RGB [N, H, W, 3] at the model's size -> level maps float32 [N, h, w] by name."""
        return run_batch(self.opened.compiled, batch)

    @property
    def identity(self) -> dict[str, Any]:
        """All that results depend on beside the images, in JSON values."""
        return {
            "model": self.bundle.sha256,
            "threshold": self.thresholds.image,
            "fusion": self.config.fusion,
            "device": self.opened.used,
            "precision": self.opened.precision,
            "batch_size": self.batch_size,
            "hint": self.config.hint or HINT,
            "max_pixels": self.config.max_pixels,
            "tiles": None if self._framing.tiling is None else msgspec.to_builtins(self._framing.tiling),
        }

    def decode(self, source: Source) -> Item:
        """Read one image and cut it into the model's windows; what cannot be read is an item with its error."""
        start = time.perf_counter()
        try:
            image = load(source, self.limits)
            if (count := self._framing.count(*image.shape[:2])) > MOST_WINDOWS:
                raise InputError(
                    "too_large", f"{source.label}: it would be cut into {count:,} tiles, more than {MOST_WINDOWS:,}"
                )
            return Item(source, image, self._framing(image), None, ms_since(start))
        except InputError as error:
            return Item(source, None, None, error, ms_since(start))
        except (MemoryError, cv2.error) as failure:
            kind = "too_large" if isinstance(failure, MemoryError) else "unreadable"
            unfit = InputError(kind, f"{source.label}: cannot be decoded", cause_text=str(failure) or "out of memory")
            return Item(source, None, None, unfit, ms_since(start))

    def infer(self, batch: list[Window]) -> Future[Inferred]:
        """Start some windows on the device that has the least to do. Its failure is an InferenceError."""
        pixels = [window.pixels for window in batch if window.pixels is not None]
        done: Future[Inferred] = Future()
        done.set_running_or_notify_cancel()  # a stage that is closed must not cancel what the callback will set
        if not pixels:
            done.set_result(Inferred(batch, {}, 0.0, self.device_fields))
            return done
        start = time.perf_counter()
        share = self.opened.borrow()

        def finish(future: Future[dict[str, NDArray[Any]]]) -> None:
            self.opened.give_back(share)
            try:
                maps = future.result()
                check_answer(share.compiled, maps, len(pixels))
            except BaseException as error:  # the future of the group carries it on
                done.set_exception(self._inference_error(error, share))
                return
            each = ms_since(start) / len(pixels)
            done.set_result(Inferred(batch, maps, each, self._device_fields(share.used, share.precision)))

        try:
            future = start_batch(share, np.stack(pixels))
        except BaseException as error:
            self.opened.give_back(share)
            raise self._inference_error(error, share) from error
        future.add_done_callback(finish)
        return done

    def _inference_error(self, error: BaseException, share: Share) -> BaseException:
        """What a backend raised, as an InferenceError with its plugin's advice."""
        if isinstance(error, (CancelledError, KeyboardInterrupt)):
            return error
        if not isinstance(error, UadxError):
            text = words(error)
            failure = InferenceError(_failed(share), backend=self.opened.backend, stage=RUNNING, cause_text=text)
            failure.__cause__ = error
            error = failure
        error.hint = error.hint or self.opened.explain(error.__cause__ or error)
        return error

    @property
    def device_fields(self) -> dict[str, Any]:
        """What results say of the device where all devices of the run had their part, or none."""
        return self._device_fields(self.opened.used, self.opened.precision)

    def _device_fields(self, used: str, precision: str) -> dict[str, Any]:
        return {
            "requested": self.opened.requested,
            "used": used,
            "backend": self.opened.backend,
            "precision": precision,
            "simulated": self.opened.simulated,
            "fallback_reason": self.opened.fallback_reason,
        }

    def close(self) -> None:
        """Release the devices."""
        self.opened.close()


def _open(bundle: Bundle, config: PipelineConfig) -> OpenedModel:
    """The model on its devices, each of which repeats the bundle's first golden vector unless `verify` is off."""
    opened = open_model(
        Request(bundle.artifacts, config.precision, config.batch_size or 8, config.hint or HINT),
        config.device,
        fallback=config.fallback,
        devices_file=None if config.devices_file is None else Path(config.devices_file),
    )
    try:
        check_fits(opened.compiled, bundle)
        if config.verify:
            for share in opened.shares:
                with plugin_code(InferenceError, _failed(share), opened.backend, RUNNING):
                    parity = compare(
                        bundle.running(share.precision), partial(run_checked, share.compiled), share.precision, images=1
                    )
                require(parity, share.used, opened.backend)
    except BaseException:
        opened.close()
        raise
    return opened


def _failed(share: Share) -> str:
    return f"{share.used} failed while it ran the model"


def _bytes(item: Item) -> int:
    """What an item holds."""
    return 0 if item.image is None or item.framed is None else item.image.nbytes + item.framed.pixels.nbytes
