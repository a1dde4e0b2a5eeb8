"""The level maps of anomalib's STFPM in its own steps, for an imported model to be held to.

Source: anomalib 2.7.0, src/anomalib/models/image/stfpm/anomaly_map.py (AnomalyMapGenerator.compute_layer_map), before
it stretches a level to the size of the image.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from uadx.anomalib.model import AnomalibModel
from uadx.stfpm.network import Trunk, normalise_pixels
from uadx.stfpm.weights import Weights


@torch.no_grad()
def level_maps(model: AnomalibModel, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """`level1` to `level3`, float32 [N, H/4, W/4] to [N, H/16, W/16], of uint8 RGB images [N, H, W, 3]."""
    pixels = normalise_pixels(torch.from_numpy(images))
    maps = {}
    for number, (teacher, student) in enumerate(
        zip(_features(model.teacher, pixels), _features(model.student, pixels), strict=True), 1
    ):
        apart = functional.normalize(teacher) - functional.normalize(student)
        maps[f"level{number}"] = (0.5 * torch.norm(apart, p=2, dim=-3) ** 2).numpy()
    return maps


def _features(state: Weights, pixels: Tensor) -> list[Tensor]:
    network = Trunk()
    network.load(state)
    found: list[Tensor] = network.eval()(pixels)
    return found
