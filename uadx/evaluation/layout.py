"""Labelled images in MVTec layout: test/<kind>/NAME, ground_truth/<kind>/NAME_mask.png; the good kind is `good`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import UsageError

GOOD = "good"
MASKS = "ground_truth"
_GOOD_NAMES = frozenset({GOOD, "ok"})
_DEFECT_NAMES = frozenset({"ng", "bad", "defect", "defects", "defective", "anomaly", "anomalies"})


@dataclass(frozen=True)
class TestSet:
    """images: the folder with one sub-folder for each kind. masks: the folder of the masks, which may be missing."""

    __test__ = False  # no test class, whatever its name says to pytest

    images: Path
    masks: Path


def find_test_set(data: Path) -> TestSet:
    """DIR/test and DIR/ground_truth, or DIR itself where it has a sub-folder `good`. Raises UsageError."""
    if not data.is_dir():
        raise UsageError(f"--data {data} is not a directory", hint="name a folder with test/good and test/<defect>")
    images = data / "test" if (data / "test").is_dir() else data
    if not (images / GOOD).is_dir():
        raise UsageError(
            f"{images} has no sub-folder {GOOD!r}",
            hint="good images go to test/good, those of a defect to test/<its name>, masks to ground_truth/<its name>",
        )
    return TestSet(images, (data if images != data else data.parent) / MASKS)


def kind_of(place: PurePath) -> str:
    """The kind of an image by its path below `test`: the first directory, or "" where it lies in none."""
    return place.parts[0] if len(place.parts) > 1 else ""


def mask_path(place: PurePath, masks: Path) -> Path:
    """Where the mask of the image at that path below `test` belongs."""
    return masks.joinpath(*place.parent.parts, f"{place.stem}_mask.png")


def read_mask(place: PurePath, masks: Path, height: int, width: int) -> NDArray[np.bool_] | None:
    """The mask of a defective image [height, width], True on the defect; None where there is none.

    Anything but 0 is a defect, 255 and 1 alike. Raises UsageError where it cannot be read or has another size.
    """
    path = mask_path(place, masks)
    if not path.is_file():
        return None
    mask = decode_mask(path)
    if mask is None or mask.shape != (height, width):
        found = "no picture" if mask is None else f"{mask.shape[1]} x {mask.shape[0]}"
        raise UsageError(
            f"the mask {path} does not fit its image: {found}, the image is {width} x {height}",
            hint="a mask has its image's size, 0 for good pixels and anything else for defective ones",
        )
    return mask


def decode_mask(path: Path) -> NDArray[np.bool_] | None:
    """A mask as it lies in its file, [H, W]; None where that is no picture."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None  # OpenCV raises for an empty file
    return None if mask is None else np.asarray(mask > 0)


def defect_folders(folder: Path) -> list[Path]:
    """Sub-folders of what is to be a folder of good images that by their names hold others: those beside one that is
    called good or ok, and those with a name for defects. Letter case does not count."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if any(path.name.lower() in _GOOD_NAMES for path in inside):
        return [path for path in inside if path.name.lower() not in _GOOD_NAMES]
    return [path for path in inside if path.name.lower() in _DEFECT_NAMES]
