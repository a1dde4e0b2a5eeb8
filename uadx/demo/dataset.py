"""The demo product on disk, in the folder layout of MVTec AD (Bergmann et al., CVPR 2019)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.demo.product import DEFECT_KINDS, render_defect, render_good
from uadx.files import write_whole


def write_product(
    root: str | os.PathLike[str],
    *,
    train_good: int = 200,
    test_good: int = 40,
    test_per_kind: int = 15,
    seed: int = 0,
    on_image: Callable[[], None] | None = None,
) -> list[Path]:
    """Write root/train/good, root/test/<kind or good> and root/ground_truth/<kind> as PNG files 000.png, 001.png, ...

    Each image depends on seed, split, kind and its own number only: other counts leave it as it is. on_image is
    called after each image. Masks are named NNN_mask.png, 0 and 255. Returns the paths of the images, masks left out.
    Raises OutputError where nothing can be written.
    """
    root = Path(root)
    written = []
    for split, count in (("train", train_good), ("test", test_good)):
        for index in range(count):
            image = render_good(_generator(seed, split, "good", index))
            written.append(_write(root / split / "good" / f"{index:03}.png", image))
            _call(on_image)
    for kind in DEFECT_KINDS:
        for index in range(test_per_kind):
            image, mask = render_defect(kind, _generator(seed, "test", kind, index))
            _write(root / "ground_truth" / kind / f"{index:03}_mask.png", mask)
            written.append(_write(root / "test" / kind / f"{index:03}.png", image))
            _call(on_image)
    return written


def _generator(seed: int, split: str, kind: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"{split}/{kind}".encode()), index])


def _write(path: Path, image: NDArray[np.uint8]) -> Path:
    write_whole(path, cv2.imencode(".png", image)[1].tobytes())
    return path


def _call(on_image: Callable[[], None] | None) -> None:
    if on_image is not None:
        on_image()
