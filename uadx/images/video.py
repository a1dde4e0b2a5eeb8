"""The frames of a video file, in order, as sources."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2

from uadx.errors import InputError
from uadx.images.capture import open_capture
from uadx.images.frame import Frame
from uadx.images.naming import is_address, printable
from uadx.images.source import Source
from uadx.images.sources import IMAGE_SUFFIXES

PATIENCE = 250
"""Frames in a row that cannot be decoded after which the video is over: at 25 frames a second, ten seconds."""


def read_video(
    path: Path, output: PurePosixPath, *, fps: float | None = None, max_frames: int | None = None
) -> Iterator[Source]:
    """The frames as sources "video.mp4#120", placed as video.mp4/000120, one by one: each is decoded as it is drawn.

    fps: so many frames of each second of the video, the first ones of equal parts of it; None: every frame.
    max_frames: end after so many sources. What cannot be opened, a damaged part, and an end that comes before its time
    are sources that fail with an InputError: not_a_video, empty, unreadable, truncated.
    """
    try:
        capture = _open(path)
    except InputError as error:
        fault = InputError(error.kind, f"{printable(path)}: {error.message}", cause_text=error.cause_text)
        yield Source(printable(path), output, fault)
        return
    try:
        yield from itertools.islice(_frames(capture, path, output, fps), max_frames)
    finally:
        capture.release()


def frames_to_come(path: Path, *, fps: float | None, max_frames: int | None) -> int | None:
    """About how many frames read_video will give, by what the file says of itself; None where it says nothing."""
    try:
        capture = _open(path)
    except InputError:
        return None
    count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    if count <= 0:
        return None
    if fps is not None and rate > 0:
        count = min(count, math.ceil(count / rate * fps))
    return min(int(count), max_frames or int(count))


def may_have_frames(what: object) -> bool:
    """Whether an input can be, or name, a video or a live stream; False for what surely is still images."""
    if isinstance(what, (list, tuple)):
        return any(map(may_have_frames, what))
    if not isinstance(what, (str, Path)):
        return isinstance(what, int)
    path = Path(what)
    web = is_address(str(what)) and not str(what).lower().startswith("rtsp")
    return not (web or path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES)


def _open(path: Path) -> cv2.VideoCapture:
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        raise InputError("unreadable", "cannot be read", cause_text=error.strerror) from None
    if not head:
        raise InputError("empty", "the file is empty")
    name = os.path.abspath(path)  # which FFmpeg cannot take for an address
    try:
        name.encode()
    except UnicodeEncodeError:  # OpenCV ends the process
        raise InputError("unsupported", "a video's name must be UTF-8: rename the file") from None
    capture = open_capture(name)
    if capture.isOpened():
        return capture
    cut = ": it has no index, as a recording that was cut off" if head[4:8] == b"ftyp" else ""
    raise InputError("not_a_video", f"OpenCV's FFmpeg finds no video in it{cut}")


def _frames(capture: cv2.VideoCapture, path: Path, output: PurePosixPath, fps: float | None) -> Iterator[Source]:
    name = printable(path)

    def unreadable(frame: Frame, kind: str, message: str) -> Source:
        label = f"{name}#{frame.index}"
        return Source(label, output / f"{frame.index:06}", InputError(kind, f"{label}: {message}"), frame)

    index, failed, time_s = 0, 0, 0.0
    part = -math.inf
    while failed < PATIENCE:
        if not capture.grab():
            failed += 1
            continue
        if failed:
            what = "a frame" if failed == 1 else f"{failed} frames from here on"
            yield unreadable(Frame(index, time_s, video=path), "unreadable", f"{what} cannot be decoded: damaged")
            index, failed = index + failed, 0
        time_s = round(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, 6)
        frame = Frame(index, time_s, video=path)
        index += 1
        if fps is not None:
            if (due := math.floor(time_s * fps + 1e-6)) <= part:
                continue
            part = due
        decoded, pixels = capture.retrieve()
        if decoded:
            yield Source(f"{name}#{frame.index}", output / f"{frame.index:06}", pixels, frame)
        else:
            yield unreadable(frame, "unreadable", "the frame cannot be decoded: damaged")
    total, rate = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    lasted = rate > 0 and time_s + 1.5 / rate >= total / rate  # where frames vary in length, their number is a guess
    if index == 0 or (index < total and not lasted):
        there = f"{index} of {total}" if total > 0 else str(index)
        yield unreadable(Frame(index, time_s, video=path), "truncated", f"the video ends after {there} frames")
