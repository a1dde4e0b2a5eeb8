"""What to do when the light changes: nothing, recalibrate, teach on, or train anew. On the demo product, dimmer and
softer, darker on its left: python benchmarks/new_light.py --images 100"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from uadx.bundle.reader import open_bundle
from uadx.demo.dataset import write_product
from uadx.evaluation.evaluate import evaluate
from uadx.pipeline import create_pipeline
from uadx.train.build import Progress, TrainOptions, train
from uadx.train.recalibrate import recalibrate


def relit(product: Path) -> None:
    """Change the light of a product's pictures, its masks left as they are."""
    for folder in ("train", "test"):
        for path in (product / folder).rglob("*.png"):
            picture = cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 0.8)
            light = np.linspace(0.55, 0.95, picture.shape[1])[None, :, None]
            cv2.imwrite(str(path), (picture * light).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="good ones in the new light")
    count = parser.parse_args().images
    known = open_bundle()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_product(root / "mesh", train_good=count, seed=7)
        relit(root / "mesh")
        good = root / "mesh" / "train" / "good"
        print(f"{count} good images in the new light\n")
        print("| | seconds | image AUROC | AUPRO | false alarms | found |\n|-|-|-|-|-|-|")
        ways = {
            "nothing": lambda output: None,
            "uadx recalibrate": lambda output: recalibrate(known, good, output, None),
            "uadx train --from": lambda output: train(TrainOptions(good, output, start=known), Progress()),
            "uadx train": lambda output: train(TrainOptions(good, output), Progress()),
        }
        for name, make in ways.items():
            output, began = root / name.replace(" ", "_"), time.monotonic()
            made = make(output)
            seconds = time.monotonic() - began
            with create_pipeline(model=None if made is None else output) as pipeline:
                found = evaluate(pipeline.predict(root / "mesh" / "test"), root / "mesh" / "ground_truth")
            good_ones, total = found.kinds[0], found.total
            assert total.auroc is not None
            assert total.aupro is not None
            print(
                f"| {name} | {seconds:.0f} | {total.auroc.value:.3f} | {total.aupro.value:.3f} | "
                f"{good_ones.flagged} of {good_ones.images} | {total.flagged} of {total.images} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
