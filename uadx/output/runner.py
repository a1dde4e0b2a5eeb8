"""One run of a pipeline into a folder: what `uadx run` and `uadx demo` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

from uadx.images.sources import Source
from uadx.output.pictures import PICTURE_FOLDERS, write_files
from uadx.output.run_folder import RECORD, Counts, RunFolder
from uadx.pipeline.pipeline import Pipeline
from uadx.pipeline.stream import staged
from uadx.result import Result


@dataclass(frozen=True)
class Summary:
    """What a run did. resumed: results that were there already; seconds: for the others."""

    counts: Counts
    resumed: int
    seconds: float

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
    on_result: Callable[[Result], None] = lambda result: None,
) -> Summary:
    """Inspect sources and write results and pictures below root. what: the input as the user named it.

    Raises OutputError where root cannot be written, UsageError where a run cannot be resumed, InferenceError where
    the device fails; the journal of what was done stays.
    """
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what OpenCV says of a damaged image stands in its result
    cv2.setNumThreads(1)  # parallel over images; OpenCV's own threads would fight the engine for the cores
    inspector = pipeline.inspector
    start = time.perf_counter()
    identity = {"input": what, "recursive": recursive, "formats": sorted(formats), **inspector.identity}

    def draw(result: Result) -> Future[Result]:
        return inspector.pool.submit(_with_files, result)

    def _with_files(result: Result) -> Result:
        write_files(result, root, formats)
        return result

    foreign = _without_own(sources, _own_folders(root, what))
    with RunFolder(root, formats, identity, resume=resume) as folder:
        if folder.finished:
            folder.check_unchanged(foreign)
            return Summary(folder.counts, folder.counts.images, 0.0)
        results = inspector.inspect(folder.remaining(foreign), inspector.threshold, inspector.batch_size)
        with closing(staged(results, draw, inspector.workers + 1)) as drawn:
            for result in drawn:
                folder.add(result)
                on_result(result)
        folder.finish()
        return Summary(folder.counts, folder.resumed, time.perf_counter() - start)


def _own_folders(root: Path, what: str) -> list[Path]:
    """The folders of this run's pictures, where they lie in the input. One that a user filled is left alone."""
    if not root.resolve().is_relative_to(Path(what).resolve()):
        return []
    earlier = (root / RECORD).is_file()
    return [(root / name).resolve() for name in PICTURE_FOLDERS if earlier or not (root / name).exists()]


def _without_own(sources: Iterable[Source], own: list[Path]) -> Iterator[Source]:
    """Leave out what a run writes below its own input: `uadx run --input .`, once or twice."""
    for source in sources:
        path = source.data.resolve() if own and isinstance(source.data, Path) else None
        if path is None or not any(path.is_relative_to(folder) for folder in own):
            yield source
