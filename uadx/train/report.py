"""The page of a training: loss, calibration scores and what they certify, held-out images with their maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.manifest import Manifest
from uadx.files import write_whole
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.pipeline import Pipeline
from uadx.plural import counted
from uadx.report.charts import Curve, curves, histogram
from uadx.report.pictures import figure, thumbnail
from uadx.report.style import style
from uadx.result import Result
from uadx.scoring.calibration import Calibration
from uadx.train.dataset import Part
from uadx.train.trust import pasted

SHOWN = 8
"""Pictures of good images."""
DRAWN = 32
"""Copies with drawn defects, as many of which are shown."""
RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def write_report(
    path: Path, bundle: Path, manifest: Manifest, held_out: Part, ranked: Sequence[int], losses: Sequence[float]
) -> None:
    """Write the page whole or not at all. ranked: the held-out images' places by falling score. losses: the mean of
    each epoch. Raises OutputError."""
    calibration = Calibration(manifest.calibration["quantile"])
    threshold = calibration.threshold(manifest.default_fpr)
    training = manifest.training
    highest = [] if manifest.input.tiling else list(ranked[:SHOWN])
    good, drawn = _looked_at(bundle, held_out, highest, training.seed) if highest else ([], [])
    text = Template(files("uadx.train").joinpath("report.html").read_text("utf-8")).substitute(
        style=style(),
        model=escape(manifest.name),
        facts=escape(
            f"{manifest.created_by} · teacher {manifest.teacher.id} · {manifest.input.height} x {manifest.input.width} "
            f"pixels · seed {training.seed}" + (f" · taught on from {manifest.parent[:12]}" if manifest.parent else "")
        ),
        images=counted(training.images, "good image"),
        epochs=counted(training.epochs, "time"),
        lowest=f"{calibration.lowest_fpr:.2g}",
        held_out=counted(len(training.held_out), "other"),
        left_out=_left_out(manifest),
        threshold=f"{threshold:.4g}",
        rate=f"{manifest.default_fpr:.2g}",
        rows="\n".join(_rates(calibration)),
        histogram=histogram(calibration.scores, [result["score"] for result in drawn], threshold),
        loss=_loss(losses),
        trust=", ".join(f"{name} {scale.weight:g}" for name, scale in manifest.scoring.levels.items()),
        good=_pictures(good, [held_out.names[place] for place in highest]),
        drawn=_pictures(drawn, [str(number) for number in range(1, SHOWN + 1)]),
    )
    write_whole(path, text.encode())


def _looked_at(bundle: Path, part: Part, highest: Sequence[int], seed: int) -> tuple[list[Result], list[Result]]:
    """Those held-out images, and copies of them with drawn defects, as the model sees them."""
    windows = np.array(part.windows[list(highest)])
    shown = [(int(high), int(wide)) for high, wide in part.shown[list(highest)]]
    spoilt, of_spoilt = pasted(windows, shown, seed)
    with Pipeline(PipelineConfig(model=str(bundle), device="cpu", verify=False)) as pipeline:

        def inspect(pictures: NDArray[np.uint8], parts: Sequence[tuple[int, int]]) -> list[Result]:
            cut = [_bgr(one[:high, :wide]) for one, (high, wide) in zip(pictures, parts, strict=True)]
            return list(pipeline.predict(cut))

        return inspect(windows, shown), inspect(spoilt[:DRAWN], of_spoilt[:DRAWN])


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])


def _pictures(results: Sequence[Result], names: Sequence[str]) -> str:
    return (
        "\n".join(
            figure(thumbnail(result.img, 320), name, result["score"], result["is_anomaly"])
            for name, result in zip(names, results, strict=False)
        )
        or "<p>None for a model of tiles.</p>"
    )


def _left_out(manifest: Manifest) -> str:
    training = manifest.training
    parts = [
        f"{count} {what}"
        for count, what in ((training.skipped, "that could not be used"), (training.duplicates, "copies"))
        if count
    ]
    return f" {' and '.join(parts)} were left out." if parts else ""


def _rates(calibration: Calibration) -> Iterator[str]:
    for rate in RATES:
        if rate < calibration.lowest_fpr:
            yield f"<tr><td>{rate:.1%}</td><td>takes {round(1 / rate) - 1} held-out images</td><td></td></tr>"
            continue
        threshold = calibration.threshold(rate)
        above = sum(score > threshold for score in calibration.scores)
        yield f"<tr><td>{rate:.1%}</td><td>{threshold:.4g}</td><td>{above}</td></tr>"


def _loss(losses: Sequence[float]) -> str:
    values = np.array(losses, np.float64)
    if len(values) < 2:
        return "<p>One epoch is no curve.</p>"
    line = Curve("var(--accent)", np.arange(1, len(values) + 1) / len(values), values / values.max())
    return curves(
        {f"loss: from {values[0]:.3g} to {values[-1]:.3g}": line}, "share of the training", "share of its highest"
    )
