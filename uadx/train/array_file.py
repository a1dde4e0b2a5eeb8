"""Arrays of images that lie on the disk: memory maps whose space is taken when they are made."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.errors import OutputError

_ZEROS = bytes(1 << 20)


def new_images(path: Path, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A new .npy file of that shape [N, H, W, 3], mapped into memory to be written.

    Its space is taken at once: a write into a hole of the file, on a disk that is full by then, would kill the process
    without a word. Raises OutputError where there is no room.
    """
    try:
        images = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        with open(path, "r+b") as file:
            _take(file.fileno(), os.path.getsize(path), images.offset)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written", cause_text=str(error), hint="make room there, or choose another --output"
        ) from error
    return images


def _take(file: int, size: int, start: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    os.lseek(file, start, os.SEEK_SET)  # the header is there
    while start < size:
        start += os.write(file, _ZEROS[: size - start])
