"""magnetic_tile with its good images divided anew, so that no part is on both sides.

    python benchmarks/accuracy/by_part.py --data ../shared/data/magnetic_tile --output magnetic_tile_by_part
    python benchmarks/accuracy/recipes.py default --data magnetic_tile_by_part --same-part 'part(\\d+)' --output DIR

Each tile was photographed with up to six exposures, in turn: "exp1_num_52659", "exp2_num_52677", ... The number is that
of a running camera, so pictures less than GAP apart show one part. In the data set as it came to us 184 of the 191 good
images for testing show a part that also teaches; a line that inspects new parts all day is like the set made here.
Writes links, "part017_exp1_num_52659.jpg"; a fifth of the parts goes to test/good.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

GAP = 60
"""Between numbers; within a part they lie 10 to 45 apart, and parts lie hundreds."""
SHARE = 0.2


def parts(good: list[Path]) -> list[list[Path]]:
    """The pictures of each part, by their numbers."""
    numbered = sorted((int(re.search(r"num_(\d+)", path.name)[1]), path) for path in good)  # type: ignore[index]
    found: list[list[Path]] = []
    last = -GAP
    for number, path in numbered:
        if number - last >= GAP:
            found.append([])
        found[-1].append(path)
        last = number
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    data, output = given.data.resolve(), given.output
    found = parts([*(data / "train" / "good").iterdir(), *(data / "test" / "good").iterdir()])
    order = np.random.default_rng(0).permutation(len(found))
    tested = set(order[: round(SHARE * len(found))].tolist())
    for index, pictures in enumerate(found):
        folder = output / ("test" if index in tested else "train") / "good"
        folder.mkdir(parents=True, exist_ok=True)
        for path in pictures:
            (folder / f"part{index:03d}_{path.name}").symlink_to(path)
    for kind in sorted((data / "test").iterdir()):
        if kind.name != "good":
            (output / "test" / kind.name).symlink_to(kind, target_is_directory=True)
    (output / "ground_truth").symlink_to(data / "ground_truth", target_is_directory=True)
    print(f"{len(found)} parts, {len(tested)} of them to test: "
          f"{sum(1 for _ in (output / 'train/good').iterdir())} good images to train, "
          f"{sum(1 for _ in (output / 'test/good').iterdir())} to test")  # fmt: skip


if __name__ == "__main__":
    main()
