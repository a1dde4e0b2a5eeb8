"""Where a teacher comes from: the bundle that ships with uadx, torchvision, or a file of ResNet-18 weights."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import DEFAULT, open_bundle
from uadx.contract import words
from uadx.errors import BundleError, UsageError
from uadx.stfpm.graph import network_weights
from uadx.stfpm.weights import Weights, fold


@dataclass(frozen=True)
class TeacherWeights:
    """A teacher's folded weights, rounded to float16 as the graph stores them, and what it is called."""

    id: str
    weights: Weights

    @property
    def sha256(self) -> str:
        """Of the float16 weights in order of their names."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode() + self.weights[name].astype(np.float16).tobytes())
        return digest.hexdigest()


TORCHVISION = "torchvision"


def load_teacher(name: str, on_bytes: Callable[[int, int], None] = lambda done, total: None) -> TeacherWeights:
    """The teacher that `--teacher` means: "default", "torchvision", or a file of a ResNet-18's state dict.

    A file ends in .safetensors, .pt or .pth. on_bytes: called while torchvision's weights are downloaded.

    Raises UsageError for an unknown name, BundleError for a file that holds no such weights, UnavailableError where
    torchvision's cannot be had.
    """
    if name == DEFAULT:
        bundle = open_bundle(DEFAULT)
        weights = network_weights(bundle.artifact.path.read_bytes(), "teacher")
        return TeacherWeights(bundle.manifest.teacher.id, rounded(weights))
    if name == TORCHVISION:
        from uadx.train.download import torchvision_resnet18

        return TeacherWeights("torchvision resnet18 IMAGENET1K_V1", _file(torchvision_resnet18(on_bytes)))
    path = Path(name)
    if path.suffix not in _READERS:
        raise UsageError(
            f"--teacher {name!r} is neither {DEFAULT!r}, {TORCHVISION!r} nor a file of weights",
            hint="a teacher file is a ResNet-18 state dict: .safetensors, .pt or .pth",
        )
    if not path.is_file():
        raise UsageError(f"--teacher {name}: no such file", hint=f"leave --teacher out for the {DEFAULT} teacher")
    return TeacherWeights(path.stem, _file(path))


def _file(path: Path) -> Weights:
    weights = rounded(fold(_READERS[path.suffix](path)))
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise BundleError(f"the teacher {path} holds values that are no numbers in float16: `{name}`")
        if name.endswith("weight") and not value.any():
            raise BundleError(
                f"the teacher {path} sees nothing: all of `{name}` is 0",
                hint="it takes the weights of a trained network",
            )
    return weights


def rounded(weights: Mapping[str, NDArray[np.floating]]) -> Weights:
    """As the graph stores them."""
    return {name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()}


def _read_safetensors(path: Path) -> Mapping[str, NDArray[np.floating]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"the teacher {path} cannot be read", cause_text=str(error)) from error


def _read_torch(path: Path) -> Mapping[str, NDArray[np.floating]]:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch stumbles over bytes that are no weights in many ways, KeyError among them
        raise BundleError(
            f"the teacher {path} cannot be read as plain weights",
            cause_text=_words(error),
            hint="save the weights alone: torch.save(model.state_dict(), FILE)",
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):  # a checkpoint of Lightning or MMCV
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise BundleError(f"the teacher {path} holds a {type(state).__name__} and no state dict")
    return {
        str(name).removeprefix("module."): tensor.float().numpy()  # the prefix of DataParallel
        for name, tensor in state.items()
        if torch.is_tensor(tensor)
    }


def _words(error: Exception) -> str:
    """torch's own, but where it advises to run whatever code the file holds."""
    if isinstance(error, pickle.UnpicklingError):
        return "UnpicklingError: torch reads nothing but tensors from it, and there is something else"
    return words(error)


_READERS = {".safetensors": _read_safetensors, ".pt": _read_torch, ".pth": _read_torch}
