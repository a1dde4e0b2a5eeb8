"""One run of a pipeline into a folder: what `uadx run` and `uadx demo` share."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from uadx.images.capture import prepare_opencv
from uadx.images.source import Source
from uadx.images.sources import Sources
from uadx.output.pictures import write_files
from uadx.output.record import Counts
from uadx.output.run_folder import REPORT, RunFolder
from uadx.output.thumbnails import thumbnail_line
from uadx.pipeline.pipeline import Pipeline
from uadx.report.facts import facts_of
from uadx.result import Result


@dataclass(frozen=True)
class Summary:
    """What a run did. resumed: results that were there already; seconds: for the others.

    skipped: files of directories that were no images by their names. report: the page to look at, where one was asked
    for.
    """

    counts: Counts
    resumed: int
    seconds: float
    skipped: int = 0
    report: Path | None = None

    @property
    def rate(self) -> float:
        """Images per second of this run's own images, 0 where all were there already."""
        return (self.counts.images - self.resumed) / self.seconds if self.seconds else 0.0


def run(
    pipeline: Pipeline,
    sources: Iterator[Source],
    root: Path,
    formats: Collection[str],
    *,
    what: str,
    recursive: bool = True,
    resume: bool = False,
    open_folder: type[RunFolder] = RunFolder,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Summary:
    """Inspect sources and write results and pictures below root. what: the input as the user named it. open_folder:
    RunFolder, or HotRunFolder for sources that come in any order.

    Raises OutputError where root cannot be written, UsageError where another run writes to it or an earlier one cannot
    be resumed, InferenceError where the device fails; the journal of what was done stays.
    """
    prepare_opencv()
    inspector = pipeline.inspector
    start = time.perf_counter()
    identity = {"input": what, "recursive": recursive, "formats": sorted(formats), **inspector.identity}

    def with_files(result: Result) -> tuple[Result, bytes]:
        write_files(result, root, formats)
        return result, thumbnail_line(result, formats) if "html" in formats else b""

    with open_folder(root, formats, identity, resume=resume) as folder:
        remaining = folder.remaining(sources)
        if folder.finished:
            deque(remaining, maxlen=0)
        else:
            written = inspector.inspect_and(with_files, remaining, inspector.thresholds, inspector.batch_size)
            with closing(written):
                for result, thumbnail in written:
                    folder.add(result, thumbnail)
                    on_result(result)
            folder.finish(facts_of(pipeline, what, folder.resumed, time.perf_counter() - start))
        seconds = time.perf_counter() - start
        skipped = sources.skipped if isinstance(sources, Sources) else 0
        report = root / REPORT if "html" in formats else None
        return Summary(folder.counts, folder.resumed, seconds, skipped, report)
