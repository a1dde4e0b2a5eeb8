"""What `uadx run` tells its user: the model and device before, errors on the way, counts and doubts at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from pathlib import Path

import click

from uadx.cli.opening import what_runs
from uadx.output.record import Counts
from uadx.output.runner import Summary
from uadx.pipeline.pipeline import Pipeline
from uadx.plural import counted
from uadx.result import Result
from uadx.scoring.familiarity import Tally

MANY = 20
"""Images of a run from which most of them being NG is worth a word."""


class Report:
    """One run's. lines: the verdicts that get a line each, for runs that have no end to wait for."""

    def __init__(
        self, opened: Pipeline, quiet: bool, advance: Callable[[int], None], *, lines: Collection[str] = ()
    ) -> None:
        self._quiet, self._advance, self._lines = quiet, advance, () if quiet else lines
        self._device = opened.inspector.opened
        self._done = itertools.count(1)
        self._tally = Tally()
        bundle = opened.inspector.bundle
        self._most, self._larger = bundle.manifest.most_windows if bundle.calibrated else None, 0
        if self._device.simulated:
            click.echo(f"SIMULATED: {self._device.used} is no hardware", err=True)
        if quiet:
            return
        for line in what_runs(opened):
            click.echo(line, err=True)

    def add(self, result: Result) -> None:
        """Take one result that is written."""
        self._advance(next(self._done))
        self._tally.add(result["unfamiliar"])
        self._larger += self._most is not None and result["windows"] > self._most
        if result.error is not None:
            click.echo(f"error: {result['error']['message']}", err=True)
        elif (verdict := "NG" if result["is_anomaly"] else "OK") in self._lines:
            click.echo(f"{verdict} {result['score']:.3g} {result['input_path']}")

    def end(self, summary: Summary, output: Path, *, rate: bool) -> None:
        """Say what came of it. rate: images per second too."""
        counts = summary.counts
        if warning := self._tally.warning or mostly_ng(counts):
            click.echo(f"warning: {warning}", err=True)
        if self._larger:
            click.echo(
                f"warning: {counted(self._larger, 'image')} cut into more tiles than the {self._most} at most of those "
                "that calibrated the threshold: more of such that are good will be NG",
                err=True,
            )
        if self._quiet:
            return
        earlier = f" ({summary.resumed} from the earlier run)" if summary.resumed else ""
        speed = f"{summary.rate:.1f} img/s " if rate and not self._device.simulated else ""
        click.echo(
            f"{counted(counts.images, 'image')}{earlier}, {counts.anomalies} NG, {counted(counts.errors, 'error')}, "
            f"{speed}on {self._device.label}, results in {output}"
        )
        if summary.skipped:
            click.echo(f"{counted(summary.skipped, 'file')} left out: no image by its name; a glob takes any name")
        if summary.report is not None:
            click.echo(f"look at it: {summary.report.resolve().as_uri()}")


def mostly_ng(counts: Counts) -> str | None:
    """What to say of a run in which most images are NG, as no line's are."""
    inspected = counts.images - counts.errors
    if inspected < MANY or 2 * counts.anomalies <= inspected:
        return None
    return (
        f"{counts.anomalies} of {inspected} images are NG: where most of these parts are good, the model does not know "
        "them: another product, batch, light or place?"
    )
