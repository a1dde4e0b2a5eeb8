"""What one worker does: it opens the model on its device once, and inspects shard after shard."""

from __future__ import annotations

import io
import os
import socket
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from uadx import __version__
from uadx.cluster.shards import Shard
from uadx.cluster.storage import Storage, storage
from uadx.errors import OutputError, UadxError, UsageError
from uadx.images.capture import prepare_opencv
from uadx.output.parquet import parquet_table
from uadx.output.pictures import files_of, to_json
from uadx.output.record import RECORD
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline
from uadx.result import Result

SHARDS = PurePosixPath("shards")
"""The folder of the results, a file or two for each shard, and a record that is written when these are there."""


@dataclass(frozen=True)
class Job:
    """What every worker is told. model: the bundle as a .zip; config: all else of how to inspect; output: the storage
    of the results; run: what its run.json holds; version: of uadx, which must be the same everywhere."""

    model: bytes
    config: PipelineConfig
    output: str
    run: bytes
    formats: tuple[str, ...]
    version: str = __version__


class Outcome(msgspec.Struct, frozen=True):
    """A shard that is done: counts, and who did it. digest: of its inputs. unfamiliar: images that look unlike those
    that calibrated the model, `familiarity` is how many could be told."""

    number: int
    digest: str
    images: int
    anomalies: int
    errors: int
    unfamiliar: int
    familiarity: int
    seconds: float
    host: str
    device: str
    precision: str
    simulated: bool
    fallback_reason: str | None = None
    first_error: str | None = None


@dataclass(frozen=True)
class Failed:
    """A shard that was tried often enough. why: the last failure."""

    shard: Shard
    why: UadxError


def check_own(where: Storage, run: bytes) -> None:
    """Raises OutputError where another run has begun at the same place, as none can lock an object store."""
    if where.read(PurePosixPath(RECORD)) != run:
        raise OutputError(
            f"another run has begun to write to {where.root}", hint="choose another place for one of them: --output"
        )


class Worker:
    """One opened model. Raises what Pipeline does, UsageError for another version of uadx, OutputError where the
    results would not come to where the run is recorded."""

    def __init__(self, job: Job, threads: int) -> None:
        """threads: that decode, score and draw, where the configuration leaves that open."""
        self._job = job
        host = socket.gethostname()
        if job.version != __version__:
            raise UsageError(
                f"uadx is {__version__} on {host}, and {job.version} where the run was started",
                hint=f"there: python -m pip install uadx=={job.version}",
            )
        self._storage = storage(job.output)
        if self._storage.read(PurePosixPath(RECORD)) != job.run:
            raise OutputError(
                f"{self._storage.root} is another place on {host} than where the run was started",
                hint="name a folder that all machines share, or an address: --output s3://bucket/results",
            )
        prepare_opencv()
        with tempfile.TemporaryDirectory(prefix="uadx-job-") as folder:
            model = Path(folder) / "model.zip"
            model.write_bytes(job.model)  # opening it unpacks it
            self._pipeline = Pipeline(job.config.override(model=str(model), workers=job.config.workers or threads))

    def inspect(self, shard: Shard) -> Outcome:
        """Inspect one shard and write its results. Raises InferenceError, OutputError."""
        check_own(self._storage, self._job.run)
        start = time.perf_counter()
        inspector, formats = self._pipeline.inspector, self._job.formats

        def write(result: Result) -> dict[str, Any]:
            for place, data in files_of(result, formats):
                self._storage.write(place, data)
            return result.json

        with closing(
            inspector.inspect_and(write, shard.sources, inspector.thresholds, inspector.batch_size)
        ) as written:
            rows = list(written)
        if "jsonl" in formats:
            self._write(shard, ".jsonl", b"".join(to_json(row) + b"\n" for row in rows))
        if "parquet" in formats:
            file = io.BytesIO()
            with parquet_table(file) as add:
                for row in rows:
                    add(row)
            self._write(shard, ".parquet", file.getvalue())
        told = [row["unfamiliar"] for row in rows if row["unfamiliar"] is not None]
        errors = [row["error"]["message"] for row in rows if row["error"] is not None]
        outcome = Outcome(
            number=shard.number,
            digest=shard.digest,
            images=len(rows),
            anomalies=sum(bool(row["is_anomaly"]) for row in rows),
            errors=len(errors),
            unfamiliar=sum(told),
            familiarity=len(told),
            seconds=time.perf_counter() - start,
            host=f"{socket.gethostname()} ({os.getpid()})",
            device=inspector.opened.used,
            precision=inspector.opened.precision,
            simulated=inspector.opened.simulated,
            fallback_reason=inspector.opened.fallback_reason,
            first_error=errors[0] if errors else None,
        )
        self._write(shard, ".json", msgspec.json.encode(outcome))
        return outcome

    def _write(self, shard: Shard, suffix: str, data: bytes) -> None:
        self._storage.write(SHARDS / f"{shard.name}{suffix}", data)
