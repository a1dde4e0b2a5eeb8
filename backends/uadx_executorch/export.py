"""`uadx export --format executorch`: a .pte for ExecuTorch, which runs it on Android, iOS and boards, with XNNPACK."""

from __future__ import annotations

from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError

NAME = "stfpm.pte"


def export_pte(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without
    ExecuTorch."""
    options.for_every_device("executorch", "f32")
    try:
        from uadx_executorch.binding import load
        from uadx_executorch.lowering import PRECISION, lower

        load()
    except ImportError as error:
        raise UnavailableError(
            "ExecuTorch, torch and onnx, which it is made with, are not all installed",
            cause_text=str(error),
            hint="python -m pip install 'uadx[executorch]'",
        ) from error
    (folder / NAME).write_bytes(lower(artifact.path))
    return Exported(folder / NAME, precision=PRECISION)
