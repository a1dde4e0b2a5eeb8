"""By what a folder is known as that of a run: its `run.json`, and the sub-folders that hold the run's pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from uadx.errors import UsageError

RECORD = "run.json"
PICTURE_FOLDERS = ("overlay", "heatmap", "mask")
_DIFFERENCES = {
    "engine": "engine",
    "shard_size": "shard size",
    "recursive": "depth of search",
    "formats": "set of formats",
    "batch_size": "batch size",
    "max_pixels": "pixel limit",
}
"""What "made with another ..." says of a setting whose own name would not do."""


@dataclass
class Counts:
    """What a run has seen so far."""

    images: int = 0
    anomalies: int = 0
    errors: int = 0

    def add(self, fields: dict[str, Any]) -> None:
        """Count one result, given as its JSON fields."""
        self.images += 1
        self.anomalies += bool(fields["is_anomaly"])
        self.errors += fields["error"] is not None


@dataclass(frozen=True)
class Record:
    """What `run.json` holds. run: all that the results depend on. id: which of the same runs it is, where several
    machines must know."""

    run: dict[str, Any]
    finished: bool
    counts: Counts = field(default_factory=Counts)
    id: str = ""

    def as_json(self) -> bytes:
        """The file's content."""
        return json.dumps(msgspec.to_builtins(self), indent=4).encode() + b"\n"


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
        msgspec.json.decode(content, type=Record)
    except msgspec.MsgspecError:
        return False
    return True


def not_a_record(root: str) -> UsageError:
    """What to say of a `run.json` that is another program's, or damaged."""
    return UsageError(f"{root}/{RECORD} is not the record of a run", hint="start anew, without --resume")


def same_run(root: str, content: bytes, identity: dict[str, Any]) -> Record:
    """The record of a run that is to be gone on with, whose `run.json` holds content.

    Raises UsageError where it is none, or of a run that depends on anything else.
    """
    try:
        record = msgspec.json.decode(content, type=Record)
    except msgspec.MsgspecError as error:
        raise not_a_record(root) from error
    if record.run != identity:
        changed = sorted(key for key in identity if record.run.get(key) != identity[key])
        if record.run.get("engine") != identity.get("engine"):  # the rest follows from that
            changed = ["engine"]
        others = " and ".join(f"another {_DIFFERENCES.get(key, key)}" for key in changed)
        raise UsageError(
            f"the run in {root} was made with {others or 'another uadx'}",
            hint="start anew without --resume, or choose another folder (--output DIR on the command line)",
            cause_text="\n".join(f"{k}: was {record.run.get(k)!r}, is {identity.get(k)!r}" for k in changed),
        )
    return record
