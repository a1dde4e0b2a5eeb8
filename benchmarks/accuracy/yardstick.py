"""What the teacher's features hold: a nearest-neighbour scorer over them, no student.

    python benchmarks/accuracy/yardstick.py --data ../shared/data/magnetic_tile

PatchCore (Roth et al., CVPR 2022) with layers 2 and 3 and a memory of 10 % of the patches, drawn at random: too slow to
ship, and a bound to compare the student with. It sees the same images in the same form as `uadx train --seed S`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uadx.check.likely import PatchFeatures
from uadx.evaluation.layout import GOOD, kind_of
from uadx.evaluation.ranking import auroc
from uadx.images.decode import Limits, load
from uadx.images.framing import Framing
from uadx.images.preprocess import letterbox
from uadx.images.sources import expand
from uadx.train.dataset import read_good_images
from uadx.train.proportions import fitting_size
from uadx.train.split import by_seed

MEMORY = 0.1
TOP = 0.01
"""Share of the patches whose mean distance is the image score."""


def _patches(extract: PatchFeatures, image: NDArray[np.uint8], content: tuple[int, int]) -> Tensor:
    """uint8 RGB [H, W, 3] -> [N, 384] for the positions that show the image."""
    with torch.autocast("cpu", torch.bfloat16):
        joined = extract(image[None])[0]
    return joined[:, : -(-content[0] // 16), : -(-content[1] // 16)].flatten(1).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", default="default")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    extract = PatchFeatures(given.teacher)
    height, width = fitting_size(given.data / "train" / "good")
    tested = [(kind, _patches(extract, *fitted)) for kind, fitted in _tested(given.data / "test", height, width)]
    kinds = np.array([kind for kind, _ in tested])
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            good, cache = given.data / "train" / "good", Path(folder) / "images.npy"
            train = read_good_images(good, cache, Framing(height, width), by_seed(seed)).train
            pairs = zip(np.array(train.windows), train.shown, strict=True)
            patches = [_patches(extract, image, tuple(shown)) for image, shown in pairs]
        together = torch.cat(patches)
        order = np.random.default_rng(seed).permutation(len(together))[: round(MEMORY * len(together))]
        memory = together[torch.from_numpy(order)]
        scores = np.array([_score(patches_of_one, memory) for _, patches_of_one in tested])
        parts = [f"all {auroc(kinds != GOOD, scores):.3f}"]
        for kind in sorted(set(kinds) - {GOOD}):
            chosen = (kinds == kind) | (kinds == GOOD)
            parts.append(f"{kind} {auroc(kinds[chosen] == kind, scores[chosen]):.3f}")
        print(f"seed {seed}: image AUROC {', '.join(parts)}", flush=True)


def _tested(folder: Path, height: int, width: int) -> Iterator[tuple[str, tuple[NDArray[np.uint8], tuple[int, int]]]]:
    for source in expand(folder):
        fitted = letterbox(load(source, Limits()), height, width)
        yield kind_of(source.output), (fitted.pixels, fitted.content)


def _score(patches: Tensor, memory: Tensor) -> float:
    nearest = torch.cdist(patches, memory).min(1).values
    return float(nearest.topk(max(1, round(TOP * len(nearest)))).values.mean())


if __name__ == "__main__":
    main()
