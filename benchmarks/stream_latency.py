"""Whether results stay fresh where the engine is slower than the camera: python benchmarks/stream_latency.py

A drawn camera gives 25 pictures a second to an engine that is made to take 200 ms for each. Printed is how long after
its capture a frame's result was there, for each fifth of the run.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import PurePosixPath
from statistics import quantiles
from typing import Any

import numpy as np

from uadx.demo.product import render_good
from uadx.images.camera import Camera
from uadx.pipeline import create_pipeline


class DrawnCapture:
    """What cv2.VideoCapture offers, at a fixed rate."""

    def __init__(self, rate: float) -> None:
        self._picture = render_good(np.random.default_rng(0))
        self._every, self._next = 1 / rate, time.monotonic()

    def grab(self) -> bool:
        self._next += self._every
        time.sleep(max(0.0, self._next - time.monotonic()))
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, self._picture.copy()

    def release(self) -> None:
        pass


class DrawnCamera(Camera):
    """Opens a DrawnCapture."""

    def open(self) -> Any:
        return DrawnCapture(self.target)


def slow_down(compiled: Any, seconds: float) -> None:
    """Let each inference take so long, one after the other."""
    infer, engine = compiled.infer, ThreadPoolExecutor(1)

    def slow(batch: Any) -> Any:
        time.sleep(seconds)
        return infer(batch)

    def submit(batch: Any) -> Future[Any]:
        return engine.submit(slow, batch)

    compiled.submit = submit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rate", type=int, default=25, help="pictures a second")
    parser.add_argument("--engine-ms", type=float, default=200)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    ages = []
    with create_pipeline(device=asked.device, batch_size=1) as pipeline:
        if asked.engine_ms:
            slow_down(pipeline.inspector.opened.compiled, asked.engine_ms / 1000)
        camera = DrawnCamera("drawn", PurePosixPath("drawn"), asked.rate)
        with pipeline.live(camera, pipeline.config, max_frames=asked.frames) as live:
            start = time.monotonic()
            for result in pipeline.inspect(live, pipeline.config):
                captured = datetime.fromisoformat(result["frame"]["captured_at"].replace("Z", "+00:00"))
                ages.append((datetime.now(timezone.utc) - captured).total_seconds() * 1000)
                live.done()
            rate = asked.frames / (time.monotonic() - start)
            print(f"{live.seen} frames came, {live.passed_over} passed over, {rate:.1f} inspected a second")
    fifth = len(ages) // 5
    for part in range(5):
        _, median, _ = quantiles(ages[part * fifth : (part + 1) * fifth], n=4)
        most = max(ages[part * fifth : (part + 1) * fifth])
        print(f"fifth {part + 1}: median {median:.0f} ms, at most {most:.0f} ms")


if __name__ == "__main__":
    main()
