"""What the int8 form of a model costs: the same images through both forms, as `uadx run` inspects them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.api import Precision
from uadx.bundle.manifest import Cost
from uadx.evaluation.layout import GOOD, kind_of
from uadx.evaluation.ranking import auroc
from uadx.images.source import Source
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline


def measure(bundle: Path, sources: Sequence[Source], labelled: bool) -> Cost | None:
    """Run both forms on the CPU. labelled: the sources lie below a `test` folder, by kind. None: none can be read."""
    exact, scores = (_scores(bundle, sources, precision) for precision in ("f32", "int8"))
    read = ~np.isnan(exact[0])
    if not read.any():
        return None
    areas: dict[str, float] = {}
    if labelled:
        defective = np.array([kind_of(source.output) != GOOD for source in sources])[read]
        if 0 < defective.sum() < len(defective):
            areas = {"auroc_f32": auroc(defective, exact[0][read]), "auroc": auroc(defective, scores[0][read])}
    return Cost(
        images=int(read.sum()),
        agreement=rank_correlation(exact[0][read], scores[0][read]),
        flips=int((exact[1] != scores[1])[read].sum()),
        **areas,
    )


def _scores(
    bundle: Path, sources: Sequence[Source], precision: Precision
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores, NaN where an image could not be read, and verdicts."""
    with Pipeline(PipelineConfig(model=str(bundle), device="cpu", precision=precision)) as pipeline:
        results = [
            (result["score"], bool(result["is_anomaly"])) for result in pipeline.inspect(iter(sources), pipeline.config)
        ]
    return np.array([score for score, _ in results], np.float64), np.array([verdict for _, verdict in results])


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's: of the ranks, equal values sharing theirs. 1 where all values of either are equal."""
    a, b = (ranks - ranks.mean() for ranks in (_ranks(one), _ranks(other)))
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths else 1.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared = np.asarray(counts.cumsum() - (counts - 1) / 2, np.float64)
    return np.take(shared, places)
