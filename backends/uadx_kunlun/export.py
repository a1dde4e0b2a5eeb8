"""`uadx export --format paddle`: the two files that Paddle Inference loads.

Source: https://www.paddlepaddle.org.cn/inference/v3.0/guides/export_model/index.html. Made as the paddle backend makes
it for itself, by the Paddle that is installed: `.json` is for Paddle 3, `.pdmodel` for 2.
"""

from __future__ import annotations

from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError


def export_paddle(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without
    Paddle."""
    options.for_every_device("paddle", "f32")
    try:
        from uadx_kunlun.binding import Binding, load
        from uadx_kunlun.builder import read
        from uadx_kunlun.program import Program

        sdk = Binding(load())
    except ImportError as error:
        raise UnavailableError(
            "Paddle and onnx, which it is made with, are not both installed",
            cause_text=str(error),
            hint="python -m pip install 'uadx[paddle]'",
        ) from error
    graph = read(artifact.path)
    program = Program(*sdk.save(graph, folder / "stfpm"), graph.inputs, graph.outputs)
    program.describe()
    return Exported(program.path)
