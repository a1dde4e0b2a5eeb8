"""`uadx export --format torchscript`: one file for torch without uadx, in Python and in C++ (libtorch).

Source: https://docs.pytorch.org/cppdocs/, "Loading a TorchScript Model in C++". The file is traced from the executor of
the ONNX graph, so that what it computes is what the torch backend does.
"""

from __future__ import annotations

from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError


def export_torchscript(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the model into folder. Raises UsageError for options that it does not take, UnavailableError without
    torch."""
    options.for_every_device("torchscript", "f32", "bf16", "f16")
    try:
        import torch

        from uadx_torch.graph import Graph, read
        from uadx_torch.precision import DTYPES
        from uadx_torch.script import write
    except ImportError as error:
        raise UnavailableError(
            "torch and onnx, which it is made with, are not both installed",
            cause_text=str(error),
            hint="python -m pip install 'uadx[torch]'",
        ) from error
    precision = options.precision or "f32"
    path = folder / ("stfpm.pt" if precision == "f32" else f"stfpm.{precision}.pt")
    write(Graph(read(artifact.path), torch.device("cpu"), DTYPES[precision]), path)
    return Exported(path, precision=precision)
