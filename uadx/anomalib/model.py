"""What is taken from a file of anomalib's: both networks of an STFPM model, and the size that it looks at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.errors import BundleError
from uadx.stfpm.weights import TEACHER, Weights, convolutions

State = Mapping[str, NDArray[np.floating]]
TAKEN = (
    "uadx takes anomalib's Stfpm as it is by default: resnet18, with layer1, layer2 and layer3; in place of another "
    "model, teach one anew: uadx train"
)
_ENTRY = re.compile(r"(?:.*\.)?(teacher|student)_model\.feature_extractor\.(.+)")
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class AnomalibModel:
    """teacher, student: state dicts of two ResNet-18 up to layer3, with torchvision's names, float32. size: height and
    width that images are squashed to, epochs: those of the training, None and 0 where the file does not say. kind:
    which of anomalib's files it is."""

    kind: str
    teacher: Weights
    student: Weights
    size: tuple[int, int] | None
    epochs: int = 0


def networks(state: State, path: Path) -> tuple[Weights, Weights]:
    """Teacher and student of a state dict of anomalib's Stfpm. path: the file, for errors.

    Raises BundleError for another model, for another backbone, and for values that are no numbers.
    """
    found: dict[str, Weights] = {"teacher": {}, "student": {}}
    for name, value in state.items():
        if (entry := _ENTRY.fullmatch(name)) and not name.endswith("num_batches_tracked"):
            found[entry[1]][entry[2]] = np.asarray(value, np.float32)
    for which, network in found.items():
        if not network:
            raise BundleError(
                f"{path} holds no STFPM model of anomalib: it has no {which}",
                cause_text="its weights begin with " + ", ".join(list(state)[:3]) if state else "it has no weights",
                hint=TAKEN,
            )
        check_trunk(network, which, path)
    return found["teacher"], found["student"]


def check_trunk(network: State, which: str, path: Path) -> None:
    """Raises BundleError where a state dict is none of a ResNet-18 up to layer3, or holds what is no number."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in convolutions(TEACHER):
        shapes[f"{conv.name}.weight"] = conv.shape
        shapes |= {f"{conv.norm}.{part}": (conv.outputs,) for part in _NORM}
    wrong = [f"it has `{name}`" for name in network if name not in shapes]
    wrong += [f"it has no `{name}`" for name in shapes if name not in network]
    wrong += [
        f"its `{name}` has shape {list(network[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in network and network[name].shape != shape
    ]
    if wrong:
        raise BundleError(f"{path}: its {which} is no ResNet-18 up to layer3: {wrong[0]}", hint=TAKEN)
    for name, value in network.items():
        if not np.isfinite(value).all():
            raise BundleError(f"{path}: its {which} holds values that are no numbers: `{name}`")
