"""The page of `uadx eval`: figures, curves and the worst mistakes in one HTML file without script or network."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from uadx.evaluation.evaluate import Evaluation, Figures
from uadx.evaluation.known import Known
from uadx.evaluation.layout import GOOD
from uadx.evaluation.pixels import GRID, Defects
from uadx.evaluation.ranking import Measure
from uadx.evaluation.worst import Shown, Worst
from uadx.files import write_whole
from uadx.pipeline import Pipeline
from uadx.report.charts import Curve, curves, histogram
from uadx.report.pictures import figure
from uadx.report.style import style


def write_page(path: Path, pipeline: Pipeline, data: Path, evaluation: Evaluation, worst: Worst, known: Known) -> None:
    """Write the page whole or not at all. Raises OutputError."""
    inspector = pipeline.inspector
    manifest = inspector.bundle.manifest
    facts = (
        f"device {inspector.opened.label} · model {manifest.name} {inspector.bundle.sha256[:12]} · "
        f"{manifest.created_by} · fusion {inspector.config.fusion}"
    )
    good = evaluation.scores[GOOD]
    defective = [score for kind, scores in evaluation.scores.items() if kind != GOOD for score in scores]
    text = Template(files("uadx.evaluation").joinpath("page.html").read_text("utf-8")).substitute(
        style=style(),
        model=escape(manifest.name),
        data=escape(str(data)),
        facts=escape(facts),
        threshold=f"{inspector.thresholds.image:.3g}",
        meaning=_meaning(pipeline),
        verdicts=_verdicts(evaluation),
        known="" if known.warning is None else f"<p><strong>Mind: {escape(known.warning)}.</strong></p>",
        rows="\n".join(_row(figures) for figures in (*evaluation.kinds, evaluation.total)),
        notes="".join(f" {escape(note)}" for note in evaluation.notes),
        histogram=histogram(good, defective, inspector.thresholds.image),
        curves=_curves(good, defective, evaluation.defects),
        misses="\n".join(_figure(shown) for shown in worst.misses),
        false_alarms="\n".join(_figure(shown) for shown in worst.false_alarms),
    )
    write_whole(path, text.encode())


def _meaning(pipeline: Pipeline) -> str:
    config = pipeline.inspector.config
    if config.threshold is not None:
        return ", which was given"
    manifest = pipeline.inspector.bundle.manifest
    fpr = config.fpr or manifest.default_fpr
    return (
        f", which {len(manifest.training.held_out)} held-out good images calibrate for a false-alarm rate of {fpr:.2g}"
    )


def _verdicts(evaluation: Evaluation) -> str:
    parts = []
    if evaluation.kinds and evaluation.kinds[0].kind == GOOD:
        good = evaluation.kinds[0]
        parts.append(f"Here {good.flagged} of {good.images} good images are NG ({_percent(good.rate)})")
    total = evaluation.total
    if total.images:
        parts.append(f"{total.flagged} of {total.images} defective ones are found ({_percent(total.rate)})")
    return escape(", ".join(parts) + ".") if parts else ""


def _percent(measure: Measure) -> str:
    return f"{100 * measure.value:.1f} %, {100 * measure.low:.1f} to {100 * measure.high:.1f}"


def _row(figures: Figures) -> str:
    cells = "".join(
        "<td></td>"
        if found is None
        else f"<td>{found.value:.3f}<small>{found.low:.3f} to {found.high:.3f}</small></td>"
        for found in figures.measures
    )
    rate = f"<small>{100 * figures.rate.low:.1f} to {100 * figures.rate.high:.1f} %</small>" if figures.images else ""
    return f"<tr><td>{escape(figures.kind)}</td><td>{figures.images}</td><td>{figures.flagged}{rate}</td>{cells}</tr>"


def _curves(good: list[float], defective: list[float], defects: Defects | None) -> str:
    charts = []
    lines = {}
    if good and defective:
        lines["images"] = Curve("var(--ng)", *_roc(np.array(good), np.array(defective)))
    if defects is not None:
        lines["pixels"] = Curve("var(--accent)", *_from_zero(defects.roc))
    if lines:
        charts.append(curves(lines, "false-positive rate", "share found (ROC)"))
    if defects is not None:
        overlap = {"overlap with a defect": Curve("var(--accent)", *_from_zero(defects.pro))}
        charts.append(curves(overlap, "false-positive rate of pixels", "mean overlap (PRO)", 0.3))
        charts.append(curves(overlap, "false-positive rate of pixels", "mean overlap (PRO)", 0.05))
    return "\n".join(charts) or "<p>Curves need good and defective images.</p>"


def _from_zero(found: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.concatenate([[0.0], GRID]), np.concatenate([[0.0], found])


def _roc(good: NDArray[np.float64], defective: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive rate and share found at each distinct score, from nothing flagged to everything."""
    thresholds = np.unique(np.concatenate([good, defective]))[::-1]

    def flagged(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.sort(scores)
        shares: NDArray[np.float64] = 1 - np.searchsorted(ordered, thresholds, side="left") / len(scores)
        return np.concatenate([[0.0], shares])

    return flagged(good), flagged(defective)


def _figure(shown: Shown) -> str:
    return figure(shown.picture, shown.label, shown.score, shown.is_anomaly)
