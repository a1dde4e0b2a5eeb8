"""The scores of a finished or running `uadx run`, from its results.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle
from uadx.errors import UsageError
from uadx.scoring.calibration import Calibration
from uadx.scoring.fusion import FUSIONS


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
    is_anomaly: bool | None = None


@dataclass(frozen=True)
class Run:
    """scores: of all inspected images, float64 [N] in their order. ng: which were NG, by the run's own threshold.
    calibration: the scores of the held-out images by which they were judged."""

    scores: NDArray[np.float64]
    ng: NDArray[np.bool_]
    calibration: Sequence[float]


def read_run(files: Iterable[Path], bundle: Bundle) -> Run:
    """The results of one model in one precision, 9 bytes each.

    Which fusion they are of, and that they are this bundle's though another form was added to it since, is told by
    their p-values, which no other calibration gives. Raises UsageError where a file is no results.jsonl, or its
    results are of another model or of several precisions.
    """
    scores: list[float] = []
    ng: list[bool] = []
    precision: str | None = None
    fitting: dict[str, Calibration] = {}
    for file in files:
        for number, row in _rows(file / "results.jsonl" if file.is_dir() else file):
            if row.score is None or row.p_value is None:
                continue
            if precision is None:
                precision = row.device.precision
                running = bundle.running(precision)
                fitting = {fusion: running.calibration(fusion) for fusion in FUSIONS}
            if row.device.precision != precision:
                raise UsageError(
                    f"{file}, line {number}: it ran in {row.device.precision}, and others in {precision}",
                    hint="name the results of one precision: each has scores of its own",
                )
            fitting = {name: one for name, one in fitting.items() if one.p_value(row.score) == row.p_value}
            if not fitting:
                raise _another(file, row, bundle)
            scores.append(row.score)
            ng.append(bool(row.is_anomaly))
    if not scores:
        raise UsageError("the results have no inspected image", hint="--results names the results.jsonl of a uadx run")
    return Run(np.array(scores), np.array(ng), next(iter(fitting.values())).scores)


def _rows(file: Path) -> Iterator[tuple[int, _Row]]:
    number = 0
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip() and line.endswith(b"\n"):  # the last one of a run that goes on may be half there
                    yield number, msgspec.json.decode(line, type=_Row)
    except OSError as error:
        raise UsageError(f"{file} cannot be read", cause_text=error.strerror, hint="name a results.jsonl") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} is not the results.jsonl of a uadx run: line {number}",
            cause_text=str(error),
            hint="--format jsonl writes one",
        ) from None


def _another(file: Path, row: _Row, bundle: Bundle) -> UsageError:
    if row.model.sha256 != bundle.sha256:
        return UsageError(
            f"{file} has results of the model {row.model.name} {row.model.sha256[:12]}, and --model is "
            f"{bundle.manifest.name} {bundle.sha256[:12]}",
            hint="name the bundle that inspected them: --model MODEL",
        )
    return UsageError(
        f"{file} has p-values that are not of this model's calibration",
        hint="was it run with tiles that the model is not calibrated for?",
    )
