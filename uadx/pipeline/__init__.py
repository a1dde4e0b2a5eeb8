"""The pipeline behind `uadx run`, `create_pipeline` and every later service: one way from an input to a result."""

from uadx.pipeline.pipeline import Pipeline, create_pipeline

__all__ = ["Pipeline", "create_pipeline"]
