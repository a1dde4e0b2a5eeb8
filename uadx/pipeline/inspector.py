"""One model on one device, and the way of an image through it: decode, infer, score, in input order."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.api import CompiledModel, CompileOptions
from uadx.bundle.reader import Bundle
from uadx.devices.resolve import OpenedModel, open_model
from uadx.errors import BundleError, InferenceError, InputError, UadxError
from uadx.images.decode import Limits, load
from uadx.images.preprocess import fit
from uadx.images.sources import Source
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.stream import grouped, staged
from uadx.result import Result
from uadx.scoring.fusion import anomaly_maps, image_scores
from uadx.scoring.regions import find_regions


@dataclass
class _Item:
    """One input on its way: what decode made of it, or why it could not."""

    source: Source
    image: NDArray[np.uint8] | None
    fitted: NDArray[np.uint8] | None
    error: InputError | None
    decode_ms: float


@dataclass
class _Inferred:
    """A group of items and the level maps of those that were decoded."""

    items: list[_Item]
    maps: dict[str, NDArray[np.float32]]
    infer_ms: float


class Inspector:
    """Holds the compiled model and the worker threads; close() releases both. Use one thread at a time."""

    def __init__(self, bundle: Bundle, config: PipelineConfig) -> None:
        self.bundle = bundle
        self.config = config
        self.calibration = bundle.calibration(config.fusion)
        self.threshold = self.threshold_for(config)
        self.limits = Limits(max_pixels=config.max_pixels, url_timeout=config.url_timeout)
        self.workers = config.workers or usable_cores()
        options = CompileOptions(precision=config.precision, max_batch=config.batch_size or 8)  # type: ignore[arg-type]
        self.opened: OpenedModel = open_model(bundle.artifact, config.device, options)
        _check_fits(self.opened.compiled, bundle)
        capabilities = self.opened.compiled.capabilities
        # a runtime that runs requests side by side is busy with single images, any other wants real batches
        best = capabilities.static_batch or (1 if capabilities.async_depth > 1 else 8)
        self.batch_size = config.batch_size or best
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="uadx-worker")
        self._model_field = {"name": bundle.manifest.name, "sha256": bundle.sha256}
        self._device_field = {
            "requested": self.opened.requested,
            "used": self.opened.used,
            "backend": self.opened.backend,
            "precision": self.opened.precision,
            "simulated": self.opened.simulated,
            "fallback_reason": self.opened.fallback_reason,
        }

    def threshold_for(self, config: PipelineConfig) -> float:
        """The threshold a configuration means: its own, its false-alarm rate's, or the bundle's default."""
        if config.threshold is not None:
            return config.threshold
        return self.calibration.threshold(config.fpr or self.bundle.manifest.default_fpr)

    def inspect(self, sources: Iterable[Source], threshold: float, batch_size: int) -> Generator[Result, None, None]:
        """Results in the order of the sources. A bad input is a result with `error`; a failing device raises."""
        depth = self.opened.compiled.capabilities.async_depth
        decoded = staged(sources, lambda s: self._pool.submit(self._decode, s), self.workers + batch_size)
        inferred = staged(grouped(decoded, batch_size), self._infer, depth + 1)
        scored = staged(inferred, lambda i: self._pool.submit(self._score, i, threshold), self.workers + 1)
        with contextlib.closing(scored):
            for results in scored:
                yield from results

    def level_maps(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The model alone: uint8 RGB [N, H, W, 3] at the model's size -> level maps float32 [N, h, w] by name."""
        return run_batch(self.opened.compiled, batch)

    @property
    def identity(self) -> dict[str, Any]:
        """All that results depend on beside the images, in JSON values."""
        return {
            "model": self.bundle.sha256,
            "threshold": self.threshold,
            "fusion": self.config.fusion,
            "device": self.opened.used,
            "precision": self.opened.precision,
            "batch_size": self.batch_size,
            "max_pixels": self.config.max_pixels,
        }

    def _decode(self, source: Source) -> _Item:
        start = time.perf_counter()
        size = self.bundle.manifest.input
        try:
            image = load(source, self.limits)
            return _Item(source, image, fit(image, size.height, size.width), None, _ms_since(start))
        except InputError as error:
            return _Item(source, None, None, error, _ms_since(start))
        except (MemoryError, cv2.error) as failure:
            kind = "too_large" if isinstance(failure, MemoryError) else "unreadable"
            unfit = InputError(kind, f"{source.label}: cannot be decoded", cause_text=str(failure) or "out of memory")
            return _Item(source, None, None, unfit, _ms_since(start))

    def _infer(self, items: list[_Item]) -> Future[_Inferred]:
        fitted = [item.fitted for item in items if item.fitted is not None]
        done: Future[_Inferred] = Future()
        done.set_running_or_notify_cancel()  # a stage that is closed must not cancel what the callback will set
        if not fitted:
            done.set_result(_Inferred(items, {}, 0.0))
            return done
        start = time.perf_counter()

        def finish(future: Future[dict[str, NDArray[Any]]]) -> None:
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                done.set_result(_Inferred(items, future.result(), _ms_since(start) / len(fitted)))
            else:
                done.set_exception(_as_inference_error(error, self.opened))

        submit_batch(self.opened.compiled, np.stack(fitted)).add_done_callback(finish)
        return done

    def _score(self, inferred: _Inferred, threshold: float) -> list[Result]:
        start = time.perf_counter()
        size = self.bundle.manifest.input
        scoring, fusion = self.bundle.manifest.scoring, self.config.fusion
        results = []
        feature_maps, scores = np.empty((0, 0, 0), np.float32), np.empty(0)
        if inferred.maps:
            feature_maps = anomaly_maps(inferred.maps, scoring, fusion, (size.height, size.width))
            scores = image_scores(feature_maps, scoring, fusion)
        good = iter(zip(feature_maps, scores, strict=True))
        fusion_ms = _ms_since(start) / max(1, len(scores))
        for item in inferred.items:
            if item.error is not None:
                results.append(self._failed(item, threshold))
                continue
            start = time.perf_counter()
            feature_map, score = next(good)
            if not np.isfinite(score):  # NaN > threshold is False, and would be a verdict of OK
                raise InferenceError(
                    f"{self.opened.used} gave level maps that are not numbers for {item.source.label}",
                    backend=self.opened.backend,
                    stage="scoring",
                    hint="the precision may overflow: try --precision f32; or the model's weights are damaged",
                )
            result = self._inspected(item, feature_map.copy(), float(score), threshold)
            result["ms"]["infer"] = round(inferred.infer_ms, 3)
            result["ms"]["score"] = round(fusion_ms + _ms_since(start), 3)
            results.append(result)
        return results

    def _inspected(self, item: _Item, feature_map: NDArray[np.float32], score: float, threshold: float) -> Result:
        assert item.image is not None
        fields = self._fields(item, threshold)
        height, width = item.image.shape[:2]
        is_anomaly = score > threshold
        fields |= {
            "image_size": [height, width],
            "score": score,
            "is_anomaly": is_anomaly,
            "p_value": self.calibration.p_value(score),
        }
        result = Result(fields, item.source, self._load, feature_map=feature_map)
        result.hold(item.image, None)
        if is_anomaly:
            anomaly_map = result.anomaly_map
            result.regions = find_regions(anomaly_map, threshold)
            fields["regions"] = [region.as_json() for region in result.regions]
            result.hold(item.image, anomaly_map)
        return result

    def _failed(self, item: _Item, threshold: float) -> Result:
        assert item.error is not None
        fields = self._fields(item, threshold)
        fields["error"] = {"type": item.error.kind, "message": _one_line(item.error)}
        return Result(fields, item.source, self._load, error=item.error)

    def _fields(self, item: _Item, threshold: float) -> dict[str, Any]:
        return {
            "input_path": item.source.label,
            "image_size": None,
            "score": None,
            "threshold": threshold,
            "is_anomaly": None,
            "p_value": None,
            "regions": [],
            "model": self._model_field,
            "device": self._device_field,
            "ms": {"decode": round(item.decode_ms, 3), "infer": None, "score": None},
            "error": None,
        }

    def _load(self, source: Source) -> NDArray[np.uint8]:
        return load(source, self.limits)

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The worker threads, for what follows scoring (drawing and writing)."""
        return self._pool

    def close(self) -> None:
        """Release the device and the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.opened.compiled.close()


def _check_fits(compiled: CompiledModel, bundle: Bundle) -> None:
    """A model whose hashes are right may still be another one."""
    size = bundle.manifest.input
    taken = {(spec.name, spec.shape[1:], spec.dtype) for spec in compiled.inputs}
    given = {spec.name for spec in compiled.outputs}
    fits = taken == {(size.name, (size.height, size.width, 3), size.dtype)}
    if not fits or not given >= set(bundle.manifest.scoring.levels):
        compiled.close()
        raise BundleError(
            f"{bundle.path}: {bundle.artifact.path.name} does not fit its manifest",
            cause_text=f"it takes {sorted(taken)} and gives {sorted(given)}",
            hint="a bundle is what `uadx train` writes",
        )


def usable_cores() -> int:
    """The cores this process may use, which in a container are fewer than the host's."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def submit_batch(model: CompiledModel, batch: NDArray[np.uint8]) -> Future[dict[str, NDArray[Any]]]:
    """Start a batch of any size: split where the model's largest is smaller, padded where its size is fixed."""
    limit = model.capabilities.static_batch or model.capabilities.max_batch or len(batch)
    if len(batch) == limit or (len(batch) < limit and model.capabilities.static_batch is None):
        return model.submit({"image": batch})
    done: Future[dict[str, NDArray[Any]]] = Future()
    try:
        parts = [_infer_padded(model, batch[at : at + limit]) for at in range(0, len(batch), limit)]
        done.set_result({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    except Exception as error:  # the future carries it to the caller
        done.set_exception(error)
    return done


def run_batch(model: CompiledModel, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Level maps by name of uint8 RGB images [N, H, W, 3] at the model's size; N may be anything."""
    return submit_batch(model, batch).result()


def _infer_padded(model: CompiledModel, part: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
    fixed = model.capabilities.static_batch
    if fixed is None or len(part) == fixed:
        return model.infer({"image": part})
    padding = np.zeros((fixed - len(part), *part.shape[1:]), part.dtype)
    outputs = model.infer({"image": np.concatenate([part, padding])})
    return {name: value[: len(part)] for name, value in outputs.items()}


def _as_inference_error(error: BaseException, opened: OpenedModel) -> BaseException:
    if isinstance(error, UadxError) or not isinstance(error, Exception):
        return error
    return InferenceError(
        f"{opened.used} failed while it ran the model",
        backend=opened.backend,
        stage="inference",
        cause_text=f"{type(error).__name__}: {error}",
    )


def _one_line(error: InputError) -> str:
    return error.message if error.cause_text is None else f"{error.message}: {error.cause_text.strip()}"


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3
