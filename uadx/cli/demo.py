"""`uadx demo`: the whole job on a product that needs no camera."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uadx.demo.demo import Outcome
    from uadx.evaluation.evaluate import Figures


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("uadx-demo"),
    show_default=True,
    help="Folder for the images and results.",
)
@click.option("--device", "-d", metavar="DEVICE", help="cpu, openvino:CPU, onnxruntime:CPUExecutionProvider, ...")
@click.option("--quiet", "-q", is_flag=True, help="Print the path of the report only.")
def command(output: Path, device: str | None, quiet: bool) -> None:
    """Make pictures of a woven metal mesh, good and damaged; inspect them; write a report to look at.

    The pictures are drawn by uadx itself; the model that ships with uadx was trained on other good ones.
    """
    from uadx.cli.progress import shown_progress, shown_warnings
    from uadx.demo.demo import demo

    with shown_warnings(), shown_progress("drawing and inspecting", quiet) as advance:
        count = itertools.count(1)
        outcome = demo(output, device, lambda: advance(next(count)))
    if outcome.rate is None:
        click.echo(f"SIMULATED: no hardware has run this, but {outcome.device}", err=True)
    report = outcome.report.resolve()
    if quiet:
        click.echo(report)
        return
    click.echo(f"{'kind':<16}{'images':>7}{'NG':>5}{'AUROC':>8}{'AUPRO':>8}")
    for figures in (*outcome.evaluation.kinds, outcome.evaluation.total):
        click.echo(_row(figures))
    click.echo(_false_alarms(outcome))
    rate = "" if outcome.rate is None else f"at {outcome.rate:.0f} img/s "
    click.echo(f"{outcome.seconds:.1f} s in all, inspected {rate}on {outcome.device}")
    click.echo(f"look at it: {report.as_uri()}")


def _false_alarms(outcome: Outcome) -> str:
    good = next(figures for figures in outcome.evaluation.kinds if figures.kind == "good")
    return (
        f"false-alarm rate {outcome.fpr:.2g}: the threshold is set so that of 1,000 good parts about "
        f"{1000 * outcome.fpr:.0f} or fewer are called NG; here it was {good.flagged} of {good.images}"
    )


def _row(figures: Figures) -> str:
    auroc, aupro = ("" if found is None else f"{found.value:.3f}" for found in (figures.auroc, figures.aupro))
    return f"{figures.kind:<16}{figures.images:>7}{figures.flagged:>5}{auroc:>8}{aupro:>8}"
