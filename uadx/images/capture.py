"""OpenCV's VideoCapture, opened without a word on stderr: what OpenCV and FFmpeg print there can name a password."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2


def open_capture(target: str | int, settings: Sequence[tuple[int, int]] = ()) -> cv2.VideoCapture:
    """Open a file or an address through FFmpeg, or a camera by its number; isOpened() says whether it could be.

    settings: pairs of a cv2.CAP_PROP_* and its value, for FFmpeg. The caller calls release().
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's "quiet"; read when the first one is opened
    before = _set_log_level(0)
    try:
        if isinstance(target, int):
            return cv2.VideoCapture(target)
        return cv2.VideoCapture(target, cv2.CAP_FFMPEG, [number for pair in settings for number in pair])
    finally:
        _set_log_level(before)


def prepare_opencv() -> None:
    """For a process that works on images side by side: OpenCV is silent, since what it says of a damaged image or
    stream stands in its result, and has no threads of its own, which would fight the engine for the cores."""
    _set_log_level(0)
    cv2.setNumThreads(1)


def _set_log_level(level: int) -> int:
    """The level before. OpenCV 5 has the call in another place than 4."""
    logging = getattr(cv2.utils, "logging", None)
    if logging is not None:
        before: int = logging.getLogLevel()
        logging.setLogLevel(level)
        return before
    calls = vars(cv2)
    before = calls["getLogLevel"]()
    calls["setLogLevel"](level)
    return before
