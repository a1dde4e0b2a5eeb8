"""The files of one image: overlay, heat map, mask and JSON, each in a folder of its own under the input's path.

A file is called after the whole name of its input ("sub/part.png" -> "overlay/sub/part.png.jpg"), so that part.png
and part.jpg never overwrite each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uadx.files import write_whole
from uadx.render.heatmap import heatmap
from uadx.render.overlay import mask
from uadx.result import Result, encode_image


def _overlay(result: Result) -> NDArray[np.uint8]:
    return result.img


def _heatmap(result: Result) -> NDArray[np.uint8]:
    return heatmap(result.anomaly_map, result["threshold"])


def _mask(result: Result) -> NDArray[np.uint8]:
    return mask(result.anomaly_map, result.region_threshold, result["is_anomaly"])


def to_json(fields: dict[str, Any], indent: int | None = None) -> bytes:
    """The fields of a result as UTF-8 JSON; what a file name holds beyond UTF-8 becomes a \\udcxx escape."""
    return json.dumps(fields, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _json(result: Result) -> bytes:
    return to_json(result.json, indent=4) + b"\n"


_PICTURES: dict[str, tuple[Callable[[Result], NDArray[np.uint8]], str]] = {
    "overlay": (_overlay, ".jpg"),
    "heatmap": (_heatmap, ".png"),
    "mask": (_mask, ".png"),
}

JPEG_LIMIT = 65_000
"""Sides longer than 65,535 pixels do not fit into a JPEG; such an overlay is a PNG."""
NAME_LIMIT = 240
"""Bytes of a file name; file systems take 255."""


def files_of(result: Result, formats: Collection[str]) -> Iterator[tuple[Path, bytes]]:
    """The files of one result, each by its place in the folder of the run. An input that could not be read has a JSON
    file and no pictures."""
    if "json" in formats:
        yield _place(Path("json"), result, ".json"), _json(result)
    if result.error is not None:
        return
    for name, (draw, _) in _PICTURES.items():
        if name in formats:
            place = place_of(name, result)
            yield place, encode_image(draw(result), place.suffix)


def write_files(result: Result, root: Path, formats: Collection[str]) -> None:
    """Write the files of one result below root."""
    for place, data in files_of(result, formats):
        write_whole(root / place, data)


def place_of(name: str, result: Result) -> Path:
    """Where a picture of a result goes, relative to the folder of the run. name: a format that is a picture."""
    _, suffix = _PICTURES[name]
    if suffix == ".jpg" and max(result["image_size"]) > JPEG_LIMIT:
        suffix = ".png"
    return _place(Path(name), result, suffix)


def _place(folder: Path, result: Result, suffix: str) -> Path:
    """Where a file of a result goes. A name too long for its suffix is cut and told apart by a hash."""
    output = result.source.output
    name = output.name.encode("utf-8", "surrogateescape")
    if len(name) + len(suffix) > NAME_LIMIT:
        digest = hashlib.sha256(name).hexdigest()[:12]
        output = output.with_name(f"{name[: NAME_LIMIT - 20].decode('utf-8', 'ignore')}-{digest}")
    return folder / f"{output}{suffix}"
