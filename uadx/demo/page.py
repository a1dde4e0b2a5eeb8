"""The demo's page: figures, score histogram and all overlays in one HTML file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from uadx.evaluation.evaluate import Evaluation, Figures
from uadx.evaluation.layout import GOOD, kind_of
from uadx.files import write_whole
from uadx.pipeline import Pipeline
from uadx.report.charts import histogram
from uadx.report.pictures import figure, thumbnail
from uadx.result import Result

THUMBNAIL = 220
"""Longer side of a picture on the page, in pixels."""


@dataclass(frozen=True)
class _Card:
    """One image on the page."""

    label: str
    kind: str
    score: float
    is_anomaly: bool
    thumbnail: str


class Page:
    """Collects results, each as a thumbnail, and writes the page."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._inspector = pipeline.inspector
        self._cards: list[_Card] = []

    def add(self, result: Result) -> None:
        """Take one result; an input that could not be read has no picture and is left out."""
        if result.error is not None:
            return
        picture = thumbnail(result.img, THUMBNAIL)
        label = str(result.source.output)
        self._cards.append(_Card(label, kind_of(result.source.output), result["score"], result["is_anomaly"], picture))

    def write(self, path: Path, evaluation: Evaluation, seconds: float) -> Path:
        """Write the page whole or not at all, and return its path."""
        inspector = self._inspector
        manifest = inspector.bundle.manifest
        opened = inspector.opened
        kinds = [figures.kind for figures in evaluation.kinds]
        cards = sorted(self._cards, key=lambda card: card.score, reverse=True)
        facts = (
            f"device {opened.label} · model {manifest.name} "
            f"{inspector.bundle.sha256[:12]} · {manifest.created_by} · {seconds:.1f} s in all"
        )
        text = Template(files("uadx.demo").joinpath("page.html").read_text("utf-8")).substitute(
            flagged=sum(card.is_anomaly for card in cards),
            images=len(cards),
            facts=escape(facts),
            threshold=f"{inspector.thresholds.image:.3g}",
            calibrated=len(manifest.training.held_out),
            fpr=f"{manifest.default_fpr:.2g}",
            rows="\n".join(_row(figures) for figures in (*evaluation.kinds, evaluation.total)),
            histogram=histogram(
                [card.score for card in cards if card.kind == GOOD],
                [card.score for card in cards if card.kind != GOOD],
                inspector.thresholds.image,
            ),
            style=files("uadx.report").joinpath("style.css").read_text("utf-8"),
            filters=_filters(kinds),
            filter_rules=_filter_rules(kinds),
            cards="\n".join(
                figure(card.thumbnail, card.label, card.score, card.is_anomaly, f"k-{card.kind}") for card in cards
            ),
        )
        write_whole(path, text.encode())
        return path


def _row(figures: Figures) -> str:
    values = (figures.auroc, figures.pixel_auroc, figures.aupro)
    cells = "".join(f"<td>{'' if value is None else f'{value.value:.3f}'}</td>" for value in values)
    return f"<tr><td>{escape(figures.kind)}</td><td>{figures.images}</td><td>{figures.flagged}</td>{cells}</tr>"


def _filters(kinds: Sequence[str]) -> str:
    """Radio buttons that CSS turns into a filter: works without a script and from a file."""
    names = ["all", "ng", "ok", *(f"k-{kind}" for kind in kinds)]
    labels = ["all", "NG", "OK", *kinds]
    return "\n".join(
        f'<input class="show" type="radio" name="show" id="{escape(name)}"{" checked" if name == "all" else ""}>'
        f'<label for="{escape(name)}">{escape(label)}</label>'
        for name, label in zip(names, labels, strict=True)
    )


def _filter_rules(kinds: Sequence[str]) -> str:
    names = ["ng", "ok", *(f"k-{kind}" for kind in kinds)]
    return "\n".join(f"#{name}:checked ~ .grid figure:not(.{name}) {{ display: none; }}" for name in names)
