"""The folder of a run that watches: it is taken up again and again, and its inputs come in any order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from uadx.errors import UsageError
from uadx.images.source import Source
from uadx.output.run_folder import RunFolder
from uadx.output.stamps import stamp
from uadx.output.thumbnails import Thumbnails


class HotRunFolder(RunFolder):
    """A RunFolder that, opened with resume, goes on with what is there, finished or killed, and leaves out what was
    inspected before.

    In memory it holds 33 bytes for each input that was inspected before the start.
    """

    def _take_up(self) -> None:
        super()._take_up()
        if not self.finished:
            return
        self.finished = False
        with contextlib.suppress(FileNotFoundError):  # one that was killed at this very place has moved it
            os.replace(self.root / "results.jsonl", self.journal)
        if self.resumed and not self.journal.exists():
            raise UsageError(
                f"the results of the run in {self.root} are gone",
                hint="choose another folder: --output DIR on the command line",
            )

    def remaining(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources but those that were inspected before as they are now."""
        before = set(self._stamps.first(self.resumed))
        for source in sources:
            found = stamp(source)
            if found not in before:
                self._stamps_ahead.append(found)
                yield source

    def _let_go(self, thumbnails: Thumbnails) -> None:
        thumbnails.close()  # the next run's report shows these results, too
