"""How large the report of a run is, how long it takes and how much memory: the demo product's results, many times over.

    python benchmarks/report_size.py 10000

Every result is written as a run would have it; only their pictures repeat, which the file does not profit from.
"""

from __future__ import annotations

import itertools
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from uadx import create_pipeline
from uadx.demo.dataset import write_product
from uadx.output.thumbnails import thumbnail_line
from uadx.report.facts import facts_of
from uadx.report.run_report import write_report
from uadx.report.thumbnail import Thumbnail
from uadx.result import Result


def main(images: int) -> None:
    with tempfile.TemporaryDirectory() as folder, create_pipeline() as pipeline:
        product = Path(folder)
        write_product(product, train_good=0, test_good=20, test_per_kind=4)
        seen = [(result.json, _thumbnail(result)) for result in pipeline.predict(str(product / "test"))]
        path, before = product / "report.html", _peak()
        start = time.perf_counter()
        write_report(
            path,
            lambda: ({**fields, "score": fields["score"] * (1 + n / images)} for n, (fields, _) in _many(seen, images)),
            lambda: (thumbnail for _, (_, thumbnail) in _many(seen, images)),
            facts_of(pipeline, str(product), 0, 1.0),
        )
        seconds = time.perf_counter() - start
        for name in ("small", "large"):
            mean = sum(len(getattr(thumbnail, name)) for _, thumbnail in seen) / len(seen)
            print(f"{name} picture: {mean / 1000:.1f} kB as base64")
        size, more = path.stat().st_size / 1e6, _peak() - before
        print(f"{images} images: {size:.1f} MB, written in {seconds:.1f} s with {more:.0f} MB more memory")


def _thumbnail(result: Result) -> Thumbnail:
    return msgspec.json.decode(thumbnail_line(result, ("overlay",)), type=Thumbnail)


def _many(seen, images):
    return enumerate(itertools.islice(itertools.cycle(seen), images))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
