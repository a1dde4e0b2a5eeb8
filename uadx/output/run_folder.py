"""The folder of one run: a journal that survives a kill, the record of what was run, and the finished results.

Each result is one line in `results.jsonl.part`, written after its pictures; at the end the journal becomes
`results.jsonl`. A run that was killed leaves the journal, and `--resume` goes on after its last whole line.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from uadx.errors import OutputError, UsageError
from uadx.files import TEMPORARY, whole_file, write_whole
from uadx.images.source import Source
from uadx.output.parquet import check_parquet, parquet_table
from uadx.output.pictures import to_json
from uadx.output.record import RECORD, Counts, Record, not_a_record, same_run
from uadx.output.stamps import Stamps, lock_folder, stamp, unwritable
from uadx.output.table import csv_table
from uadx.output.thumbnails import NAME as THUMBNAILS
from uadx.output.thumbnails import Thumbnails
from uadx.report.facts import Facts
from uadx.report.run_report import write_report
from uadx.result import Result

REPORT = "report.html"
PARQUET = "results.parquet"


class RunFolder:
    """Opened for one run; a context manager that keeps the journal when the run does not finish.

    identity: all that the results depend on; a run is resumed only where it is the same. resumed: how many results
    were there already.
    """

    def __init__(self, root: Path, formats: Collection[str], identity: dict[str, Any], *, resume: bool) -> None:
        self.root, self.formats, self.identity = root, formats, identity
        if "parquet" in formats:
            check_parquet()
        self.record = root / RECORD
        self.journal = root / "results.jsonl.part"
        self.counts = Counts()
        self.finished = False
        self.resumed = 0
        self._stamps_ahead: deque[bytes] = deque()
        self._stamps = lock_folder(root)
        try:
            if resume and self.record.exists():
                self._take_up()
            self._stamps.keep(self.resumed)
            if not self.finished:
                self._file = self._open(append=self.resumed > 0)
                self._thumbnails = Thumbnails(root, self.resumed) if "html" in formats else None
        except BaseException:
            self._stamps.close()
            raise

    def _take_up(self) -> None:
        try:
            content = self.record.read_bytes()
        except OSError as error:
            raise not_a_record(str(self.root)) from error
        record = same_run(str(self.root), content, self.identity)
        if record.finished:
            self.counts = record.counts
        for left in self.root.rglob(f"{TEMPORARY}*.tmp"):
            left.unlink(missing_ok=True)
        if record.finished:
            self.finished, self.resumed = True, self.counts.images
        elif self.journal.exists():
            for fields in self._read_journal():
                self.counts.add(fields)
            self.resumed = self.counts.images

    def _read_journal(self) -> Iterator[dict[str, Any]]:
        """The whole lines of the journal that have a stamp; what a kill or a full disk left behind them is cut out of
        the file."""
        whole = 0
        with open(self.journal, "rb") as file:
            for line in islice(file, len(self._stamps)):
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
            self._write_record()
            if not append:  # or a kill would leave an older run's results looking like this one's
                names = ("results.jsonl", "results.csv", PARQUET, REPORT, THUMBNAILS)
                for path in (*map(self.root.joinpath, names), *self.root.glob("shards/[0-9]*.*")):  # a cluster's
                    path.unlink(missing_ok=True)
            return open(self.journal, "ab" if append else "wb")
        except OSError as error:
            raise unwritable(self.root, error) from error

    def _write_record(self) -> None:
        write_whole(self.record, Record(self.identity, self.finished, self.counts).as_json())

    def remaining(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources without those whose results are there already, to be given to `add` in this order.

        Raises UsageError where the input is no longer what it was.
        """
        iterator = iter(sources)
        for before in self._stamps.first(self.resumed):
            source = next(iterator, None)
            if source is None or stamp(source) != before:
                raise self._changed(source)
        for source in iterator:
            if self.finished:
                raise self._changed(source)
            self._stamps_ahead.append(stamp(source))  # before it is read: a change meanwhile is noticed, too
            yield source

    def _changed(self, source: Source | None) -> UsageError:
        where = "inputs are missing at its end" if source is None else f"first at {source.label}"
        return UsageError(
            f"the input has changed since the run in {self.root}: {where}", hint="start anew, without --resume"
        )

    def add(self, result: Result, thumbnail: bytes = b"") -> None:
        """Write one line; the result's pictures are on disk by now. thumbnail: its line in `run.thumbnails`."""
        fields = result.json
        try:
            self._stamps.add(self._stamps_ahead.popleft())
            if self._thumbnails is not None:
                self._thumbnails.add(thumbnail)
            self._file.write(to_json(fields) + b"\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"{self.journal} cannot be written",
                cause_text=str(error),
                hint="make room, then go on: --resume",
            ) from error
        self.counts.add(fields)

    def finish(self, facts: Facts) -> None:
        """Turn the journal into the finished files. facts: what the report says of the run beside its results."""
        self._file.close()
        if "csv" in self.formats:
            with csv_table(self.root / "results.csv") as add:
                for fields in self._read_journal():
                    add(fields)
        if "parquet" in self.formats:
            with whole_file(self.root / PARQUET) as file, parquet_table(file) as add:
                for fields in self._read_journal():
                    add(fields)
        if self._thumbnails is not None:
            write_report(self.root / REPORT, self._read_journal, self._thumbnails.read, facts)
        if "jsonl" in self.formats:
            os.replace(self.journal, self.root / "results.jsonl")
        else:
            self.journal.unlink()
        self.finished = True
        self._write_record()
        if self._thumbnails is not None:
            self._let_go(self._thumbnails)

    def _let_go(self, thumbnails: Thumbnails) -> None:
        thumbnails.remove()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held: list[BinaryIO | Thumbnails | Stamps] = [self._stamps]
        if not self.finished:
            held += [self._file] if self._thumbnails is None else [self._file, self._thumbnails]
        for one in held:
            with suppress(OSError):  # what a full disk left in a buffer: the error of its write is under way
                one.close()
