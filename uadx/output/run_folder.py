"""The folder of one run: a journal that survives a kill, the record of what was run, and the finished results.

Each result is one line in `results.jsonl.part`, written after its pictures; at the end the journal becomes
`results.jsonl`. A run that was killed leaves the journal, and `--resume` goes on after its last whole line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from uadx.errors import OutputError, UsageError
from uadx.files import TEMPORARY, write_whole
from uadx.images.sources import Source
from uadx.output.pictures import to_json
from uadx.output.table import write_csv
from uadx.result import Result

RECORD = "run.json"


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


class RunFolder:
    """Opened for one run; a context manager that keeps the journal when the run does not finish.

    identity: all that the results depend on; a run is resumed only where it is the same. resumed: how many results
    were there already.
    """

    def __init__(self, root: Path, formats: Collection[str], identity: dict[str, Any], *, resume: bool) -> None:
        self.root, self.formats, self.identity = root, formats, identity
        self.record = root / RECORD
        self.journal = root / "results.jsonl.part"
        self.counts = Counts()
        self.finished = False
        self.resumed = 0
        self._labels = hashlib.sha256()
        if resume and self.record.exists():
            self._take_up()
        if not self.finished:
            self._file = self._open(append=self.resumed > 0)

    def _take_up(self) -> None:
        try:
            record = json.loads(self.record.read_bytes())
            before = record["run"]
            if record["finished"]:
                self.counts = Counts(**record["counts"])
                self._finished_labels = record["labels"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self.record} is not the record of a run", hint="start anew, without --resume"
            ) from error
        if before != self.identity:
            changed = sorted(key for key in self.identity if before.get(key) != self.identity[key])
            raise UsageError(
                f"the run in {self.root} was made with another {', '.join(changed) or 'uadx'}",
                hint="start anew without --resume, or name another --output",
                cause_text="\n".join(f"{k}: was {before.get(k)!r}, is {self.identity[k]!r}" for k in changed),
            )
        for left in self.root.rglob(f"{TEMPORARY}*.tmp"):
            left.unlink(missing_ok=True)
        if record["finished"]:
            self.finished, self.resumed = True, self.counts.images
        elif self.journal.exists():
            for fields in self._read_journal():
                self._count(fields)
            self.resumed = self.counts.images

    def _count(self, fields: dict[str, Any]) -> None:
        self.counts.add(fields)
        self._labels.update(_label(fields["input_path"]))

    def _read_journal(self) -> Iterator[dict[str, Any]]:
        """The whole lines of the journal; what a kill or a full disk left behind them is cut out of the file."""
        whole = 0
        with open(self.journal, "rb") as file:
            for line in file:
                try:
                    fields = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    fields = None
                if fields is None:
                    break
                whole += len(line)
                yield fields
        if os.path.getsize(self.journal) != whole:
            os.truncate(self.journal, whole)

    def _open(self, *, append: bool) -> BinaryIO:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._write_record()
            if not append:  # or a kill would leave an older run's results looking like this one's
                for name in ("results.jsonl", "results.csv"):
                    (self.root / name).unlink(missing_ok=True)
            return open(self.journal, "ab" if append else "wb")
        except OSError as error:
            raise OutputError(
                f"{self.root} cannot be written to",
                cause_text=str(error),
                hint="choose another place: --output DIR",
            ) from error

    def _write_record(self) -> None:
        record = {
            "run": self.identity,
            "finished": self.finished,
            "counts": vars(self.counts),
            "labels": self._labels.hexdigest(),
        }
        write_whole(self.record, json.dumps(record, indent=4).encode() + b"\n")

    def remaining(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources without those that the journal already holds.

        Raises UsageError where the input is no longer what it was.
        """
        iterator = iter(sources)
        if self.resumed:
            for fields in islice(self._read_journal(), self.resumed):
                source = next(iterator, None)
                if source is None or _label(source.label) != _label(fields["input_path"]):
                    raise self._changed()
        yield from iterator

    def check_unchanged(self, sources: Iterable[Source]) -> None:
        """For a run that was finished: raises UsageError where its input is no longer what it was."""
        labels = hashlib.sha256()
        for source in sources:
            labels.update(_label(source.label))
        if labels.hexdigest() != self._finished_labels:
            raise self._changed()

    def _changed(self) -> UsageError:
        return UsageError(f"the input has changed since the run in {self.root}", hint="start anew, without --resume")

    def add(self, result: Result) -> None:
        """Write one line; the result's pictures are on disk by now."""
        try:
            self._file.write(to_json(result) + b"\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"{self.journal} cannot be written",
                cause_text=str(error),
                hint="make room, then go on: --resume",
            ) from error
        self._count(result.json)

    def finish(self) -> None:
        """Turn the journal into the finished files."""
        self._file.close()
        if "csv" in self.formats:
            write_csv(self.root / "results.csv", self._read_journal())
        if "jsonl" in self.formats:
            os.replace(self.journal, self.root / "results.jsonl")
        else:
            self.journal.unlink()
        self.finished = True
        self._write_record()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.finished:
            self._file.close()


def _label(path: str) -> bytes:
    """An input's name as bytes, whatever its file name holds."""
    return path.encode("utf-8", "surrogatepass") + b"\n"
