"""Train the bundle that ships with uadx on the demo product: python benchmarks/default_bundle.py --teacher FILE

FILE is a ResNet-18 state dict; without it the teacher of the bundle that ships now is used again. The bundle's
figures on the demo product's test images are printed and written into its manifest.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec

from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.writer import write_bundle
from uadx.demo.dataset import write_product
from uadx.evaluation.evaluate import evaluate
from uadx.pipeline import create_pipeline
from uadx.stfpm.training import Epoch
from uadx.train.build import Progress, TrainOptions, train


class _Lines(Progress):
    def epoch(self, epoch: Epoch) -> None:
        print(f"epoch {epoch.number}/{epoch.epochs}: loss {epoch.loss:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="default")
    parser.add_argument("--output", type=Path, default=default_path())
    parser.add_argument("--train-good", type=int, default=4000)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = Path(folder) / "mesh"
        write_product(product, train_good=arguments.train_good)
        train(TrainOptions(product, arguments.output, epochs=arguments.epochs, teacher=arguments.teacher), _Lines())
        with create_pipeline(model=arguments.output) as pipeline:
            evaluation = evaluate(pipeline.predict(product / "test"), product / "ground_truth")
    metrics = {}
    for figures in (*evaluation.kinds, evaluation.total):
        print(figures)
        if figures.auroc is not None and figures.aupro is not None:
            metrics[f"{figures.kind} AUROC"] = round(figures.auroc.value, 4)
            metrics[f"{figures.kind} AUPRO"] = round(figures.aupro.value, 4)
    bundle = open_bundle(arguments.output)
    manifest = msgspec.structs.replace(bundle.manifest, metrics=metrics)
    golden = {"image": bundle.golden.images, **bundle.golden.maps}
    write_bundle(arguments.output, manifest, bundle.artifact.path.read_bytes(), golden)


if __name__ == "__main__":
    main()
