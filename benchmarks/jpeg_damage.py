"""How many damaged JPEGs are refused: python benchmarks/jpeg_damage.py

Pictures of the demo product as JPEGs of several qualities, 512 bytes in the middle of each lost, zeroed or overwritten
at random; and the whole ones, none of which may be refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from uadx.demo.dataset import write_product
from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.sources import expand

COUNT, LENGTH = 60, 512


def main() -> None:
    rng = np.random.default_rng(0)
    damages: dict[str, Callable[[bytes, int], bytes]] = {
        "whole": lambda data, at: data,
        "lost": lambda data, at: data[:at] + data[at + LENGTH :],
        "zeroed": lambda data, at: data[:at] + bytes(LENGTH) + data[at + LENGTH :],
        "overwritten": lambda data, at: data[:at] + rng.bytes(LENGTH) + data[at + LENGTH :],
    }
    with tempfile.TemporaryDirectory() as folder:
        product = Path(folder)
        write_product(product, train_good=COUNT, test_good=1, test_per_kind=1, seed=0)
        pictures = sorted((product / "train" / "good").glob("*.png"))[:COUNT]
        for progressive in (0, 1):
            files = [_jpeg(path, 75 + number % 21, progressive) for number, path in enumerate(pictures)]
            for name, damage in damages.items():
                refused = sum(_is_refused(damage(data, len(data) // 2)) for data in files)
                print(
                    f"{'progressive' if progressive else 'baseline':12} {name:12} {refused:3} of {len(files)} refused"
                )


def _jpeg(path: Path, quality: int, progressive: int) -> bytes:
    image = cv2.imread(str(path))
    assert image is not None
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def _is_refused(data: bytes) -> bool:
    try:
        load(next(iter(expand(data))), Limits())
    except InputError:
        return True
    return False


if __name__ == "__main__":
    main()
