"""`run.thumbnails`: the pictures of a run's report, drawn while each image is at hand, so that none is read twice.

One line of JSON a result, in their order and written before it, so that a kill never leaves fewer than results.
Removed when the run is done; a run that watches keeps it, to go on with. However long that runs, it holds no more than
twice the pictures that a report shows: those that none will show are cut out (uadx.report.bounds).
"""

from __future__ import annotations

import base64
import itertools
import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.errors import OutputError
from uadx.files import whole_file
from uadx.images.naming import printable
from uadx.output.pictures import place_of
from uadx.render.overlay import marked, mask
from uadx.report import bounds
from uadx.report.pictures import shrunk
from uadx.report.thumbnail import Thumbnail
from uadx.result import Result
from uadx.scoring.fusion import upsample

NAME = "run.thumbnails"
SMALL, LARGE = 96, 208
"""Longer sides in pixels. The report has the large pictures of the highest scores, and the small ones of the next."""
QUALITY = 55
"""WebP's."""
_NO_PICTURE = b'"small":""'
"""In a line of JSON; in a name the quotes would be escaped."""


def thumbnail_line(result: Result, formats: Collection[str]) -> bytes:
    """A result's line, without its end."""
    name = printable(result.source.output)
    if result.error is not None:
        return msgspec.json.encode(Thumbnail(name))
    overlay = quote(os.fsencode(place_of("overlay", result).as_posix())) if "overlay" in formats else ""
    image = result.image
    small = _drawn(result, image, SMALL)
    large = _drawn(result, image, LARGE)
    return msgspec.json.encode(Thumbnail(name, overlay, small, large, result["score"]))


def _drawn(result: Result, image: NDArray[np.uint8], side: int) -> str:
    """Heat and outlines on the shrunken picture, as base64 of a WebP. The map is shrunk by its maximum: what is small
    and hot is what a reader looks for."""
    assert result.feature_map is not None
    picture = shrunk(image, side)
    height, width = picture.shape[:2]
    cells = [
        max(1, math.ceil(have / want)) for have, want in zip(result.feature_map.shape, (height, width), strict=True)
    ]
    hottest = cv2.dilate(result.feature_map, np.ones(cells, np.uint8)) if max(cells) > 1 else result.feature_map
    anomaly_map = upsample(np.asarray(hottest, np.float32), height, width)
    region = mask(anomaly_map, result.region_threshold, result["is_anomaly"])
    _, data = cv2.imencode(
        ".webp", marked(picture, anomaly_map, region, result["threshold"]), [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
    )
    return base64.b64encode(data.tobytes()).decode()


def _has_picture(line: bytes) -> bool:
    return len(line) > 1 and _NO_PICTURE not in line


class Thumbnails:
    """The file, opened to add to its first `count` lines. Raises OutputError."""

    def __init__(self, root: Path, count: int) -> None:
        self._path = root / NAME
        self._pictures = 0
        try:
            self._file = open(self._path, "a+b")  # noqa: SIM115  (held for the whole run)
            self._keep(count)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written", cause_text=str(error), hint="make room there"
            ) from error

    def _keep(self, count: int) -> None:
        self._file.seek(0)
        whole = there = 0
        for line in itertools.islice(self._file, count):
            if line.endswith(b"\n"):
                whole, there = whole + len(line), there + 1
                self._pictures += _has_picture(line)
        self._file.truncate(whole)
        self._file.write(b"\n" * (count - there))  # somebody removed it: these results have no picture
        self._file.flush()

    def add(self, line: bytes) -> None:
        """Write one line and hand it to the operating system."""
        self._file.write(line + b"\n")
        self._file.flush()
        self._pictures += _has_picture(line)
        if self._pictures > 2 * bounds.SMALL:
            self._cut_out()

    def _cut_out(self) -> None:
        """Leave the pictures of the highest scores, and of what has no row in the report nothing."""
        ranks = bounds.places(thumbnail.score for thumbnail in self.read())
        shown = bounds.has_row(ranks)
        self._pictures = 0
        with whole_file(self._path) as file:
            for thumbnail, rank, has_row in zip(self.read(), ranks, shown, strict=True):
                kept = msgspec.structs.replace(
                    thumbnail,
                    small=thumbnail.small if rank < bounds.SMALL else "",
                    large=thumbnail.large if rank < bounds.LARGE else "",
                )
                line = msgspec.json.encode(kept) if has_row else b""
                file.write(line + b"\n")
                self._pictures += _has_picture(line)
        self._file.close()
        self._file = open(self._path, "a+b")  # noqa: SIM115

    def read(self) -> Iterator[Thumbnail]:
        """One for each result, in their order."""
        with open(self._path, "rb") as file:
            for line in file:
                yield Thumbnail() if line == b"\n" else msgspec.json.decode(line, type=Thumbnail)

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Close and remove it."""
        self.close()
        self._path.unlink()
