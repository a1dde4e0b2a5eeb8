"""The demo's page: figures, score histogram and all overlays in one HTML file that needs no network and no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import cv2
import numpy as np

from uadx.evaluation import GOOD, Evaluation, Figures, kind_of
from uadx.files import write_whole
from uadx.pipeline import Pipeline
from uadx.result import Result, encode_image

THUMBNAIL = 220
"""Longer side of a picture on the page, in pixels."""
BINS = 60


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
        picture = result.img
        scale = min(1.0, THUMBNAIL / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        thumbnail = base64.b64encode(encode_image(np.asarray(small, np.uint8), ".jpg")).decode()
        label = str(result.source.output)
        self._cards.append(_Card(label, kind_of(result), result["score"], result["is_anomaly"], thumbnail))

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
            threshold=f"{inspector.threshold:.3g}",
            calibrated=len(manifest.training.held_out),
            fpr=f"{manifest.default_fpr:.2g}",
            rows="\n".join(_row(figures) for figures in (*evaluation.kinds, evaluation.total)),
            histogram=_histogram(cards, inspector.threshold),
            filters=_filters(kinds),
            filter_rules=_filter_rules(kinds),
            cards="\n".join(_card(card) for card in cards),
        )
        write_whole(path, text.encode())
        return path


def _row(figures: Figures) -> str:
    values = (figures.auroc, figures.pixel_auroc, figures.aupro)
    cells = "".join(f"<td>{'' if value is None else f'{value:.3f}'}</td>" for value in values)
    return f"<tr><td>{escape(figures.kind)}</td><td>{figures.images}</td><td>{figures.flagged}</td>{cells}</tr>"


def _card(card: _Card) -> str:
    verdict = "NG" if card.is_anomaly else "OK"
    return (
        f'<figure class="{verdict.lower()} k-{escape(card.kind)}">'
        f'<img src="data:image/jpeg;base64,{card.thumbnail}" alt="{escape(card.label)}: {verdict}" loading="lazy">'
        f"<figcaption><span>{escape(card.label)}</span><b>{verdict} {card.score:.2f}</b></figcaption></figure>"
    )


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


def _histogram(cards: Sequence[_Card], threshold: float) -> str:
    """Counts of good and of defective images by score, on a square-root axis: defects score far above good parts."""

    def place(score: float) -> float:
        return float(np.sqrt(max(score, 0.0)))

    top = max([threshold, *(card.score for card in cards)]) * 1.02
    edges = np.linspace(0, place(top), BINS + 1)
    width, height = 1100, 170
    bars = []
    counts = {
        good: np.histogram([place(card.score) for card in cards if (card.kind == GOOD) == good], edges)[0]
        for good in (True, False)
    }
    most = max(1, int((counts[True] + counts[False]).max()))
    for index in range(BINS):
        base = float(height)
        for good, colour in ((True, "var(--ok)"), (False, "var(--ng)")):
            high = float(counts[good][index]) / most * (height - 30)
            base -= high
            if high:
                bars.append(
                    f'<rect x="{index * width / BINS + 1:.1f}" y="{base:.1f}" width="{width / BINS - 2:.1f}" '
                    f'height="{high:.1f}" fill="{colour}"/>'
                )
    line = place(threshold) / edges[-1] * width
    ticks = "".join(
        f'<text x="{place(value) / edges[-1] * width:.0f}" y="{height + 16}" text-anchor="middle">{value:g}</text>'
        for value in (1, 2, 5, 10, 20, 50, 100)
        if value < top
    )
    return (
        f'<svg viewBox="0 0 {width} {height + 24}" role="img" aria-label="scores of good and of defective images">'
        f"{''.join(bars)}{ticks}"
        f'<line x1="{line:.1f}" x2="{line:.1f}" y1="0" y2="{height}" stroke="currentColor" stroke-dasharray="5 4"/>'
        f'<text x="{line + 6:.1f}" y="14">threshold {threshold:.3g}: OK to the left, NG to the right</text>'
        f"</svg><p class=facts>Green: good parts. Red: defective parts.</p>"
    )
