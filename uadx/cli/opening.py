"""The pipeline that a command runs: opened, and what runs is said. What is fastest here may first have to be measured,
which is shown."""

from __future__ import annotations

from collections.abc import Iterator

from uadx.cli.progress import NO_MODEL, shown_stages
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline


def opened_for(config: PipelineConfig) -> Pipeline:
    """Open it. Raises what Pipeline does."""
    if not config.enable_hpi:
        return Pipeline(config)
    with shown_stages() as stage:
        return Pipeline(config, stage)


def what_runs(opened: Pipeline) -> Iterator[str]:
    """All of the model and device that was chosen for the user and not by him, to be said beside the results."""
    device = opened.inspector.opened
    if opened.config.model is None:
        yield NO_MODEL
    if opened.fastest is not None:
        yield f"hpi: {opened.fastest}"
    for skipped in device.skipped:
        yield f"skipped for {device.requested}: {skipped}"
    if device.requested == "auto" and opened.fastest is None:
        yield f"auto: {device.label}"
