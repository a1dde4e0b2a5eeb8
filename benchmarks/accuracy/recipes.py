"""Train variants of the recipe, each with several seeds, and keep the level maps that they give: a file for each.

    python benchmarks/accuracy/recipes.py --data ../shared/data/magnetic_tile --output trained/ default authors
    python benchmarks/accuracy/figures.py --data ../shared/data/magnetic_tile trained/
    python benchmarks/accuracy/tables.py

What has its file already is not trained again. --images takes some of the good images only. Variants: variants.py; by
default the recipe and each change to it.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from trained import Seen, Trained
from variants import CHANGES, OtherPictures, Variant, known, variant

from uadx.images.decode import Limits
from uadx.images.decode import load as decoded
from uadx.images.framing import Framing
from uadx.images.sources import expand
from uadx.stfpm.network import Trunk
from uadx.train.beginning import IMAGES_SEEN
from uadx.train.dataset import read_good_images
from uadx.train.proportions import AREA, fitting_size
from uadx.train.split import by_seed
from uadx.train.teacher import TeacherWeights, load_teacher
from uadx.train.trust import pasted

SHARED = Path(os.environ.get("UADX_DATA", "../shared/data"))


def train(
    data: Path,
    name: str,
    seed: int,
    images: int | None,
    teacher_name: str,
    seen: int,
    same_part: re.Pattern[str] | None = None,
) -> Trained:
    """Train one variant once, and run it on the held-out, the spoilt and the labelled images."""
    recipe = variant(name)
    given = _teacher(teacher_name)
    teacher = given.weights
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        good = _some(data / "train" / "good", work / "good", images, seed)
        height, width = _size(recipe, good)
        framing = Framing(height, width, recipe.fit)
        dataset = read_good_images(good, work / "images.npy", framing, by_seed(seed, same_part))
        if issubclass(recipe.trainer, OtherPictures):
            OtherPictures.show(SHARED / "natural_images", height, width)
        began = time.monotonic()
        trained = recipe.pair(dataset, teacher, seen, seed, work)
        seconds = time.monotonic() - began

        def run(pixels: NDArray[np.uint8], shown: list[tuple[int, int]]) -> Seen:
            return Seen(trained.maps(pixels), shown)

        held_out = np.array(dataset.held_out.windows)
        shown = [(int(high), int(wide)) for high, wide in dataset.held_out.shown]
        tested = [
            framing(decoded(source, Limits()))
            for source in sorted(expand(data / "test"), key=lambda source: source.output)
        ]
        return Trained(
            {
                "data": data.name,
                "images": len(dataset.train.digests) + len(dataset.held_out.digests),
                "teacher": given.id,
                "seen": round(recipe.share * seen),
                "variant": name,
                "seed": seed,
                "seconds": round(seconds),
                **({} if same_part is None else {"same_part": same_part.pattern}),
            },
            (height, width),
            run(held_out, shown),
            run(*pasted(held_out, shown, seed)),
            run(np.stack([one.pixels for one in tested]), [one.cut.content for one in tested]),
        )


def _teacher(name: str) -> TeacherWeights:
    """What `uadx train --teacher` takes, or "random": a network that was taught nothing."""
    if name != "random":
        return load_teacher(name)
    torch.manual_seed(0)
    return TeacherWeights(name, Trunk().folded())


def _size(recipe: Variant, good: Path) -> tuple[int, int]:
    if recipe.fit == "stretch":
        return recipe.side, recipe.side
    height, width = (round(side * recipe.side / AREA / 32) * 32 for side in fitting_size(good))
    return height, width


def _some(folder: Path, into: Path, images: int | None, seed: int) -> Path:
    """A folder of links to some of the images, drawn by the seed."""
    if images is None:
        return folder
    into.mkdir()
    paths = sorted(folder.iterdir())
    for index in np.random.default_rng([seed, images]).permutation(len(paths))[:images]:
        (into / paths[index].name).symlink_to(paths[index].resolve())
    return into


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT")
    parser.add_argument("--data", type=Path, default=SHARED / "magnetic_tile")
    parser.add_argument("--output", type=Path, required=True, help="folder of the files")
    parser.add_argument("--images", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--teacher", default="default", help="as for uadx train, or random")
    parser.add_argument("--same-part", type=re.compile, help="as for uadx train")
    parser.add_argument("--seen", type=int, default=IMAGES_SEEN)
    given = parser.parse_args()
    for name in given.variants:
        if not known(name):
            parser.error(f"no variant {name!r}; changes: {', '.join(CHANGES)}")
    given.output.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for name in given.variants or ["default", "authors", *CHANGES]:
            teacher = Path(given.teacher).stem
            file = given.output / f"{given.data.name}-{given.images or 'all'}-{teacher}-{given.seen}-{name}-{seed}.npz"
            if not file.exists():
                trained = train(given.data, name, seed, given.images, given.teacher, given.seen, given.same_part)
                trained.save(file)
                print(trained.facts, flush=True)


if __name__ == "__main__":
    main()
