"""The files of one image: overlay, heat map, mask and JSON, each in a folder of its own under the input's path.

A file is called after the whole name of its input ("sub/part.png" -> "overlay/sub/part.png.jpg"), so that part.png
and part.jpg never overwrite each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from uadx.files import write_whole
from uadx.render.heatmap import heatmap
from uadx.render.overlay import mask
from uadx.result import Result, encode_image


def _overlay(result: Result) -> bytes:
    return encode_image(result.img, ".jpg")


def _heatmap(result: Result) -> bytes:
    return encode_image(heatmap(result.anomaly_map, result["threshold"]), ".png")


def _mask(result: Result) -> bytes:
    return encode_image(mask(result.anomaly_map, result["threshold"], result["is_anomaly"]), ".png")


def to_json(result: Result, indent: int | None = None) -> bytes:
    """The fields as UTF-8 JSON; what a file name holds beyond UTF-8 becomes a \\udcxx escape."""
    return json.dumps(result.json, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _json(result: Result) -> bytes:
    return to_json(result, indent=4) + b"\n"


_PICTURES: dict[str, tuple[Callable[[Result], bytes], str]] = {
    "overlay": (_overlay, ".jpg"),
    "heatmap": (_heatmap, ".png"),
    "mask": (_mask, ".png"),
}

PICTURE_FOLDERS = tuple(_PICTURES)


def write_files(result: Result, root: Path, formats: Collection[str]) -> None:
    """Write the files of one result below root. An input that could not be read has a JSON file and no pictures."""
    if "json" in formats:
        write_whole(root / "json" / f"{result.source.output}.json", _json(result))
    if result.error is not None:
        return
    for name, (draw, suffix) in _PICTURES.items():
        if name in formats:
            write_whole(root / name / f"{result.source.output}{suffix}", draw(result))
