"""By what a folder is known as that of a run: its `run.json`, and the sub-folders that hold the run's pictures."""

from __future__ import annotations

import json
from pathlib import Path

RECORD = "run.json"
PICTURE_FOLDERS = ("overlay", "heatmap", "mask")


def holds_pictures_of_a_run(folder: Path) -> bool:
    """Whether folder is one of the sub-folders into which a run wrote its pictures."""
    if folder.name not in PICTURE_FOLDERS:
        return False
    try:
        return is_record((folder.parent / RECORD).read_bytes())
    except OSError:
        return False


def is_record(content: bytes) -> bool:
    """Whether a `run.json` is a run's, and no other program's file of that name."""
    try:
        record = json.loads(content)
    except ValueError:
        return False
    return isinstance(record, dict) and {"run", "finished", "counts"} <= record.keys()
