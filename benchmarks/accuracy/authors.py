"""STFPM as its authors trained it (Wang et al., BMVC 2021): what uadx's recipe is compared with.

SGD at a constant rate of 0.4 with momentum 0.9 and weight decay 1e-4, batches of 32, the mean distance of all
positions, every image squashed to 256 x 256, the weights of the epoch with the lowest distance on held-out images;
product of the levels and its maximum. https://github.com/gdwang08/STFPM
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uadx.stfpm.network import Trunk, normalise_pixels, normalised_distance
from uadx.stfpm.weights import Weights, unfold

BATCH = 32


def pair(
    images: NDArray[np.uint8], held_out: NDArray[np.uint8], teacher: Weights, seen: int, seed: int
) -> tuple[Trunk, Trunk]:
    """Train on uint8 RGB images [N, H, W, 3] until `seen` have been shown, and return the teacher and the best epoch's
    student, both in eval mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    of_teacher = Trunk().eval().requires_grad_(False)
    of_teacher.load(unfold(teacher))
    trunk = Trunk().train()
    optimiser = torch.optim.SGD(trunk.parameters(), 0.4, momentum=0.9, weight_decay=1e-4)

    def loss(batch: NDArray[np.uint8]) -> Tensor:
        pixels = normalise_pixels(torch.from_numpy(batch))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                expected = of_teacher(pixels)
            found = trunk(pixels)
        return torch.stack([normalised_distance(t, s).mean() for t, s in zip(expected, found, strict=True)]).sum()

    def batches(some: NDArray[np.uint8], order: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(order), BATCH):
            yield np.ascontiguousarray(some[np.sort(order[start : start + BATCH])])

    best, lowest, shown = copy.deepcopy(trunk), float("inf"), 0
    while shown < seen:
        trunk.train()
        for batch in batches(images, rng.permutation(len(images))):
            optimiser.zero_grad(set_to_none=True)
            loss(batch).backward()
            optimiser.step()
            shown += len(batch)
        trunk.eval()
        with torch.no_grad():
            distance = float(np.mean([loss(batch) for batch in batches(held_out, np.arange(len(held_out)))]))
        if distance < lowest:
            best, lowest = copy.deepcopy(trunk), distance
    return of_teacher, best.eval()
