"""Twelve parts in one picture: a defect of one of them, found in tiles and in the whole picture.

    python benchmarks/accuracy/trays.py --output trays/

Makes trays of 4 x 3 parts of the demo product (1200 x 900 pixels): good ones, and such with one defective part. Trains
with the same good trays for whole pictures and for tiles of 300 pixels, and prints what `uadx eval` measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.demo.product import DEFECT_KINDS, render_defect, render_good
from uadx.evaluation.evaluate import evaluate
from uadx.images.framing import Tiling
from uadx.pipeline import create_pipeline
from uadx.train.build import Progress, TrainOptions, train

ROWS, COLUMNS = 3, 4


def tray(rng: np.random.Generator, kind: str | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture and its mask. kind: of the defect that one of the parts has."""
    bad = int(rng.integers(ROWS * COLUMNS))
    pictures, masks = [], []
    for number in range(ROWS * COLUMNS):
        if kind is not None and number == bad:
            picture, mask = render_defect(kind, rng)
        else:
            picture = render_good(rng)
            mask = np.zeros(picture.shape[:2], np.uint8)
        pictures.append(picture)
        masks.append(mask)
    return _grid(pictures), _grid(masks)


def _grid(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.vstack([np.hstack(parts[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)])


def write_trays(root: Path, good: int, per_kind: int) -> None:
    """In MVTec layout, as `uadx eval` reads it."""
    for split, count in (("train", good), ("test", good // 2)):
        for index in range(count):
            _write(root / split / "good" / f"{index:03}.png", tray(np.random.default_rng([len(split), index]), None)[0])
    for number, kind in enumerate(DEFECT_KINDS):
        for index in range(per_kind):
            picture, mask = tray(np.random.default_rng([100 + number, index]), kind)
            _write(root / "test" / kind / f"{index:03}.png", picture)
            _write(root / "ground_truth" / kind / f"{index:03}_mask.png", mask)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--good", type=int, default=60, help="trays to train with; half as many to test")
    parser.add_argument("--per-kind", type=int, default=8)
    given = parser.parse_args()
    data = given.output / "trays"
    if not data.exists():
        write_trays(data, given.good, given.per_kind)
    for name, tiling in (("whole", None), ("tiles", Tiling(300))):
        model = given.output / name
        train(TrainOptions(data, model, tiling=tiling), Progress())
        with create_pipeline(model=model) as pipeline:
            print(name, evaluate(pipeline.predict(data / "test"), data / "ground_truth").total, flush=True)


if __name__ == "__main__":
    main()
