"""What a cluster costs beside the plain run: the same pictures by both in turn, as images a second and their ratio.

    python benchmarks/cluster.py --images 2000

Starts a Ray cluster of one machine, this one, and leaves the first pair out (caches warm). Rates are those that
`uadx run` prints: of the work, without the start of processes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from uadx.cores import usable_cores
from uadx.demo.dataset import write_product


def rate(folder: Path, name: str, options: Sequence[str]) -> float:
    """Images a second of one run."""
    output = folder / name
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "uadx", "run", "--input", str(folder / "photos"), "--output", str(output),
               "--format", "jsonl", "--device", "openvino:CPU", *options]  # fmt: skip
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"([\d.]+) img/s", printed)
    assert found is not None, printed
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-size", type=int, nargs="+", default=[1000, 200])
    given = parser.parse_args()
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_product(folder / "product", train_good=100)
        pictures = sorted((folder / "product").rglob("good/*.png"))
        (folder / "photos").mkdir()
        for number in range(given.images):
            (folder / "photos" / f"{number}.png").symlink_to(pictures[number % len(pictures)])
        cores = usable_cores()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False})
        try:
            on_ray = ("--engine", "ray", "--address", cluster.address, "--shard-size")
            kinds = {"plain": (), **{f"shards of {size}": (*on_ray, str(size)) for size in given.shard_size}}
            rates: dict[str, list[float]] = {name: [] for name in kinds}
            for turn in range(given.rounds + 1):
                for name, options in kinds.items():
                    found = rate(folder, "out", options)
                    if turn:
                        rates[name].append(found)
        finally:
            cluster.shutdown()
    print(f"{given.images} images, {cores} cores")
    for name, found in rates.items():
        ratios = [mine / plain for mine, plain in zip(found, rates["plain"], strict=True)]
        print(f"{name}: {median(found):.1f} img/s, {median(ratios):.3f} of the plain run")


if __name__ == "__main__":
    main()
