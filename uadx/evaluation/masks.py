"""Masks of defective images: where they lie, and what in them is a defect."""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError

SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
_JPEG = b"\xff\xd8"


def find_mask(place: PurePath, masks: Path) -> Path | None:
    """The mask of the image at that path below `test`: NAME_mask.png, as MVTec has it, or NAME.png, or with another
    suffix of a picture, in small or capital letters; None where there is none."""
    folder = masks.joinpath(*place.parent.parts)
    suffixes = [either for suffix in SUFFIXES for either in (suffix, suffix.upper())]
    names = (f"{stem}{suffix}" for stem in (f"{place.stem}_mask", place.stem) for suffix in suffixes)
    return next((path for path in (folder / name for name in names) if path.is_file()), None)


def read_mask(path: Path, height: int, width: int) -> NDArray[np.bool_]:
    """The mask of a defective image [height, width], True on the defect.

    Raises InputError, unreadable, where it cannot be read or has another size.
    """
    mask = decode_mask(path)
    if mask is None or mask.shape != (height, width):
        found = "no picture that can be read" if mask is None else f"{mask.shape[1]} x {mask.shape[0]}"
        raise InputError(
            "unreadable", f"the mask {path} does not fit its image: {found}, the image is {width} x {height}"
        )
    return mask


def decode_mask(path: Path) -> NDArray[np.bool_] | None:
    """A mask as it lies in its file, [H, W], True on the defect; None where that is no picture that can be read.

    Anything but 0 is a defect, 255 and 1 alike; in a JPEG, which blurs the edges, what is above half of the highest
    value.
    """
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH  # reduced to 8 bits, a 1 of 16 bits would be a 0
    try:
        data = path.read_bytes()
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (OSError, cv2.error):  # what OpenCV raises for an empty file, and for one that claims a monstrous size
        return None
    if mask is None:
        return None
    return np.asarray(mask > (mask.max() // 2 if data.startswith(_JPEG) else 0))


def is_jpeg(path: Path) -> bool:
    """Whether a mask that can be read is a JPEG, by its first bytes."""
    with open(path, "rb") as file:
        return file.read(len(_JPEG)) == _JPEG
