"""anomalib's Stfpm from a Lightning checkpoint, or from a state dict that was saved by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from uadx.anomalib.model import TAKEN, AnomalibModel, networks
from uadx.anomalib.preprocessing import prepared_size
from uadx.errors import BundleError
from uadx.stfpm.weights import LEVELS
from uadx.train.torch_file import load_plain

_WEIGHTS_OF = {".ckpt": "['state_dict']"}  # an export of anomalib's is the whole module


def read_checkpoint(path: Path) -> AnomalibModel:
    """Read a .ckpt, .pt or .pth without running code from it.

    Raises BundleError for a file that needs code to be read, for another model or backbone, and where images were
    prepared otherwise than uadx can.
    """
    weights = _WEIGHTS_OF.get(path.suffix.lower(), "['model'].state_dict()")
    holds_code = (
        "anomalib's exports for torch, and old checkpoints of models with parts of their own, hold code, which uadx "
        "never runs; if you trust the file, save its weights alone where anomalib is installed, and import those: "
        f"python -c \"import torch; torch.save(torch.load('{path.name}', weights_only=False){weights}, 'weights.pt')\""
    )
    content = load_plain(path, str(path), holds_code if is_zipfile(path) else TAKEN)  # torch.save writes a .zip
    if not isinstance(content, Mapping):
        raise BundleError(f"{path} holds a {type(content).__name__} and no state dict", hint=TAKEN)
    state = content.get("state_dict")
    if not isinstance(state, Mapping):
        teacher, student = networks(_arrays(content), path)
        return AnomalibModel("weights", teacher, student, None)
    teacher, student = networks(_arrays(state), path)
    size, epochs = _said(content, path)
    return AnomalibModel("checkpoint", teacher, student, size, epochs)


def _said(content: Mapping[str, Any], path: Path) -> tuple[tuple[int, int] | None, int]:
    """What a checkpoint says beside its weights: the images' size, and the epochs."""
    match content:
        case {"hyper_parameters": {"layers": [*layers]}} if sorted(map(str, layers)) != sorted(LEVELS):
            raise BundleError(f"{path}: it compares {', '.join(map(str, layers))}", hint=TAKEN)
    size = None
    match content:
        case {"anomalib_pre_processor_config": {"transform": specification}}:
            size = prepared_size(specification, path)
        case {"anomalib_components_enabled": {"pre_processor": False}} | {"hyper_parameters": {"pre_processor": False}}:
            size = prepared_size(None, path)  # the second is how it was said before 2.7
    epoch = content.get("epoch")
    return size, epoch + 1 if isinstance(epoch, int) else 0


def _arrays(state: Mapping[Any, Any]) -> dict[str, NDArray[np.floating]]:
    import torch

    return {str(name): value.float().numpy() for name, value in state.items() if torch.is_tensor(value)}
