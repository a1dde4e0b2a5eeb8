"""`uadx bench`: devices in turn, round by round, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from uadx.bench.engine import Timed, latencies, throughput
from uadx.bench.instant import instant
from uadx.bench.stages import stages
from uadx.bench.startup import Started, start
from uadx.cores import busy
from uadx.errors import UadxWarning, UsageError
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.output.runner import run
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline

COPIES = 64
LOOKED_AT = 8
"""Images whose tiles are counted."""
SIDE = 300
SINGLE = 200
"""Images whose latency is measured one by one, as far as the time allows."""


@dataclass
class Figures:
    """One device. windows: of an image, on average: more than 1 where images are cut into tiles. engine, whole, rest: a
    measurement for each round, rest with an engine that answers at once. latency: milliseconds of single windows.
    stages: core-milliseconds by stage. started: of a process of its own. unread: the share of the inputs that cannot be
    read, which count as images. busy: whether the machine was, with something else, when this began."""

    label: str
    windows: float = 1.0
    engine: list[Timed] = field(default_factory=list)
    whole: list[Timed] = field(default_factory=list)
    rest: list[Timed] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    unread: float = 0.0
    busy: bool = False
    started: Started = field(init=False)

    @property
    def engine_rate(self) -> float:
        """Images per second, the median of the rounds."""
        return statistics.median(one.rate for one in self.engine) / self.windows

    @property
    def whole_rate(self) -> float:
        """The same from files to results."""
        return statistics.median(one.rate for one in self.whole)

    @property
    def share(self) -> float:
        """How much of the engine's rate is left from files to results: the median of each round's ratio."""
        return statistics.median(
            whole.rate * self.windows / engine.rate for whole, engine in zip(self.whole, self.engine, strict=True)
        )

    @property
    def around(self) -> float:
        """Core-milliseconds an image of all that is not the engine, the median of the rounds."""
        return statistics.median(one.core_ms for one in self.rest)

    def percentile(self, percent: float) -> float | None:
        """Milliseconds that so many percent of single images take at most; None where too few were measured for one
        of them to lie above."""
        if len(self.latency) * (100 - percent) < 100:
            return None
        return float(np.percentile(self.latency, percent))


def measure(
    configs: Sequence[PipelineConfig],
    images: str | None,
    formats: Sequence[str],
    seconds: float,
    rounds: int,
    stage: Callable[[str], None],
) -> list[Figures]:
    """Measure each configuration. images: what to inspect, as `uadx run` takes it; None for copies of a golden image,
    300 x 300 JPEGs. seconds: of each measurement. stage: is told what is being measured."""
    was_busy = busy()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="uadx-bench-")))
        pipelines = [opened.enter_context(Pipeline(config)) for config in configs]
        for pipeline in pipelines:
            if pipeline.inspector.opened.simulated:
                raise UsageError(
                    f"{pipeline.inspector.opened.used} is simulated: its speed is that of no hardware",
                    hint="name a real device: `uadx devices` lists them",
                )
        what = images or str(_pictures(pipelines[0], folder / "images"))
        sources = list(expand(what))
        found = [
            Figures(pipeline.inspector.opened.label, _windows(pipeline, sources), busy=was_busy)
            for pipeline in pipelines
        ]
        for number in range(rounds):
            for pipeline, figures in zip(pipelines, found, strict=True):
                stage(f"{figures.label}, round {number + 1} of {rounds}")
                _round(pipeline, figures, sources, folder / "out", formats, seconds, -(-SINGLE // rounds))
        for config, pipeline, figures in zip(configs, pipelines, found, strict=True):
            stage(f"{figures.label}, stages and start")
            figures.stages = stages(pipeline.inspector, sources, formats)
            figures.started = start(_arguments(config, what))
        if found[0].unread:
            warnings.warn(
                f"{100 * found[0].unread:.0f} % of the inputs cannot be read, and count as images: the rates from "
                "files to results are none of good files",
                UadxWarning,
                stacklevel=2,
            )
    return found


def _round(
    pipeline: Pipeline,
    figures: Figures,
    sources: list[Source],
    output: Path,
    formats: Sequence[str],
    seconds: float,
    single: int,
) -> None:
    inspector = pipeline.inspector
    golden = pipeline.bundle.golden.images
    batch = np.repeat(golden[:1], inspector.batch_size, axis=0)
    throughput(inspector.opened, batch, min(1.0, seconds / 4))  # warm
    figures.engine.append(throughput(inspector.opened, batch, seconds))
    figures.latency += latencies(inspector.opened, golden[:1], single, seconds)
    many = max(len(sources), round(seconds * figures.engine[-1].rate / figures.windows))
    chosen = [sources[index % len(sources)] for index in range(many)]
    whole, figures.unread = _whole(pipeline, chosen, output, formats)
    figures.whole.append(whole)
    with instant(inspector.opened, inspector.level_maps(golden[:1])):
        figures.rest.append(_whole(pipeline, chosen, output, formats)[0])


def _windows(pipeline: Pipeline, sources: list[Source]) -> float:
    """Of an image, on average over the first ones."""
    if pipeline.inspector.bundle.manifest.input.tiling is None:
        return 1.0
    items = (pipeline.inspector.decode(source) for source in sources[:LOOKED_AT])
    return statistics.fmean([len(item.cut.corners) for item in items if item.cut is not None] or [1.0])


def _whole(pipeline: Pipeline, sources: list[Source], output: Path, formats: Sequence[str]) -> tuple[Timed, float]:
    """Files in, results out, as `uadx run` does it; and the share of them that could not be read."""
    cores = time.process_time()
    summary = run(pipeline, iter(sources), output, formats, what="uadx bench")
    counts = summary.counts
    return Timed(counts.images, summary.seconds, time.process_time() - cores), counts.errors / counts.images


def _pictures(pipeline: Pipeline, folder: Path) -> Path:
    """JPEG files of the first golden image, which is a good part's."""
    folder.mkdir()
    picture = cv2.cvtColor(pipeline.bundle.golden.images[0], cv2.COLOR_RGB2BGR)
    for number in range(COPIES):
        cv2.imwrite(str(folder / f"{number:02}.jpg"), cv2.resize(picture, (SIDE, SIDE)))
    return folder


def _arguments(config: PipelineConfig, what: str) -> list[str]:
    """The command line that means the same."""
    given = {
        "--model": config.model,
        "--device": config.device,
        "--precision": config.precision,
        "--batch-size": config.batch_size,
        "--workers": config.workers,
        "--devices-file": config.devices_file,
    }
    pairs = [(name, str(value)) for name, value in given.items() if value is not None]
    return ["--input", what, *(word for pair in pairs for word in pair)]
