"""What /metrics tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """One server's, in a registry of its own, so that two servers in a process do not mix."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("uadx_requests", "Requests answered.", ["endpoint", "status"], registry=registry)
        self.errors = Counter("uadx_errors", "Requests and images refused, by kind.", ["kind"], registry=registry)
        self.verdicts = Counter("uadx_verdicts", "Images inspected, by verdict.", ["verdict"], registry=registry)
        self.request_seconds = Histogram(
            "uadx_request_seconds", "From a request's head to its answer.", ["endpoint"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "uadx_stage_seconds", "Time of an image in a stage: queue, decode, infer, score.", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch = Histogram(
            "uadx_batch_windows", "Windows of images in a batch for the device.", buckets=_IMAGES, registry=registry
        )
        self.crashes = Counter("uadx_device_failures", "Failures of the device.", registry=registry)
        self.reloads = Counter("uadx_reloads", "Models loaded anew.", ["outcome"], registry=registry)
        self._queue = Gauge("uadx_queue_images", "Images that wait or are under way.", registry=registry)
        self._ready = Gauge("uadx_ready", "1 where a model is ready to answer.", registry=registry)

    def watch(self, waiting: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Read these whenever the metrics are asked for."""
        self._queue.set_function(waiting)
        self._ready.set_function(ready)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
