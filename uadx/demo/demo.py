"""`uadx demo`: make the demo product's test images, inspect them with the bundle that ships, and show the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uadx.bundle.reader import DEFAULT
from uadx.demo.dataset import write_product
from uadx.errors import OutputError, UsageError
from uadx.evaluation.evaluate import Evaluation, evaluate
from uadx.files import TEMPORARY, write_whole
from uadx.images.sources import expand
from uadx.output.runner import run
from uadx.pipeline import create_pipeline
from uadx.result import Result

FORMATS = ("jsonl", "csv", "overlay", "html")
MARK = ".uadx-demo"
"""An empty file by which a folder is known as a demo's, a killed one's too."""


@dataclass(frozen=True)
class Outcome:
    """What the demo found, where its report is, and how long it took.

    fpr: the false-alarm rate of the threshold used; seconds: all in all; rate: img/s of the run, None for a
    simulator.
    """

    evaluation: Evaluation
    report: Path
    device: str
    fpr: float
    seconds: float
    rate: float | None


def demo(output: Path, device: str | None, on_image: Callable[[], None]) -> Outcome:
    """Write output/product (images in MVTec layout) and output/results, a run with its report.

    on_image is called once for each image made and once for each inspected. Raises UsageError where output holds
    other things than an earlier demo.
    """
    start = time.perf_counter()
    _claim(output)
    product = output / "product"
    drawn = set(write_product(product, train_good=0, on_image=on_image))
    results: list[Result] = []
    with create_pipeline(device=device, model=DEFAULT) as pipeline:

        def seen(result: Result) -> None:
            results.append(result)
            result.release()  # the report has a thumbnail; a list of whole pictures would grow with the run
            on_image()

        test = product / "test"
        sources = (source for source in expand(test) if source.data in drawn)
        summary = run(pipeline, sources, output / "results", FORMATS, what=str(test), on_result=seen)
        evaluation = evaluate(results, product / "ground_truth")
        seconds = time.perf_counter() - start
        assert summary.report is not None
        opened = pipeline.inspector.opened
        fpr = pipeline.bundle.manifest.default_fpr
        rate = None if opened.simulated else summary.rate
        return Outcome(evaluation, summary.report, opened.label, fpr, seconds, rate)


def _claim(output: Path) -> None:
    try:
        foreign = output.is_dir() and any(not path.name.startswith(TEMPORARY) for path in output.iterdir())
    except OSError as error:
        raise OutputError(f"{output} cannot be listed", cause_text=str(error)) from error
    if foreign and not (output / MARK).is_file():
        raise UsageError(
            f"{output} holds files that are not the demo's",
            hint="name a folder that is empty or new (--output DIR on the command line)",
        )
    write_whole(output / MARK, b"")
