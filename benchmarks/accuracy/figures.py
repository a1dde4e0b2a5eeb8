"""Score what recipes.py trained, in every way of scorings.py, and print a table: mean and spread over the seeds.

    python benchmarks/accuracy/figures.py --data ../shared/data/magnetic_tile trained/ [--json FILE] [--kinds]

The spread is the highest less the lowest. --kinds prints the AUROC of each kind of defect for uadx's own scoring.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scorings import SCORINGS, Scored, of_paper
from splits import RATES, false_alarms
from trained import Trained, load
from variants import VARIANTS

from uadx.evaluation.layout import GOOD, kind_of, read_mask
from uadx.evaluation.pixels import measure_defects
from uadx.evaluation.ranking import auroc
from uadx.evaluation.store import MapStore
from uadx.images.decode import Limits
from uadx.images.decode import load as decoded
from uadx.images.sources import expand
from uadx.train.calibrate import scaled

Row = dict[str, Any]
OWN, PAPER = "default", "paper"


class Labels:
    """The kinds and masks of the labelled images, in the order of their paths."""

    def __init__(self, data: Path) -> None:
        sources = sorted(expand(data / "test"), key=lambda source: source.output)
        self.kinds = np.array([kind_of(source.output) for source in sources])
        sizes = [decoded(source, Limits()).shape[:2] for source in sources]
        self.masks = [
            np.zeros(size, bool) if kind == GOOD else read_mask(source.output, data / "ground_truth", *size)
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
    """A row for each way of scoring."""
    good, spoilt, test, size = trained.good, trained.spoilt, trained.test, trained.size
    scoring = scaled(good.maps, spoilt.maps, [*good.shown, *spoilt.shown], size)
    facts = {**trained.facts, "weights": [level.weight for _, level in sorted(scoring.levels.items())]}
    ways = {PAPER: of_paper} if VARIANTS[trained.facts["variant"]].train else SCORINGS
    if trained.facts["variant"] == "default":
        facts["false_alarms"] = false_alarms(good, spoilt, test.some(np.flatnonzero(labels.kinds == GOOD)), size)
    return [
        {**facts, "scoring": way, **labels.figures(score(test.maps, scoring, test.shown, size), way in (OWN, PAPER))}
        for way, score in ways.items()
    ]


def table(found: list[Row], columns: list[str]) -> str:
    """A line for each training and scoring."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in found:
        key = (row["data"], row["images"], row["teacher"], VARIANTS[row["variant"]].says, row["scoring"])
        groups[key].append(row)
    lines = [f"| data | images | teacher | recipe | scoring | seeds | {' | '.join(columns)} |"]
    lines.append("|-" * (6 + len(columns)) + "|")
    for key, members in groups.items():
        cells = [_mean_and_spread([row[name] for row in members if name in row]) for name in columns]
        lines.append(f"| {' | '.join(map(str, [*key, len(members), *cells]))} |")
    return "\n".join(lines)


def alarms(found: list[Row]) -> str:
    """For each asked rate: the counted one, mean and highest over all splits of all seeds."""
    lines = []
    for rate in RATES:
        counted = [x for row in found if row["scoring"] == OWN for x in row.get("false_alarms", {}).get(str(rate), [])]
        if counted:
            lines.append(
                f"asked {rate:.0%}: counted {np.mean(counted):.2%}, {min(counted):.2%} to {max(counted):.2%} "
                f"in {len(counted)} splits"
            )
    return "\n".join(lines)


def _mean_and_spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({np.ptp(values):.3f})" if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, nargs="+", help="folder or files that recipes.py wrote")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="write every row there, a line each")
    parser.add_argument("--kinds", action="store_true")
    given = parser.parse_args()
    labels = Labels(given.data)
    files = [file for path in given.trained for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    trained = [one for one in map(load, files) if one.facts["data"] == given.data.name]
    found = [row for one in trained for row in rows(one, labels)]
    if given.json:
        given.json.write_text("".join(json.dumps(row) + "\n" for row in found))
    print(table(found, ["all", "pixel_auroc", "aupro", "seconds"]))
    if given.kinds:
        kinds = sorted(set(labels.kinds) - {GOOD})
        print(table([row for row in found if row["scoring"] in (OWN, PAPER)], ["all", *map(str, kinds)]))
    print(alarms(found))


if __name__ == "__main__":
    main()
