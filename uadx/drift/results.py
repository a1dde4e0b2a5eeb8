"""The scores of a finished or running `uadx run`, from its results.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle
from uadx.errors import UsageError
from uadx.scoring.fusion import FUSIONS, Fusion


class _Model(msgspec.Struct):
    name: str
    sha256: str


class _Device(msgspec.Struct):
    precision: str


class _Row(msgspec.Struct):
    model: _Model
    device: _Device
    score: float | None = None
    p_value: float | None = None


def read_scores(files: Iterable[Path], bundle: Bundle) -> tuple[NDArray[np.float64], Bundle, Fusion]:
    """The scores of all inspected images, float64 [N] in their order, 8 bytes each; the bundle as it is where its model
    ran, and how its levels were fused.

    Raises UsageError where a file is no results.jsonl, or its results are another model's, or of several precisions.
    """
    scores: list[float] = []
    running: Bundle | None = None
    precision, fusion = "", FUSIONS[0]
    for file in files:
        for number, row in _rows(file):
            if row.score is None or row.p_value is None:
                continue
            if running is None:
                _check_model(file, row, bundle)
                precision, running = row.device.precision, bundle.running(row.device.precision)
                fusion = _fusion(file, row, running)
            elif row.model.sha256 != bundle.sha256 or row.device.precision != precision:
                raise UsageError(
                    f"{file}, line {number}: another model or precision than before",
                    hint="one run at a time: what was inspected by another model has other scores",
                )
            scores.append(row.score)
    if running is None:
        raise UsageError("the results have no inspected image", hint="--results names the results.jsonl of a uadx run")
    return np.array(scores, np.float64), running, fusion


def _rows(file: Path) -> Iterator[tuple[int, _Row]]:
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):  # the last one of a run that goes on may be half there
                    yield number, msgspec.json.decode(line, type=_Row)
    except OSError as error:
        raise UsageError(f"{file} cannot be read", cause_text=error.strerror, hint="name a results.jsonl") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} is not the results.jsonl of a uadx run", cause_text=str(error), hint="--format jsonl writes one"
        ) from None


def _check_model(file: Path, row: _Row, bundle: Bundle) -> None:
    if row.model.sha256 != bundle.sha256:
        raise UsageError(
            f"{file} has results of the model {row.model.name} {row.model.sha256[:12]}, and --model is "
            f"{bundle.manifest.name} {bundle.sha256[:12]}",
            hint="name the bundle that inspected them, as it was then: --model MODEL",
        )


def _fusion(file: Path, row: _Row, bundle: Bundle) -> Fusion:
    """By the p-value, which each fusion's calibration gives for its own scores."""
    assert row.score is not None
    for fusion in FUSIONS:
        if bundle.calibration(fusion).p_value(row.score) == row.p_value:
            return fusion
    raise UsageError(
        f"{file} has p-values that are not of this model's calibration",
        hint="was it run with tiles that the model is not calibrated for?",
    )
