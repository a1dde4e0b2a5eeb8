"""`uadx export --format openvino`: the intermediate representation, .xml and .bin, which OpenVINO reads as it is.

Source: https://docs.openvino.ai, "OpenVINO IR format". Weights and constants stay in float32.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UsageError
from uadx_openvino.backend import read_model, sdk

NAME = "stfpm.openvino.xml"


def export_ir(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without
    OpenVINO."""
    if options.precision not in (None, "f32") or replace(options, precision=None) != ExportOptions():
        raise UsageError(
            "the format 'openvino' is one file for every device of it, in float32",
            hint="leave --precision, --soc-version, --batch and --converted out",
        )
    openvino = sdk()
    openvino.save_model(read_model(openvino, artifact.path), str(folder / NAME), compress_to_fp16=False)
    return Exported(folder / NAME)
