"""What each part of the recipe is worth: train variants of it, each with several seeds, and measure them.

    python benchmarks/accuracy/recipes.py --data ../shared/data/magnetic_tile --output recipes.jsonl default authors
    python benchmarks/accuracy/recipes.py --output recipes.jsonl --table

A line of JSON for each training and way of scoring it; what the file holds already is not trained again. --images
takes some of the good images only. Variants: see variants.py; all, where none is named.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scorings import SCORINGS, Scored, of_paper
from splits import false_alarms
from variants import VARIANTS, OtherPictures, Variant

from uadx.evaluation.layout import GOOD, kind_of, read_mask
from uadx.evaluation.pixels import measure_defects
from uadx.evaluation.ranking import auroc
from uadx.evaluation.store import MapStore
from uadx.images.decode import Limits, load
from uadx.images.preprocess import FITS
from uadx.images.sources import expand
from uadx.stfpm import graph
from uadx.train.build import IMAGES_SEEN
from uadx.train.calibrate import level_maps, scaled
from uadx.train.dataset import AREA, fitting_size, read_good_images
from uadx.train.teacher import load_teacher
from uadx.train.trust import pasted

SHARED = Path(os.environ.get("UADX_DATA", "../shared/data"))


def measure(
    data: Path, name: str, seed: int, images: int | None, teacher_name: str, seen: int
) -> Iterator[dict[str, Any]]:
    """Train one variant once and score it in every way; a row for each."""
    variant = VARIANTS[name]
    teacher = load_teacher(teacher_name).weights
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        good = _some(data / "train" / "good", work / "good", images, seed)
        height, width = _size(variant, good)
        dataset = read_good_images(good, work / "images.npy", height, width, seed, fit=FITS[variant.fit])
        if variant.trainer is OtherPictures:
            OtherPictures.show(SHARED / "natural_images", height, width)
        began = time.monotonic()
        student = variant.student(dataset, teacher, seen, seed, work)
        seconds = time.monotonic() - began
        model = work / "stfpm.onnx"
        model.write_bytes(graph.build(teacher, student, height, width))
        held_out = np.array(dataset.images[dataset.held_out])
        shown = [tuple(part) for part in dataset.shown[dataset.held_out].tolist()]
        spoilt, shown_spoilt = pasted(held_out, shown, seed)
        good_maps, spoilt_maps = level_maps(model, held_out), level_maps(model, spoilt)
        scoring = scaled(good_maps, spoilt_maps, [*shown, *shown_spoilt], (height, width))
        tested = _Tested(data, variant, height, width)
        maps = level_maps(model, tested.pixels)
        trained = {"data": data.name, "variant": name, "seed": seed, "images": len(dataset.train), "seconds": seconds}
        if os.environ.get("UADX_KEEP"):
            kept = {
                f"{part}_{level}": value
                for part, of in (("good", good_maps), ("spoilt", spoilt_maps), ("test", maps))
                for level, value in of.items()
            }
            np.savez(
                f"{os.environ['UADX_KEEP']}/{name}_{seed}_{seen}.npz",
                kinds=tested.kinds,
                shown_test=np.array(tested.shown),
                shown_good=np.array(shown),
                shown_spoilt=np.array(shown_spoilt),
                held=held_out,
                model=np.frombuffer(model.read_bytes(), np.uint8),
                **kept,
            )
        trained["weights"] = [level.weight for _, level in sorted(scoring.levels.items())]
        if name == "default":
            unseen = np.flatnonzero(tested.kinds == GOOD)
            both = {level: np.concatenate([good_maps[level], maps[level][unseen]]) for level in maps}
            parts = [*shown, *(tested.shown[index] for index in unseen)]
            trained["false_alarms"] = false_alarms(both, parts, spoilt_maps, shown_spoilt, (height, width), len(shown))
        ways = {"paper": of_paper} if variant.train else SCORINGS
        for way, score in ways.items():
            scored = score(maps, scoring, tested.shown, (height, width))
            yield {**trained, "scoring": way, **tested.figures(scored, with_maps=way in ("default", "paper"))}


class _Tested:
    """The labelled images: pixels uint8 RGB [N, H, W, 3] and the part of each that shows the image."""

    def __init__(self, data: Path, variant: Variant, height: int, width: int) -> None:
        sources = sorted(expand(data / "test"), key=lambda source: source.output)
        images = [load(source, Limits()) for source in sources]
        fitted = [FITS[variant.fit](image, height, width) for image in images]
        self.pixels = np.stack([one.pixels for one in fitted])
        self.shown = [one.content for one in fitted]
        self.kinds = np.array([kind_of(source.output) for source in sources])
        self.masks = [
            np.zeros(image.shape[:2], bool)
            if kind_of(source.output) == GOOD
            else read_mask(source.output, data / "ground_truth", *image.shape[:2])
            for source, image in zip(sources, images, strict=True)
        ]

    def figures(self, scored: Scored, with_maps: bool) -> dict[str, float]:
        """AUROC of the image scores, of all defects and by kind; with maps also their pixel AUROC and AUPRO."""
        scores, good = scored.scores, self.kinds == GOOD
        found = {"all": auroc(~good, scores)}
        for kind in sorted(set(self.kinds) - {GOOD}):
            chosen = good | (self.kinds == kind)
            found[str(kind)] = auroc(~good[chosen], scores[chosen])
        if with_maps:
            with MapStore() as store:
                for one, mask in zip(scored.maps, self.masks, strict=True):
                    if mask is not None:
                        store.add(one, mask)
                defects = measure_defects(store)
            found |= {"pixel_auroc": defects.pixel_auroc().value, "aupro": defects.aupro(0.3).value}
        return {name: round(value, 4) for name, value in found.items()}


def _size(variant: Variant, good: Path) -> tuple[int, int]:
    if variant.fit == "stretch":
        return variant.side, variant.side
    height, width = (round(side * variant.side / AREA / 32) * 32 for side in fitting_size(good))
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


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and spread (highest less lowest) over the seeds, a line for each set, variant and scoring."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["images"], row["variant"], row["scoring"]), []).append(row)
    lines = ["| data | images | recipe | scoring | seeds | image AUROC | pixel AUROC | AUPRO | s |", "|-" * 9 + "|"]
    for (data, images, variant, way), members in groups.items():
        cells = [
            _mean_and_spread([row[name] for row in members if name in row]) for name in ("all", "pixel_auroc", "aupro")
        ]
        seconds = round(float(np.mean([row["seconds"] for row in members])))
        named = [data, images, VARIANTS[variant].says, way, len(members), *cells, seconds]
        lines.append(f"| {' | '.join(map(str, named))} |")
    return "\n".join(lines)


def _mean_and_spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({np.ptp(values):.3f})" if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", choices=[[], *VARIANTS], metavar="VARIANT")
    parser.add_argument("--data", type=Path, default=SHARED / "magnetic_tile")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--teacher", default="default")
    parser.add_argument("--seen", type=int, default=IMAGES_SEEN)
    parser.add_argument("--table", action="store_true", help="print what the file holds, train nothing")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.exists() else []
    if given.table:
        print(table(rows))
        return
    done = {(row["asked"], row["variant"], row["seed"]) for row in rows}
    asked = f"{given.data.name} {given.images} {given.teacher} {given.seen}"
    for seed in given.seeds:
        for name in given.variants or VARIANTS:
            if (asked, name, seed) in done:
                continue
            lines = []
            for row in measure(given.data, name, seed, given.images, given.teacher, given.seen):
                lines.append(json.dumps({"asked": asked, **row}))
                if row["scoring"] in ("default", "paper"):
                    print(lines[-1], flush=True)
            with given.output.open("a") as file:
                file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
