"""A run on a cluster: what is to be done, what was done before, and the record of it all.

Below the output lie `run.json`, the results and records in `shards/`, and the pictures as of any run.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from uadx.bundle.reader import Bundle, open_bundle
from uadx.bundle.writer import zipped
from uadx.cluster.shards import Shard, cut
from uadx.cluster.storage import Storage, storage
from uadx.cluster.worker import SHARDS, Failed, Job, Outcome, check_own
from uadx.errors import UsageError
from uadx.images.sources import Sources
from uadx.output.record import RECORD, Counts, Record, same_run
from uadx.output.stamps import lock_folder
from uadx.pipeline.config import PipelineConfig
from uadx.scoring.familiarity import Tally

FORMATS = ("jsonl", "parquet", "json", "overlay", "heatmap", "mask")
"""What can be written shard by shard."""
_READERS = 16
_NO_MATTER = ("model", "workers", "devices_file")
"""Settings that make no other results, or whose place the bundle's hash takes."""


class Crew(Protocol):
    """Workers that take shards."""

    def run(self, shards: Iterator[Shard]) -> Iterator[Outcome | Failed]:
        """What comes of each, in any order."""


@dataclass
class Summary:
    """What a run did. resumed: images whose results were there already; seconds: for the others. devices: images by
    the device that inspected them."""

    counts: Counts = field(default_factory=Counts)
    resumed: int = 0
    seconds: float = 0.0
    skipped: int = 0
    simulated: bool = False
    failed: list[Failed] = field(default_factory=list)
    fallbacks: set[str] = field(default_factory=set)
    first_error: str | None = None
    tally: Tally = field(default_factory=Tally)
    devices: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)

    def add(self, outcome: Outcome) -> None:
        """Count one shard."""
        self.counts.images += outcome.images
        self.counts.anomalies += outcome.anomalies
        self.counts.errors += outcome.errors
        self.tally.images += outcome.familiarity
        self.tally.unfamiliar += outcome.unfamiliar
        self.devices[f"{outcome.device} ({outcome.precision})"] += outcome.images
        self.hosts.add(outcome.host)
        self.simulated |= outcome.simulated
        self.first_error = self.first_error or outcome.first_error
        if outcome.fallback_reason is not None:
            self.fallbacks.add(outcome.fallback_reason)


@dataclass(frozen=True)
class Task:
    """What the user asked for. what: the input as it was named; size: inputs of a shard."""

    config: PipelineConfig
    what: str
    recursive: bool
    output: str
    formats: Collection[str]
    size: int
    resume: bool


def run(
    task: Task,
    sources: Sources,
    hire: Callable[[Job], AbstractContextManager[Crew]],
    on_outcome: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Inspect sources with the crew that hire gives, and leave results below the output.

    Raises UsageError for what is refused before any work, OutputError, and what the crew's run does. What was done by
    then stays, and a run with `resume` goes on. Shards that fail again and again are in the summary.
    """
    bundle = open_bundle(task.config.model)
    _check(bundle, task)
    where = storage(task.output)
    with ExitStack() as stack:
        if where.folder is not None:  # an address cannot be locked
            stack.callback(lock_folder(where.folder).close)
        identity = _identity(task, bundle)
        done = _done(where, identity) if task.resume else set()
        done_before = bool(done)
        record = Record(identity, finished=False, id=uuid4().hex).as_json()
        config = task.config
        if config.devices_file is not None:  # a worker stands elsewhere
            config = config.override(devices_file=os.path.abspath(config.devices_file))
        job = Job(zipped(bundle.path), config, where.root, record, tuple(task.formats))
        summary = Summary()
        shards = _remaining(cut(sources, task.size), where, done, summary)
        first = next(shards, None)
        if first is not None:
            crew = stack.enter_context(hire(job))
            if not done_before:
                _clear(where)
            where.write(PurePosixPath(RECORD), record)
            clock = _Clock()
            for outcome in crew.run(clock.started_by(chain([first], shards))):
                if isinstance(outcome, Failed):
                    summary.failed.append(outcome)
                else:
                    summary.add(outcome)
                summary.seconds = clock.seconds
                on_outcome(summary)
            check_own(where, record)
        summary.skipped = sources.skipped
        if not summary.failed:
            where.write(PurePosixPath(RECORD), Record(identity, True, summary.counts).as_json())
    return summary


class _Clock:
    """Runs from the first shard that is given to a worker, so that the start of a cluster is no part of its rate."""

    def __init__(self) -> None:
        self._start = 0.0

    def started_by(self, shards: Iterator[Shard]) -> Iterator[Shard]:
        for shard in shards:
            self._start = self._start or time.perf_counter()
            yield shard

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _check(bundle: Bundle, task: Task) -> None:
    """Raises UsageError for a threshold that no worker could certify."""
    config = task.config
    cut_as = bundle.tiled(config.tiling(bundle.manifest.input.tiling))
    if config.threshold is None:
        cut_as.thresholds(config.fusion, config.fpr)


def _identity(task: Task, bundle: Bundle) -> dict[str, Any]:
    """All that the results depend on, in JSON values."""
    settings = msgspec.to_builtins(task.config)
    return {
        "engine": "ray",
        "input": task.what,
        "recursive": task.recursive,
        "formats": sorted(task.formats),
        "shard_size": task.size,
        "model": bundle.sha256,
        **{name: value for name, value in settings.items() if name not in _NO_MATTER},
    }


def _done(where: Storage, identity: dict[str, Any]) -> set[str]:
    """The records of the shards that an earlier run of the same did."""
    before = where.read(PurePosixPath(RECORD))
    if before is None:
        return set()
    same_run(where.root, before, identity)
    return {name for name in where.names(SHARDS) if name.endswith(".json")}


def _clear(where: Storage) -> None:
    """Take away what an older run left: a kill would leave it looking like this one's."""
    shards = [str(SHARDS / name) for name in sorted(where.names(SHARDS))]
    for name in [*shards, "results.jsonl", "results.csv", "results.parquet", "report.html"]:
        where.remove(PurePosixPath(name))


def _remaining(shards: Iterator[Shard], where: Storage, done: set[str], summary: Summary) -> Iterator[Shard]:
    """The shards that are not done; those that are go to the summary. Raises UsageError where the input has changed."""

    def read(shard: Shard) -> tuple[Shard, Outcome | None]:
        found = where.read(SHARDS / f"{shard.name}.json") if f"{shard.name}.json" in done else None
        return shard, None if found is None else msgspec.json.decode(found, type=Outcome)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="uadx-records") as pool:
        while ahead := [shard for _, shard in zip(range(_READERS if done else 1), shards, strict=False)]:
            for shard, before in pool.map(read, ahead):
                done.discard(f"{shard.name}.json")
                if before is None:
                    yield shard
                    continue
                if before.digest != shard.digest:
                    raise _changed(where, f"first between {shard.sources[0].label} and {shard.sources[-1].label}")
                summary.add(before)
                summary.resumed += before.images
    if done:
        raise _changed(where, "inputs are missing at its end")


def _changed(where: Storage, how: str) -> UsageError:
    return UsageError(
        f"the input has changed since the run in {where.root}: {how}", hint="start anew, without --resume"
    )
