"""uadx: finds defects in images with STFPM, on any accelerator, with a threshold that means something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uadx.pipeline import Pipeline, create_pipeline
    from uadx.result import Result

__version__ = "0.1.0"
__all__ = ["Pipeline", "Result", "__version__", "create_pipeline"]


def __getattr__(name: str) -> object:
    """Import the pipeline when it is first used: plugins and `uadx --help` import this package too."""
    if name in {"Pipeline", "create_pipeline"}:
        from uadx import pipeline

        return getattr(pipeline, name)
    if name == "Result":
        from uadx.result import Result

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
