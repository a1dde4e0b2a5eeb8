"""`uadx eval`: how good a model is on labelled images."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cli import options
from uadx.errors import EXIT_INPUTS_FAILED, UadxWarning

if TYPE_CHECKING:
    from uadx.evaluation.evaluate import Evaluation, Figures
    from uadx.pipeline import Pipeline
    from uadx.result import Result


@click.command("eval")
@click.option("--model", "-m", metavar="MODEL", help="Model bundle, directory or .zip. Default: the demo product's.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Labelled images in MVTec layout: DIR/test/good, DIR/test/<defect>, DIR/ground_truth.",
)
@click.option("--device", "-d", metavar="DEVICE", help="See `uadx devices`.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("uadx-eval"),
    show_default=True,
    help="Folder for index.html, eval.json and images.csv.",
)
@options.threshold
@options.fpr
@options.precision
@click.option("--fusion", type=click.Choice(["quantile", "product"]), help="product: the paper's formula, to compare.")
@click.option("--json", "as_json", is_flag=True, help="Print eval.json instead of a table.")
@click.option("--quiet", "-q", is_flag=True, help="Print the path of the page only.")
def command(data: Path, output: Path, as_json: bool, quiet: bool, **settings: Any) -> int:
    """Measure a model on labelled images: AUROC, AUPR and F1 of the scores, AUROC and AUPRO of the anomaly maps.

    \b
    uadx eval --model my_model --data parts/

    Writes a page with curves and the worst mistakes, the figures as JSON, and each image's score as CSV. Exit code 8
    where some images or masks could not be read.
    """
    from uadx.cli.progress import NO_MODEL, shown_progress, shown_warnings
    from uadx.evaluation.evaluate import evaluate
    from uadx.evaluation.known import Known
    from uadx.evaluation.layout import find_test_set
    from uadx.evaluation.page import write_page
    from uadx.evaluation.record import write_record
    from uadx.evaluation.worst import Worst
    from uadx.output.table import csv_table
    from uadx.pipeline.config import PipelineConfig
    from uadx.pipeline.pipeline import Pipeline

    test_set = find_test_set(data)
    config = PipelineConfig().override(**settings)
    with shown_warnings(), Pipeline(config) as pipeline:
        if pipeline.inspector.opened.simulated:
            click.echo(f"SIMULATED: {pipeline.inspector.opened.used} is no hardware", err=True)
        if config.model is None and not quiet:
            click.echo(NO_MODEL, err=True)
        worst, known = Worst(test_set.masks), Known(pipeline.bundle.manifest.training)
        with shown_progress("inspecting", quiet) as advance, csv_table(output / "images.csv") as add_row:

            def watched() -> Iterator[Result]:
                count = itertools.count(1)
                for result in pipeline.predict(test_set.images):
                    add_row(result.json)
                    if result.error is not None:
                        click.echo(f"error: {result['error']['message']}", err=True)
                    worst.add(result)
                    known.add(result)
                    yield result
                    advance(next(count))

            evaluation = evaluate(watched(), test_set.masks)
        for message in evaluation.unfit:
            click.echo(f"error: {message}", err=True)
        if known.warning is not None:
            warnings.warn(known.warning, UadxWarning, stacklevel=2)
        page = output / "index.html"
        write_page(page, pipeline, data, evaluation, worst, known)
        record = write_record(output / "eval.json", pipeline, data, evaluation, known)
        if as_json:
            click.echo(record)
        elif quiet:
            click.echo(page.resolve())
        else:
            _say(evaluation, pipeline, page)
    return EXIT_INPUTS_FAILED if evaluation.unread or evaluation.unfit else 0


def _say(evaluation: Evaluation, pipeline: Pipeline, page: Path) -> None:
    kinds = [figures.kind for figures in (*evaluation.kinds, evaluation.total)]
    width = max(map(len, kinds)) + 2
    titles = ("images", "NG", "AUROC", "AUPR", "F1max", "pixAUROC", "AUPRO", "AUPRO5%")
    click.echo(f"{'kind':<{width}}" + "".join(f"{title:>9}" for title in titles))
    for figures in (*evaluation.kinds, evaluation.total):
        click.echo(_row(figures, width))
    if evaluation.total.auroc is not None:
        _, low, high = evaluation.total.auroc
        click.echo(f"image AUROC of all defects: 95 % interval {low:.3f} to {high:.3f}; the others are on the page")
    if evaluation.kinds and evaluation.kinds[0].kind == "good":
        good, total = evaluation.kinds[0], evaluation.total
        found = f", {100 * total.rate.value:.1f} % of the defects found" if total.images else ""
        click.echo(
            f"at the threshold {pipeline.inspector.thresholds.image:.3g}: {100 * good.rate.value:.1f} % false alarms"
            f" ({good.flagged} of {good.images}){found}"
        )
    for note in evaluation.notes:
        click.echo(note)
    click.echo(f"on {pipeline.inspector.opened.label}; look at it: {page.resolve().as_uri()}")


def _row(figures: Figures, width: int) -> str:
    cells = "".join(f"{'' if found is None else f'{found.value:.3f}':>9}" for found in figures.measures)
    return f"{figures.kind:<{width}}{figures.images:>9}{figures.flagged:>9}{cells}".rstrip()
