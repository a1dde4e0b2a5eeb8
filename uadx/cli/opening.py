"""The pipeline that a command runs; what is fastest here may first have to be measured, which is shown."""

from __future__ import annotations

from uadx.cli.progress import shown_stages
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline


def opened_for(config: PipelineConfig) -> Pipeline:
    """Open it. Raises what Pipeline does."""
    if not config.enable_hpi:
        return Pipeline(config)
    with shown_stages() as stage:
        return Pipeline(config, stage)
