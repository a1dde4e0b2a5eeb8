"""`uadx export --format ort`: ONNX Runtime's own format, which its mobile and minimal builds read.

Source: https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html. Optimised no further than
for any processor, so that the file is not tied to this one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError, UsageError

NAME = "stfpm.ort"


def export_ort(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without ONNX
    Runtime."""
    if options.precision not in (None, "f32") or replace(options, precision=None) != ExportOptions():
        raise UsageError(
            "the format 'ort' is one file for every processor, in float32",
            hint="leave --precision, --soc-version, --batch and --converted out",
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError(
            "ONNX Runtime, which writes it, is not installed",
            cause_text=str(error),
            hint="python -m pip install 'uadx[onnxruntime]'",
        ) from error
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(folder / NAME)
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(artifact.path), settings, providers=["CPUExecutionProvider"])
    return Exported(folder / NAME)
