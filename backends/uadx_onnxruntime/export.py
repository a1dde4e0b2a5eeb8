"""`uadx export --format ort`: ONNX Runtime's own format, which its mobile and minimal builds read.

Source: https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html. Optimised no further than
for any processor, so that the file is not tied to this one.
"""

from __future__ import annotations

from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError

NAME = "stfpm.ort"


def export_ort(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without ONNX
    Runtime."""
    options.for_every_device("ort", "f32")
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
