"""How anomalib prepared a model's images, as its checkpoint says it: uadx can repeat a resize and ImageNet's mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uadx.errors import BundleError
from uadx.stfpm.reference import IMAGENET_MEAN, IMAGENET_STD

_CANNOT = "the networks were taught on pictures that uadx does not make: teach it anew: uadx train"


def prepared_size(specification: object, path: Path) -> tuple[int, int]:
    """Height and width to which images are resized. specification: that of a torchvision transform in plain values,
    {"class_path", "init_args"}, as anomalib keeps it; path: the file, for errors.

    Raises BundleError where it does anything but resize and normalise as for ImageNet, or leaves one of them out.
    """
    size: tuple[int, int] | None = None
    normalised = False
    for name, arguments in _steps(specification):
        match name, arguments.get("size"):
            case "Resize", [int(height), int(width)]:
                size = height, width
            case "Normalize", _ if is_imagenet(arguments.get("mean"), arguments.get("std")):
                normalised = True
            case _:
                said = ", ".join(f"{key}={value}" for key, value in arguments.items())
                raise BundleError(
                    f"{path}: its images were prepared by {name}({said}), which uadx cannot repeat", hint=_CANNOT
                )
    if size is None or not normalised:
        missing = "normalised as for ImageNet" if size is not None else "resized to one size"
        raise BundleError(f"{path}: by what it says its images were not {missing}", hint=_CANNOT)
    return size


def is_imagenet(mean: object, deviation: object) -> bool:
    """Whether these are the mean and deviation of ImageNet, of RGB in 0..1."""
    return all(
        isinstance(found, (list, tuple, np.ndarray)) and len(found) == 3 and np.allclose(found, expected, atol=1e-6)
        for found, expected in ((mean, IMAGENET_MEAN), (deviation, IMAGENET_STD))
    )


def _steps(specification: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each transform's name and arguments, those of a Compose one by one."""
    match specification:
        case {"class_path": str(path), "init_args": Mapping() as arguments}:
            name = path.rpartition(".")[2]
            if name == "Compose":
                for step in arguments.get("transforms", ()):
                    yield from _steps(step)
            else:
                yield name, arguments
