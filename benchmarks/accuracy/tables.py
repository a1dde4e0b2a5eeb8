"""Print the tables of docs/accuracy.md from measured.jsonl: mean over the seeds, and highest less lowest.

python benchmarks/accuracy/tables.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from figures import OWN, PAPER
from rows import MEASURED, Row, read
from splits import RATES, binomial_band, conformal_band
from variants import CHANGES, WHOLE, variant

SHIPPED = "resnet18_distilled_cpu"
"""The teacher in the bundle that ships."""
SHORT = {"default": {"images": 200, "seen": 3200}, "larger, falling": {"images": 200, "seen": 1600}}
"""The trainings by which changes to a recipe are compared, in a minute or two of a core; the second recipe is what was
uadx's at first."""
FIGURES = {"all": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
NOT_KINDS = {"weights", "same_part", "false_alarms", "calibrating", "judged", "seconds", *FIGURES}


def grouped(found: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def table(title: str, heads: list[str], lines: Iterable[Iterable[object]]) -> None:
    rows = [f"| {' | '.join(map(str, line))} |" for line in lines]
    if rows:
        print(f"\n### {title}\n\n| {' | '.join(heads)} |\n{'|-' * len(heads)}|")
        print("\n".join(rows))


def mean_and_spread(members: list[Row], name: str, form: str = ".3f") -> str:
    values = [row[name] for row in members if name in row]
    spread = f" ({np.ptp(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{spread}" if values else ""


def recipes(found: list[Row]) -> None:
    """Whole recipes, with their own scoring, but for those that are compared in `variants`."""
    own = [row for row in found if row["scoring"] in (OWN, PAPER) and not any(_among(row, base) for base in SHORT)]
    table(
        "Recipes",
        ["data", "good images", "teacher", "images seen", "recipe", "seeds", *FIGURES.values()],
        (
            [data, images, teacher, seen, _says(variant), len(members)]
            + [mean_and_spread(members, name) for name in FIGURES]
            for (data, images, teacher, seen, variant), members in grouped(
                own, "data", "images", "teacher", "seen", "variant"
            ).items()
        ),
    )


def variants(found: list[Row]) -> None:
    """Changes to a recipe, one at a time, in short trainings: what they change beside the recipe without them, with the
    same seed, which draws the same images. The recipe's own figures are as they are, those of the authors' too."""
    for base in SHORT:
        _changes(base, [row for row in found if row["scoring"] in (OWN, PAPER) and _among(row, base)])


def _among(row: Row, base: str) -> bool:
    """Whether it is of a short training of a recipe or a change to it."""
    name, short = row["variant"], SHORT[base]
    if row["images"] != short["images"] or (row["seen"] != short["seen"] and name not in ("half", "double")):
        return False
    return name == base or (name not in SHORT and name.startswith(f"{base}, ") == (base != "default"))


def _changes(base: str, own: list[Row]) -> None:
    columns = sorted({row["data"] for row in own})
    figures = {"all": "image AUROC", "aupro": "AUPRO"}
    by_name = grouped(own, "teacher", "variant")
    known = [*WHOLE, *CHANGES]
    order = sorted(by_name, key=lambda key: (key[1] != base, known.index(_last(key[1])), key[0] != SHIPPED))

    def cells(teacher: str, name: str, data: str) -> list[object]:
        members = [row for row in by_name[teacher, name] if row["data"] == data]
        if name in (base, "authors"):
            return [len(members), *(mean_and_spread(members, figure) for figure in figures)]
        plain = {row["seed"]: row for row in by_name[teacher, base] if row["data"] == data}
        members = [row for row in members if row["seed"] in plain]
        changes = [{figure: row[figure] - plain[row["seed"]][figure] for figure in figures} for row in members]
        return [len(changes), *(mean_and_spread(changes, figure, "+.3f") for figure in figures)]

    table(
        f"Changes to {_says(base)}: {SHORT[base]['images']} good images, {SHORT[base]['seen']} images seen",
        ["recipe", *(f"{data}: {what}" for data in columns for what in ("seeds", *figures.values()))],
        (
            [_says(name if name == base else _last(name)) + ("" if teacher == SHIPPED else f", teacher {teacher}")]
            + [cell for data in columns for cell in cells(teacher, name, data)]
            for teacher, name in order
        ),
    )


def _last(name: str) -> str:
    return name.rsplit(", ", 1)[-1]


def _says(name: str) -> str:
    return variant(name).says


def kinds(found: list[Row]) -> None:
    """uadx's own recipe by kind of defect."""
    for (data,), rows in grouped(_of(found, "default", OWN), "data").items():
        names = sorted(set(rows[0]) - NOT_KINDS - {"data", "images", "teacher", "seen", "variant", "seed", "scoring"})
        table(
            f"Image AUROC by kind: {data}",
            ["good images", "teacher", "images seen", "seeds", *names],
            (
                [*key, len(members), *(mean_and_spread(members, name) for name in names)]
                for key, members in grouped(rows, "images", "teacher", "seen").items()
            ),
        )


def scorings(found: list[Row]) -> None:
    """Other ways to score the same trainings of uadx's own recipe on all images of a set."""
    own = [row for row in found if row["variant"] == "default" and row["teacher"] == SHIPPED]
    whole = {data: max(row["images"] for row in rows) for (data,), rows in grouped(own, "data").items()}
    own = [row for row in own if row["images"] == whole[row["data"]]]
    columns = list(grouped(own, "data", "images", "teacher", "seen"))
    by_way = grouped(own, "scoring")
    table(
        "Image AUROC by scoring",
        ["scoring", *(", ".join(map(str, column)) + " seen" for column in columns)],
        (
            [way]
            + [
                mean_and_spread(grouped(rows, "data", "images", "teacher", "seen").get(column, []), "all")
                for column in columns
            ]
            for (way,), rows in by_way.items()
        ),
    )


def alarms(found: list[Row]) -> None:
    """What the threshold asked for and what was counted, over all splits of all seeds."""
    lines = []
    names = ("data", "images", "teacher", "seen", "calibrating", "judged")
    rows = [row for row in _of(found, "default", OWN) if "false_alarms" in row]
    for (*key, calibrating, judged), members in grouped(rows, *names).items():
        for rate in RATES:
            counts = np.array([count for row in members for count in row["false_alarms"][str(rate)]])
            if not len(counts):
                continue
            cells: list[object] = [*key, f"{rate:.0%}", f"{counts.mean() / judged:.1%}", len(counts)]
            for low, high in (binomial_band(rate, judged), conformal_band(rate, calibrating, judged)):
                inside = int(((counts >= low) & (counts <= high)).sum())
                cells.append(f"{inside} within {low / judged:.1%} to {high / judged:.1%}")
            lines.append(cells)
    heads = ["data", "good images", "teacher", "images seen", "asked", "counted", "splits", "binomial", "conformal"]
    table("False alarms", heads, lines)


def _of(found: list[Row], variant: str, scoring: str) -> list[Row]:
    return [row for row in found if row["variant"] == variant and row["scoring"] == scoring]


TABLES: tuple[Callable[[list[Row]], None], ...] = (recipes, variants, kinds, scorings, alarms)

if __name__ == "__main__":
    measured = read(MEASURED)
    for show in TABLES:
        show(measured)
