"""What each stage around the engine costs, one after the other in one thread, in milliseconds of that core."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from uadx.images.source import Source
from uadx.output.pictures import to_json, write_files
from uadx.pipeline.inspector import Inspector
from uadx.pipeline.windows import Complete

PICTURES = 64
"""Images that are looked at; more would tell the same."""

A = TypeVar("A")
B = TypeVar("B")


def stages(inspector: Inspector, sources: Sequence[Source], formats: Collection[str]) -> dict[str, float]:
    """Core-milliseconds an image by stage: decode (and resize), score, json, and the pictures of the formats."""
    chosen = sources[:PICTURES]
    found: dict[str, float] = {}
    items = _timed(found, "decode", inspector.decode, chosen)
    inferred = []
    for item in items:
        if item.framed is not None:
            item.device = inspector.device_fields
            inferred.append(Complete([item], inspector.level_maps(np.stack(item.framed.windows))))
    scored = _timed(found, "score", lambda one: inspector.score(one, inspector.thresholds), inferred)
    results = [result for group in scored for result in group]
    _timed(found, "json", lambda result: to_json(result.json), results)
    if pictures := sorted(set(formats) - {"jsonl", "csv"}):
        with tempfile.TemporaryDirectory(prefix="uadx-bench-") as folder:
            _timed(found, "+".join(pictures), lambda result: write_files(result, Path(folder), pictures), results)
    return found


def _timed(found: dict[str, float], name: str, work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    began = time.thread_time()
    made = [work(item) for item in items]
    found[name] = 1e3 * (time.thread_time() - began) / max(1, len(items))
    return made
