"""Whether memory stays bounded: RSS of `uadx run` after a tenth of the images and after all of them.

    python benchmarks/memory.py
    python benchmarks/memory.py --images 20 --large

The images are links to 130 pictures of the demo product, or with --large to three of 4000 x 3000 pixels, of many parts,
which go through the model in tiles of 300; overlays are written.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import tempfile
from pathlib import Path

import cv2
import numpy as np

from uadx.demo.dataset import write_product
from uadx.images.sources import expand
from uadx.output.runner import run
from uadx.pipeline import create_pipeline
from uadx.result import Result


def resident_mib() -> float:
    """Memory in use now, from /proc where there is one, else the peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def large_pictures(folder: Path, parts: list[Path]) -> list[Path]:
    """Three pictures of many parts each."""
    folder.mkdir()
    found = []
    for number in range(3):
        chosen = np.random.default_rng(number).choice(len(parts), (10, 14))
        rows = [np.hstack([cv2.imread(str(parts[index])) for index in row]) for row in chosen]
        found.append(folder / f"{number}.jpg")
        cv2.imwrite(str(found[-1]), np.vstack(rows)[:3000, :4000])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    early = arguments.images // 10
    with tempfile.TemporaryDirectory() as folder:
        write_product(Path(folder) / "mesh", train_good=0)
        images = sorted((Path(folder) / "mesh" / "test").rglob("*.png"))
        settings: dict[str, object] = {"device": arguments.device}
        if arguments.large:
            images = large_pictures(Path(folder) / "large", images)
            settings |= {"tile": 300, "threshold": 1.5}  # any will do: the shipped model is not calibrated for tiles
        many = Path(folder) / "many"
        many.mkdir()
        for index, image in zip(range(arguments.images), itertools.cycle(images), strict=False):
            (many / f"{index:06}{image.suffix}").symlink_to(image)
        seen: dict[int, float] = {}
        count = itertools.count(1)

        def measure(result: Result) -> None:
            if (number := next(count)) in {early, arguments.images}:
                seen[number] = resident_mib()

        with create_pipeline(**settings) as pipeline:
            output = Path(folder) / "out"
            summary = run(pipeline, expand(many), output, ("jsonl", "overlay"), what=str(many), on_result=measure)
    for number, mib in seen.items():
        print(f"after {number:>6} images: {mib:.0f} MiB")
    print(f"ratio {seen[arguments.images] / seen[early]:.3f}, {summary.rate:.1f} img/s")


if __name__ == "__main__":
    main()
