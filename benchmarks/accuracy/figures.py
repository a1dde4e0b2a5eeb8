"""Score what recipes.py trained, uadx's recipe in every way of scorings.py, and keep the figures in measured.jsonl.

    python benchmarks/accuracy/figures.py --data ../shared/data/magnetic_tile trained/
    python benchmarks/accuracy/tables.py

A line that was there of the same training and scoring is replaced, the others stay: what one machine has no time for
another adds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rows import KEY, MEASURED, Row, keep
from scorings import SCORINGS, Scored, of_paper
from splits import counted, false_alarms
from trained import Trained, load
from variants import variant

from uadx.evaluation.layout import GOOD, kind_of
from uadx.evaluation.masks import find_mask, read_mask
from uadx.evaluation.pixels import measure_defects
from uadx.evaluation.ranking import auroc
from uadx.evaluation.store import MapStore
from uadx.images.decode import Limits
from uadx.images.decode import load as decoded
from uadx.images.sources import expand
from uadx.train.calibrate import scaled

OWN, PAPER = "default", "paper"


class Labels:
    """The kinds and masks of the labelled images, in the order of their paths."""

    def __init__(self, data: Path) -> None:
        sources = sorted(expand(data / "test"), key=lambda source: source.output)
        self.kinds = np.array([kind_of(source.output) for source in sources])
        sizes = [decoded(source, Limits()).shape[:2] for source in sources]
        self.masks = [
            np.zeros(size, bool) if kind == GOOD else read_mask(find_mask(source.output, data / "ground_truth"), *size)
            for source, kind, size in zip(sources, self.kinds, sizes, strict=True)
        ]

    def figures(self, scored: Scored, with_maps: bool) -> dict[str, float]:
        """AUROC of the image scores, of all defects and by kind; with maps also their pixel AUROC and AUPRO."""
        good = self.kinds == GOOD
        found = {"all": auroc(~good, scored.scores)}
        for kind in sorted(set(self.kinds) - {GOOD}):
            chosen = good | (self.kinds == kind)
            found[str(kind)] = auroc(~good[chosen], scored.scores[chosen])
        if with_maps:
            with MapStore() as store:
                for one, mask in zip(scored.maps, self.masks, strict=True):
                    if mask is not None:
                        store.add(one, mask)
                defects = measure_defects(store)
            found |= {"pixel_auroc": defects.pixel_auroc().value, "aupro": defects.aupro(0.3).value}
        return {name: round(value, 4) for name, value in found.items()}


def rows(trained: Trained, labels: Labels) -> list[Row]:
    """A row for each way of scoring; of changes to the recipe its own alone."""
    good, spoilt, test, size = trained.good, trained.spoilt, trained.test, trained.size
    scoring = scaled(good.maps, spoilt.maps, [*good.shown, *spoilt.shown], size)
    facts = {**trained.facts, "weights": [level.weight for _, level in sorted(scoring.levels.items())]}
    ways = SCORINGS if trained.facts["variant"] == "default" else {OWN: SCORINGS[OWN]}
    if variant(trained.facts["variant"]).train:
        ways = {PAPER: of_paper}
    found: list[Row] = [
        {**facts, "scoring": way, **labels.figures(score(test.maps, scoring, test.shown, size), way in (OWN, PAPER))}
        for way, score in ways.items()
    ]
    if trained.facts["variant"] == "default":
        more = test.some(np.flatnonzero(labels.kinds == GOOD))
        own = next(row for row in found if row["scoring"] == OWN)
        own |= {"calibrating": len(good.shown), "judged": len(more.shown)}
        count = counted if trained.facts.get("same_part") else false_alarms
        own["false_alarms"] = count(good, spoilt, more, size)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, nargs="+", help="folder or files that recipes.py wrote")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=Path, default=MEASURED, help="the file of the figures")
    given = parser.parse_args()
    labels = Labels(given.data)
    files = [file for path in given.trained for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    for trained in map(load, files):
        if trained.facts["data"] == given.data.name:
            found = rows(trained, labels)
            keep(given.rows, found)
            print({name: found[0][name] for name in (*KEY, "all")}, flush=True)


if __name__ == "__main__":
    main()
