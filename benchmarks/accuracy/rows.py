"""The figures of trainings in a file of JSON lines, one for each training and scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from uadx.files import write_whole

Row = dict[str, Any]
MEASURED = Path(__file__).parent / "measured.jsonl"
KEY = ("data", "images", "teacher", "seen", "variant", "seed", "scoring")


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def keep(path: Path, rows: list[Row]) -> None:
    """Add rows to the file, in place of those of the same training and scoring."""
    by_key = {tuple(row[name] for name in KEY): row for row in [*read(path), *rows]}
    lines = [json.dumps(by_key[key]) + "\n" for key in sorted(by_key)]
    write_whole(path, "".join(lines).encode())
