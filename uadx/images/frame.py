"""Which picture of a video or a live stream a source is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv"}
)
"""By these, in any letter case, a file is taken for a video; content decides whether it is one."""


@dataclass(frozen=True)
class Frame:
    """One frame. index: from 0, counting all that the video or the stream gave. time_s: seconds from the start of the
    video, or from the first frame of a live stream. captured_at: when a live frame arrived here, ISO 8601 in UTC; None
    for a video. dropped: frames of a live stream between the one inspected before and this one. video: the file.
    """

    index: int
    time_s: float
    captured_at: str | None = None
    dropped: int = 0
    video: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """What a result says of it."""
        return {
            "index": self.index,
            "time_s": self.time_s,
            "captured_at": self.captured_at,
            "dropped": self.dropped,
        }
