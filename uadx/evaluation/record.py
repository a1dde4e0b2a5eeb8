"""eval.json: the figures for programs, with what they belong to."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from uadx import __version__
from uadx.evaluation.evaluate import Evaluation, Figures
from uadx.evaluation.known import Known
from uadx.evaluation.ranking import Measure
from uadx.files import write_whole
from uadx.pipeline import Pipeline


def write_record(path: Path, pipeline: Pipeline, data: Path, evaluation: Evaluation, known: Known) -> str:
    """Write the figures whole or not at all and return the text. Raises OutputError."""
    inspector = pipeline.inspector
    record = {
        "created_by": f"uadx {__version__}",
        "data": str(data),
        "model": {"name": inspector.bundle.manifest.name, "sha256": inspector.bundle.sha256},
        "device": {"used": inspector.opened.used, "simulated": inspector.opened.simulated},
        "fusion": inspector.config.fusion,
        "threshold": inspector.thresholds.image,
        "pixel_threshold": inspector.thresholds.pixel,
        "unread": evaluation.unread,
        "unmasked": evaluation.unmasked,
        "unsorted": evaluation.unsorted,
        "known": {"taught": known.taught, "calibrated": known.calibrated},
        "notes": evaluation.notes,
        "kinds": [_plain(figures) for figures in evaluation.kinds],
        "total": _plain(evaluation.total),
    }
    text = json.dumps(record, indent=2)
    write_whole(path, f"{text}\n".encode())
    return text


def _plain(figures: Figures) -> dict[str, object]:
    """Each measure as {value, low, high}, the ends being those of the 95 % interval."""
    return {
        name: value._asdict() if isinstance(value, Measure) else value
        for name, value in ((field, getattr(figures, field)) for field in asdict(figures))
    }
