"""`uadx demo`: make the demo product's test images, inspect them with the bundle that ships, and show the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uadx.bundle.reader import DEFAULT
from uadx.demo.dataset import write_product
from uadx.demo.page import Page
from uadx.evaluation import Evaluation, evaluate
from uadx.images.sources import expand
from uadx.output.runner import run
from uadx.pipeline import create_pipeline
from uadx.result import Result

FORMATS = ("jsonl", "csv", "overlay")


@dataclass(frozen=True)
class Outcome:
    """What the demo found, where its page is, and how long it took. seconds: all in all; rate: img/s of the run."""

    evaluation: Evaluation
    page: Path
    device: str
    seconds: float
    rate: float


def demo(output: Path, device: str | None, on_image: Callable[[], None]) -> Outcome:
    """Write output/product (images in MVTec layout), output/results and output/index.html.

    on_image is called once for each image made and once for each inspected.
    """
    start = time.perf_counter()
    product = output / "product"
    write_product(product, train_good=0, on_image=on_image)
    results: list[Result] = []
    with create_pipeline(device=device, model=DEFAULT) as pipeline:
        page = Page(pipeline)

        def seen(result: Result) -> None:
            results.append(result)
            page.add(result)
            result.release()  # the page holds a thumbnail; a list of whole pictures would grow with the run
            on_image()

        test = product / "test"
        summary = run(pipeline, expand(test), output / "results", FORMATS, what=str(test), on_result=seen)
        evaluation = evaluate(results, product / "ground_truth")
        seconds = time.perf_counter() - start
        path = page.write(output / "index.html", evaluation, seconds)
        opened = pipeline.inspector.opened
        return Outcome(evaluation, path, f"{opened.used} ({opened.precision})", seconds, summary.rate)
