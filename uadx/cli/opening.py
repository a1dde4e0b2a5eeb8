"""The pipeline that a command runs: opened, and what runs is said. What is fastest here may first have to be measured,
which is shown."""

from __future__ import annotations

import click

from uadx.cli.progress import NO_MODEL, shown_stages
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline


def opened_for(config: PipelineConfig) -> Pipeline:
    """Open it. Raises what Pipeline does."""
    if not config.enable_hpi:
        return Pipeline(config)
    with shown_stages() as stage:
        return Pipeline(config, stage)


def say_what_runs(opened: Pipeline) -> None:
    """On stderr: all of the model and device that was chosen for the user and not by him."""
    device = opened.inspector.opened
    if opened.config.model is None:
        click.echo(NO_MODEL, err=True)
    if opened.fastest is not None:
        click.echo(f"hpi: {opened.fastest}", err=True)
    for skipped in device.skipped:
        click.echo(f"skipped for {device.requested}: {skipped}", err=True)
    if device.requested == "auto" and opened.fastest is None:
        click.echo(f"auto: {device.label}", err=True)
