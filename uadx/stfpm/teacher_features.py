"""The teacher's features of the training images: they never change, so they are computed once where they fit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uadx.stfpm.network import Trunk, normalise_pixels

ROOM = 1 << 30
"""Bytes of features that are kept: those of 1,100 images of 256 x 256 in bfloat16. More are computed each time."""
BATCH = 16


class TeacherFeatures:
    """of(indices) -> features of layer1, layer2 and layer3 of some of the images, on the teacher's device.

    images: uint8 RGB [N, H, W, 3]. teacher: in eval mode. autocast: the type to compute in, None for float32.
    """

    def __init__(
        self, teacher: Trunk, images: NDArray[np.uint8], device: torch.device, autocast: torch.dtype | None
    ) -> None:
        self.trunk, self._images, self._device, self._autocast = teacher, images, device, autocast
        self._kept: list[Tensor] = []

    def keep(self) -> None:
        """Compute those of all images now, always in the same batches: the same numbers after a restart."""
        first = self.compute(self._images[:1])
        if sum(level.nbytes for level in first) * len(self._images) > ROOM:
            return
        kept = [
            torch.empty(
                (len(self._images), *level.shape[1:]),
                dtype=level.dtype,
                device=self._device,
                memory_format=torch.channels_last,
            )
            for level in first
        ]
        for start in range(0, len(self._images), BATCH):
            for place, level in zip(kept, self.compute(self._images[start : start + BATCH]), strict=True):
                place[start : start + BATCH] = level
        self._kept = kept

    def of(self, chosen: NDArray[np.intp]) -> list[Tensor]:
        """chosen: indices of images."""
        if self._kept:
            indices = torch.from_numpy(chosen).to(self._device)
            return [level[indices] for level in self._kept]
        return self.compute(self._images[chosen])

    @torch.no_grad()
    def compute(self, images: NDArray[np.uint8]) -> list[Tensor]:
        """Those of any images of that form."""
        pixels = normalise_pixels(torch.from_numpy(np.array(images)).to(self._device))
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            features: list[Tensor] = self.trunk(pixels)
        return features
