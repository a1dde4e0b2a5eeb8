"""results.csv: one row an image, for spreadsheets; the nested fields in short."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from uadx.files import whole_file

COLUMNS = (
    "input_path",
    "height",
    "width",
    "score",
    "threshold",
    "verdict",
    "p_value",
    "regions",
    "largest_region",
    "device",
    "precision",
    "simulated",
    "error",
    "frame",
    "time_s",
    "captured_at",
)


@contextlib.contextmanager
def csv_table(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields what adds a row, given a result's JSON fields. The file is there whole after the context, or not at all;
    in UTF-8 with a byte order mark (spreadsheets take it for Latin-1 otherwise)."""
    with whole_file(path) as binary:
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="backslashreplace", newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        try:
            yield lambda fields: writer.writerow(_row(fields))
        finally:
            text.detach()  # which writes what is left; the file is closed by its own context


def _no_formula(path: str) -> str:
    """The same path, but none that a spreadsheet would run: a file may be called =HYPERLINK(...).png."""
    return f"./{path}" if path.startswith(("=", "+", "-", "@")) else path


def _row(result: dict[str, Any]) -> list[object]:
    height, width = result["image_size"] or (None, None)
    regions = result["regions"]
    largest = max(regions, key=lambda region: region["area"])["bbox"] if regions else None
    error = result["error"]
    frame = result.get("frame") or {}  # a run of an older uadx, gone on with, has none
    return [
        _no_formula(result["input_path"]),
        height,
        width,
        result["score"],
        result["threshold"],
        None if result["is_anomaly"] is None else ("NG" if result["is_anomaly"] else "OK"),
        result["p_value"],
        len(regions),
        None if largest is None else json.dumps(largest),
        result["device"]["used"],
        result["device"]["precision"],
        result["device"]["simulated"],
        None if error is None else f"{error['type']}: {error['message']}",
        frame.get("index"),
        frame.get("time_s"),
        frame.get("captured_at"),
    ]
