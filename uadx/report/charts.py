"""Charts as SVG elements for a page: score histograms and curves. Colours are CSS variables of style.css."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 60
TICK = 0.05
"""Least distance of two numbers below a histogram, as a share of its width."""
GOOD_COLOUR, DEFECT_COLOUR = "var(--ok)", "var(--ng)"


def histogram(good: Sequence[float], defective: Sequence[float], threshold: float) -> str:
    """Counts of good and of defective images by score, on a square-root axis from the lowest score on: defects score
    far above good parts, and good parts lie close together."""
    lowest, highest = min([threshold, *good, *defective]), max([threshold, *good, *defective])
    reach = max(highest - lowest, 1e-9) * 1.02
    width, height = 1100, 170

    def place(score: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """0..1 from left to right."""
        return np.sqrt(np.maximum(np.asarray(score, np.float64) - lowest, 0.0) / reach)

    edges = np.linspace(0, 1, BINS + 1)
    counts = [np.histogram(place(np.array(scores)), edges)[0] for scores in (good, defective)]
    most = max(1, int(np.max(counts[0] + counts[1])))
    bars = []
    for index in range(BINS):
        base = float(height)
        for of_class, colour in zip(counts, (GOOD_COLOUR, DEFECT_COLOUR), strict=True):
            high = float(of_class[index]) / most * (height - 30)
            base -= high
            if high:
                bars.append(
                    f'<rect x="{index * width / BINS + 1:.1f}" y="{base:.1f}" width="{width / BINS - 2:.1f}" '
                    f'height="{high:.1f}" fill="{colour}"/>'
                )
    line = float(place(threshold)) * width
    ticks = "".join(
        f'<line x1="{at * width:.1f}" x2="{at * width:.1f}" y1="{height}" y2="{height + 4}" stroke="currentColor"/>'
        f'<text x="{at * width:.0f}" y="{height + 17}" text-anchor="middle">{value:.4g}</text>'
        for value, at in _ticks(lowest, lowest + reach, place)
    )
    # beside the line, on the side where there is room for the words
    words, anchor = (line - 6, "end") if line > width / 2 else (line + 6, "start")
    return (
        f'<svg viewBox="0 0 {width} {height + 24}" role="img" aria-label="scores of good and of defective images">'
        f"{''.join(bars)}{ticks}"
        f'<line x1="{line:.1f}" x2="{line:.1f}" y1="0" y2="{height}" stroke="currentColor" stroke-dasharray="5 4"/>'
        f'<text x="{words:.1f}" y="14" text-anchor="{anchor}">threshold {threshold:.3g}: OK to the left, '
        f"NG to the right</text></svg><p class=facts>Green: good parts. Red: defective parts. Across: the image score, "
        f"stretched where it is low. The highest bar: {most} image{'s' * (most != 1)}.</p>"
    )


def _ticks(
    lowest: float, highest: float, place: Callable[[float], NDArray[np.float64]]
) -> Iterator[tuple[float, float]]:
    """Round values and where they stand, none nearer to the one before than numbers are wide."""
    last = int(np.floor(np.log10(max(abs(lowest), abs(highest), highest - lowest))))
    round_ = [digit * 10.0**power for power in range(last - 1, last + 1) for digit in (1, 2, 5)]
    values = [value for value in (*(-each for each in reversed(round_)), 0.0, *round_) if lowest <= value <= highest]
    if len(values) < 3:
        step = _round_step(highest - lowest)
        values = [step * count for count in range(math.ceil(lowest / step), math.floor(highest / step) + 1)]
    before = -np.inf
    for value in values:
        at = float(place(value))
        if at - before > TICK and 0.02 < at < 0.98:
            before = at
            yield value, at


def _round_step(length: float) -> float:
    """The least of 1, 2 and 5 times a power of ten of which a length has ten at most, and so four at least."""
    power = 10.0 ** math.floor(math.log10(length))
    return next(step for step in (0.1 * power, 0.2 * power, 0.5 * power, power) if length <= 10 * step)


class Curve(NamedTuple):
    """Points from left to right, x [N] and y [N] in 0..1."""

    colour: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def curves(lines: Mapping[str, Curve], x_label: str, y_label: str, x_limit: float = 1.0) -> str:
    """Curves over 0..x_limit by 0..1, each named in the legend below it."""
    width, height, left, bottom = 420, 300, 56, 40
    across, up = width - left - 18, height - bottom - 10

    def at(x: float, y: float) -> str:
        return f"{left + x / x_limit * across:.1f},{10 + (1 - y) * up:.1f}"

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<polyline class="grid" points="{at(0, tick)} {at(x_limit, tick)}"/>')
        parts.append(f'<polyline class="grid" points="{at(tick * x_limit, 0)} {at(tick * x_limit, 1)}"/>')
        parts.append(
            f'<text x="{left + tick * across:.0f}" y="{up + 25}" text-anchor="middle">{tick * x_limit:.3g}</text>'
            f'<text x="{left - 6}" y="{14 + (1 - tick) * up:.0f}" text-anchor="end">{tick:g}</text>'
        )
    for line in lines.values():
        inside = line.x <= x_limit
        x, y = line.x[inside], line.y[inside]
        if not inside.all():  # to the edge of the chart, and not to the last point before it
            x, y = np.append(x, x_limit), np.append(y, np.interp(x_limit, line.x, line.y))
        points = " ".join(at(float(a), float(b)) for a, b in zip(x, y, strict=True))
        parts.append(f'<polyline fill="none" stroke-width="2" style="stroke:{line.colour}" points="{points}"/>')
    parts.append(f'<text x="{left + across / 2}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    middle = 10 + up / 2
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    legend = "".join(
        f'<span><i style="background:{line.colour}"></i>{escape(name)}</span>' for name, line in lines.items()
    )
    label = escape(f"{y_label} over {x_label}: {', '.join(lines)}")
    return (
        f'<div class="chart"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<p class="facts">{legend}</p></div>'
    )
