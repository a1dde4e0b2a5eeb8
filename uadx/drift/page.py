"""The page of `uadx drift`: the verdict, every part of the run, and the one that differs most as a curve."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle
from uadx.drift.comparison import Drift, Part, shares_below
from uadx.drift.words import detectable, verdict
from uadx.files import write_whole
from uadx.report.charts import Curve, curves
from uadx.report.style import style


def write_page(path: Path, bundle: Bundle, drift: Drift, scores: NDArray[np.float64]) -> None:
    """Write the page whole or not at all. Raises OutputError."""
    manifest, worst = bundle.manifest, drift.worst
    text = Template(files("uadx.drift").joinpath("page.html").read_text("utf-8")).substitute(
        style=style(),
        model=escape(manifest.name),
        verdict=escape(verdict(drift)),
        facts=escape(
            f"model {manifest.name} {bundle.sha256[:12]} · {len(drift.calibration)} calibration images · "
            f"{len(scores)} inspected · up to {drift.defects:.0%} defective allowed"
        ),
        meaning=escape(detectable(drift)),
        rows="\n".join(_row(part) for part in drift.shown),
        worst_title=f"Images {worst.first} to {worst.last}",
        curve=_curve(drift, worst, scores[worst.first - 1 : worst.last]),
    )
    write_whole(path, text.encode())


def _row(part: Part) -> str:
    cells = (
        f"{part.first} to {part.last}", f"{part.ng:.1%}", f"{part.median:.4g}", f"{part.higher:.3f}",
        f"{part.higher_limit:.3f}", f"{part.lower:.3f}", f"{part.lower_limit:.3f}", part.drift or "",
    )  # fmt: skip
    return f"<tr{' class=ng' if part.drift else ''}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _curve(drift: Drift, part: Part, scores: NDArray[np.float64]) -> str:
    known, found = shares_below(drift.calibration, scores)
    line = np.array([0.0, 1.0])
    steps = np.linspace(0, 1, 101)
    return curves(
        {
            f"images {part.first} to {part.last}": Curve(
                "var(--ng)" if part.drift else "var(--ok)", np.append(0.0, known), np.append(0.0, found)
            ),
            "alike": Curve("var(--line)", line, line),
            "lowest allowed": Curve("var(--soft)", steps, np.maximum(steps - part.higher_limit, 0)),
            "highest allowed": Curve("var(--soft)", steps, np.minimum(steps + part.lower_limit, 1)),
        },
        "share of the calibration images",
        "share of production",
    )
