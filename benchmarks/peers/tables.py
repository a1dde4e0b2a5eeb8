"""What compare.py measured, as Markdown tables. figures: compare.Variant by name, as dictionaries."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Mapping[str, Any]]

PAIRS = [
    ("uadx f32", "PaddleX, as it comes"),
    ("uadx f32", "PaddleX f32, a thread a core"),
    ("uadx f32", "anomalib f32"),
    ("uadx bf16", "PaddleX bf16, a thread a core"),
    ("uadx bf16", "anomalib, as it comes"),
    ("uadx int8", "PaddleX, as it comes"),
    ("uadx int8", "PaddleX bf16, a thread a core"),
    ("uadx int8", "anomalib, as it comes"),
    ("uadx int8", "anomalib int8"),
    ("uadx f32", "uadx f32, engine alone"),
    ("uadx int8", "uadx int8, engine alone"),
]
"""Like against like, and the best of one against what the other comes with and its best."""


def variants(figures: Figures) -> str:
    """Rate, core time, start and memory of each variant."""
    return _table(
        ["variant", "how", "img/s", "core-ms an image", "start, s", "memory, MiB"],
        (
            [
                name,
                one["first"]["setting"],
                f"{statistics.median(_rates(one)):.1f}",
                f"{statistics.median(1e3 * turn['core_seconds'] / turn['images'] for turn in one['turns']):.1f}",
                f"{statistics.median(one['starts']):.2f}" if one["starts"] else "",
                f"{one['turns'][-1]['memory'] / 2**20:.0f}",
            ]
            for name, one in figures.items()
        ),
    )


def ratios(figures: Figures) -> str:
    """How many times as fast one variant is as another: the median of the rounds' ratios, the least and the most."""
    rows = []
    for one, other in PAIRS:
        if one in figures and other in figures:
            found = [mine / its for mine, its in zip(_rates(figures[one]), _rates(figures[other]), strict=True)]
            row = [one, other, *(f"{value:.2f}" for value in (statistics.median(found), min(found), max(found)))]
            rows.append(row)
    return _table(["", "beside", "times as fast", "least", "most"], rows)


def environments(figures: Figures, installed: Mapping[str, Mapping[str, int]]) -> str:
    """Size of each environment, and the versions that matter in it."""
    rows = []
    for name, size in installed.items():
        versions: Mapping[str, str] = next(
            (one["first"]["versions"] for found, one in figures.items() if found.startswith(name)), {}
        )
        said = ", ".join(f"{package} {version}" for package, version in versions.items())
        rows.append([name, said, str(size["packages"]), f"{size['bytes'] / 1e9:.2f}"])
    return _table(["environment", "versions", "packages", "GB"], rows)


def _rates(one: Mapping[str, Any]) -> list[float]:
    return [turn["images"] / turn["seconds"] for turn in one["turns"]]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], "|" + "-|" * len(head), *lines[1:]])
