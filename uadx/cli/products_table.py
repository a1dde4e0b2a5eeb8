"""The table at the end of `uadx train --each`: what came of each product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uadx.scoring.calibration import Calibration
from uadx.train.each import Outcome

_HEADINGS = ("product", "", "good images", "threshold", "false alarms", "seconds", "bundle")
_LEFT = {0, 1, 6}


def products_table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Lines, by the products' names. false alarms: the rate that the threshold is for."""
    rows = [_HEADINGS, *(_cells(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.product.name))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = (
            f"{cell:<{width}}" if column in _LEFT else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _cells(outcome: Outcome) -> tuple[str, ...]:
    manifest = outcome.manifest
    seconds = f"{outcome.seconds:.0f}" if outcome.seconds else ""
    if manifest is None:
        return (outcome.product.name, outcome.state, "", "", "", seconds, "")
    images = manifest.training.images + len(manifest.training.held_out)
    threshold = Calibration(manifest.calibration["quantile"]).threshold(manifest.default_fpr)
    return (
        outcome.product.name, outcome.state, str(images), f"{threshold:.4g}", f"{manifest.default_fpr:.2g}", seconds,
        str(outcome.product.bundle),
    )  # fmt: skip
