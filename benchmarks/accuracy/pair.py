"""A trained teacher and student in torch: what the exported graph computes, for students of any shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.network import Trunk, normalise_pixels, normalised_distance, unit

BATCH = 16


@dataclass(frozen=True)
class Pair:
    """Both in eval mode. student: normalised pixels [N, 3, H, W] -> features like the teacher's."""

    teacher: Trunk
    student: Callable[[Tensor], list[Tensor]]
    difficulties: Sequence[Difficulty]

    @torch.no_grad()
    def maps(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """`level1` to `level3` of uint8 RGB images [N, H, W, 3], in float32."""
        found: dict[str, list[NDArray[np.float32]]] = {}
        for start in range(0, len(images), BATCH):
            pixels = normalise_pixels(torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])))
            levels = zip(self.teacher(pixels), self.student(pixels), self.difficulties, strict=True)
            for number, (t, s, difficulty) in enumerate(levels, 1):
                difficult = torch.einsum("nchw,c->nhw", unit(t), torch.from_numpy(difficulty.weight))
                rest = torch.relu(normalised_distance(t, s) - difficult + difficulty.offset)
                found.setdefault(f"level{number}", []).append(rest.numpy())
        return {name: np.concatenate(level) for name, level in found.items()}
