"""The newest frame of a camera, whenever the model is free for one: those that come meanwhile are passed over.

So a result is as old as the model is slow, and never older the longer a run goes on.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError, UadxWarning
from uadx.images.camera import TIMEOUT, Camera
from uadx.images.frame import Frame
from uadx.images.source import Source

GIVEN_UP = 60.0
"""Seconds without a frame after which a stream that broke off is not connected to again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before a stream is connected to again; twice as many each time."""
TRIES = 10
"""Frames in a row that cannot be read after which the stream has broken off; one may be damaged on its way."""
LOOK = 0.1
"""Seconds between two looks at the event that ends it all."""


@dataclass(frozen=True)
class _Taken:
    """A frame of the stream, as the reader had it."""

    pixels: NDArray[np.uint8]
    at: datetime
    clock: float
    index: int


class Live(Iterator[Source]):
    """Sources for ever: until stop is set, max_frames are drawn, or the stream is gone for good, which is a last source
    that fails. A context manager that lets go of the camera; raises InputError where that cannot be opened.

    in_flight: so many sources are drawn at a time; done() says that the result of one is there. fps: at most so many a
    second. seen: the frames so far; drawn: those of them that were given out. What the stream does on its way, a break
    and a return, is a UadxWarning.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        in_flight: int,
        fps: float | None = None,
        max_frames: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.seen = self.drawn = 0
        self._camera, self._free, self._max_frames = camera, in_flight, max_frames
        self._every = 1 / fps if fps else 0.0
        self._stop = stop or threading.Event()
        self._changed = threading.Condition()
        self._newest: _Taken | None = None
        self._last: _Taken | None = None
        self._due = self._started = 0.0
        self._heard, self._pause = time.monotonic(), FIRST_PAUSE
        self._lost: Exception | None = None
        self._news: list[str] = []
        self._first = camera.open()
        self._reader: threading.Thread | None = None

    def __next__(self) -> Source:
        with self._changed:
            if self._reader is None:  # not before: nobody may ever ask
                self._reader = threading.Thread(target=self._read, name="uadx-camera", daemon=True)
                self._reader.start()
            while not self._stop.is_set() and self.drawn != self._max_frames:
                while self._news:
                    warnings.warn(self._news.pop(0), UadxWarning, stacklevel=2)
                newest = self._newest
                if newest is not None:
                    if self._free > 0 and newest.clock >= self._due:
                        return self._take(newest)
                elif self._lost is not None:
                    return self._end(self._lost)
                self._changed.wait(LOOK)
        raise StopIteration

    def _take(self, newest: _Taken) -> Source:
        dropped = newest.index - (self._last.index + 1 if self._last else 0)
        self._due = max((self._due or newest.clock) + self._every, newest.clock)
        self._newest, self._last = None, newest
        self._free -= 1
        self.drawn += 1
        return self._source(newest.pixels, newest.at, newest.clock, newest.index, dropped)

    def _end(self, lost: Exception) -> Source:
        self._stop.set()
        if not isinstance(lost, InputError):
            raise lost
        self._free -= 1
        return self._source(lost, datetime.now(timezone.utc), time.monotonic(), self.seen, 0)

    def _source(
        self, data: NDArray[np.uint8] | InputError, at: datetime, clock: float, index: int, dropped: int
    ) -> Source:
        """Named by the time, so that the frames of two runs into one folder are never mixed up."""
        utc = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        output = self._camera.output / at.strftime("%Y%m%dT%H%M%S.%fZ")
        frame = Frame(index, round(clock - self._started, 6), utc, dropped)
        return Source(f"{self._camera.label}#{utc}", output, data, frame)

    @property
    def passed_over(self) -> int:
        """The frames so far that were not drawn."""
        return self.seen - self.drawn

    def done(self) -> None:
        """One result is there, so that the next frame may be drawn."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def _read(self) -> None:
        """The reader's thread: takes every frame as it comes, so that none waits in a buffer on the way."""
        capture: cv2.VideoCapture | None = self._first
        try:
            while capture is not None:
                try:
                    self._drain(capture)
                finally:
                    capture.release()
                capture = self._connected_again()
        except Exception as error:  # raised where the next frame is asked for
            self._lost = error

    def _drain(self, capture: cv2.VideoCapture) -> None:
        """Until the stream breaks off."""
        before, failed = self.seen, 0
        while not self._stop.is_set() and failed < TRIES:
            try:
                there, pixels = capture.retrieve() if capture.grab() else (False, None)
            except cv2.error:  # damaged on its way
                there, pixels = False, None
            if not there or pixels is None:
                failed += 1
                if time.monotonic() - self._heard > TIMEOUT:
                    return
                continue
            failed, self._heard, self._pause = 0, time.monotonic(), FIRST_PAUSE
            taken = _Taken(pixels.astype(np.uint8, copy=False), datetime.now(timezone.utc), self._heard, self.seen)
            with self._changed:
                if not self.seen:
                    self._started = taken.clock
                elif self.seen == before:
                    self._news.append(f"{self._camera.label} is back")
                self._newest = taken
                self.seen += 1
                self._changed.notify_all()

    def _connected_again(self) -> cv2.VideoCapture | None:
        """None where that was given up, or is not wanted any more."""
        if self._pause == FIRST_PAUSE:
            self._news.append(f"{self._camera.label} broke off: connecting again, for {GIVEN_UP:g} s")
        reason: str | None = "it can be opened, but gives no frame"
        while time.monotonic() - self._heard < GIVEN_UP:
            if self._stop.wait(self._pause):
                return None
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                return self._camera.open()
            except InputError as error:
                reason = error.cause_text
        self._lost = InputError(
            "unreachable",
            f"{self._camera.label} broke off and was not back within {GIVEN_UP:g} s",
            cause_text=reason,
        )
        return None

    def close(self) -> None:
        """Let go of the camera; a read that hangs is left to its own timeout."""
        self._stop.set()
        if self._reader is None:
            self._first.release()
        else:
            self._reader.join(TIMEOUT / 2)

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
