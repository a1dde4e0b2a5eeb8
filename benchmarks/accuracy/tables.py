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
from variants import FALLING, VARIANTS

SHIPPED = "resnet18_distilled_cpu"
"""The teacher in the bundle that ships."""
SHORT = {"images": 200, "seen": 1600}
"""The trainings by which variants are compared: a quarter of what `uadx train` does."""
FIGURES = {"all": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
NOT_KINDS = {"weights", "false_alarms", "calibrating", "judged", "seconds", *FIGURES}


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
    own = [row for row in found if row["scoring"] in (OWN, PAPER) and not _short(row)]
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
    """Changes to the recipe, one at a time, in short trainings: what they change beside the recipe without them, with
    the same seed, which draws the same images; the recipes' own figures, and those of another teacher, as they are."""
    own = [row for row in found if row["scoring"] in (OWN, PAPER) and _short(row)]
    columns = sorted({row["data"] for row in own})
    figures = {"all": "image AUROC", "aupro": "AUPRO"}
    by_name = grouped(own, "teacher", "variant")
    order = sorted(by_name, key=lambda key: (key[1] != "default", list(VARIANTS).index(key[1]), key[0] != SHIPPED))

    def cells(teacher: str, variant: str, data: str) -> list[object]:
        members = [row for row in by_name[teacher, variant] if row["data"] == data]
        if variant in ("default", FALLING):
            return [len(members), *(mean_and_spread(members, name) for name in figures)]
        beside = FALLING if variant.startswith(FALLING) else "default"
        plain = {row["seed"]: row for row in by_name[teacher, beside] if row["data"] == data}
        members = [row for row in members if row["seed"] in plain]
        changes = [{name: row[name] - plain[row["seed"]][name] for name in figures} for row in members]
        return [len(changes), *(mean_and_spread(changes, name, "+.3f") for name in figures)]

    table(
        f"Variants: {SHORT['images']} good images, {SHORT['seen']} images seen",
        ["recipe", *(f"{data}: {what}" for data in columns for what in ("seeds", *figures.values()))],
        (
            [_says(variant) if teacher == SHIPPED else f"{_says(variant)}, teacher {teacher}"]
            + [cell for data in columns for cell in cells(teacher, variant, data)]
            for teacher, variant in order
        ),
    )


def _says(variant: str) -> str:
    change = VARIANTS[variant].says
    return f"falling rate: {change}" if variant.startswith(f"{FALLING}, ") else change


def _short(row: Row) -> bool:
    return all(row[name] == value for name, value in SHORT.items()) or (
        row["images"] == SHORT["images"] and row["variant"] in ("half", "double")
    )


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
