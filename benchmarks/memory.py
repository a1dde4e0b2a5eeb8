"""Whether memory stays bounded: RSS of `uadx run` after 500 and after 5,000 images: python benchmarks/memory.py

The images are links to 130 pictures of the demo product; overlays are written.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import tempfile
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    early = arguments.images // 10
    with tempfile.TemporaryDirectory() as folder:
        write_product(Path(folder) / "mesh", train_good=0)
        images = sorted((Path(folder) / "mesh" / "test").rglob("*.png"))
        many = Path(folder) / "many"
        many.mkdir()
        for index, image in zip(range(arguments.images), itertools.cycle(images), strict=False):
            (many / f"{index:06}.png").symlink_to(image)
        seen: dict[int, float] = {}
        count = itertools.count(1)

        def measure(result: Result) -> None:
            if (number := next(count)) in {early, arguments.images}:
                seen[number] = resident_mib()

        with create_pipeline(device=arguments.device) as pipeline:
            output = Path(folder) / "out"
            summary = run(pipeline, expand(many), output, ("jsonl", "overlay"), what=str(many), on_result=measure)
    for number, mib in seen.items():
        print(f"after {number:>6} images: {mib:.0f} MiB")
    print(f"ratio {seen[arguments.images] / seen[early]:.3f}, {summary.rate:.1f} img/s")


if __name__ == "__main__":
    main()
