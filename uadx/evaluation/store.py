"""Anomaly maps and masks of a whole test set in one temporary file, so that memory does not grow with the set."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from uadx.evaluation.pixels import Labelled
from uadx.scoring.fusion import upsample


@dataclass(frozen=True)
class _Place:
    """Where an image lies in the file: feature map, then packed mask (none for a good image)."""

    offset: int
    map_shape: tuple[int, int]
    mask_bytes: int
    size: tuple[int, int]


class MapStore:
    """Keeps feature maps [h, w] and masks [H, W]; gives (anomaly map at full size, mask), in order, again and again.

    A context manager; the file is gone at the end.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="uadx-")  # noqa: SIM115
        self._places: list[_Place] = []
        self._end = 0

    def __enter__(self) -> MapStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, feature_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Take one image."""
        packed = zlib.compress(np.packbits(mask).tobytes(), 1) if mask.any() else b""
        self._file.seek(self._end)
        self._file.write(np.ascontiguousarray(feature_map, np.float32).tobytes() + packed)
        height, width = feature_map.shape
        self._places.append(_Place(self._end, (height, width), len(packed), (mask.shape[0], mask.shape[1])))
        self._end = self._file.tell()

    def __iter__(self) -> Iterator[Labelled]:
        for place in self._places:
            self._file.seek(place.offset)
            held = self._file.read(4 * place.map_shape[0] * place.map_shape[1])
            feature_map = np.frombuffer(held, np.float32).reshape(place.map_shape)
            height, width = place.size
            mask = np.zeros(place.size, np.bool_)
            if place.mask_bytes:
                bits = np.frombuffer(zlib.decompress(self._file.read(place.mask_bytes)), np.uint8)
                mask = np.unpackbits(bits, count=height * width).reshape(place.size).astype(np.bool_)
            yield upsample(feature_map, height, width), mask
