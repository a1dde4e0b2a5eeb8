"""Does a form of the model call the same images OK and NG as the float32 model does?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uadx.bundle.reader import Bundle
from uadx.evaluation.layout import find_test_set
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.parity import Parity
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.inspector import Inspector
from uadx.train.dataset import good_folder
from uadx.train.held_out import held_out_sources

ALLOWED = 0.01
"""The share of verdicts that may be others than float32's."""
MOST = 400
"""Images compared, of all that there are: held-out ones first, then those of the test set, evenly spread."""


@dataclass(frozen=True)
class Verdict:
    """One image's, by the threshold of the form that gave it."""

    score: float
    threshold: float
    is_anomaly: bool


@dataclass(frozen=True)
class Change:
    """An image whose verdict is another. f32: what it was."""

    image: str
    f32: Verdict
    now: Verdict


@dataclass(frozen=True)
class Verdicts:
    """How many of so many images got another verdict. changes: which, where images were at hand."""

    images: int
    changed: int
    changes: tuple[Change, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether so few changed that the form may run."""
        return self.changed <= ALLOWED * self.images

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(self.images + other.images, self.changed + other.changed, self.changes + other.changes)


class Comparison:
    """Images and the float32 model's results for them, by the CPU engine that calibrates bundles."""

    def __init__(self, bundle: Bundle, sources: Sequence[Source]) -> None:
        self.sources = sources
        inspector = Inspector(bundle, PipelineConfig(device="cpu", precision="f32"))
        try:
            self._reference = _verdicts(inspector, sources)
        finally:
            inspector.close()

    def of(self, inspector: Inspector) -> Verdicts:
        """What an opened form gives instead. An image that cannot be read counts for neither."""
        found = zip(self.sources, self._reference, _verdicts(inspector, self.sources), strict=True)
        pairs = [(source.label, f32, now) for source, f32, now in found if f32 is not None and now is not None]
        changes = tuple(Change(*pair) for pair in pairs if pair[1].is_anomaly != pair[2].is_anomaly)
        return Verdicts(len(pairs), len(changes), changes)


def images_of(data: Path, bundle: Bundle) -> list[Source]:
    """The held-out images below the folder that the bundle was trained on, and those of its test set where it is in
    MVTec layout: at their own thresholds nearly all held-out images are OK, whatever the form.

    Raises UsageError where held-out images are missing.
    """
    folder = good_folder(data)
    held_out = _spread(held_out_sources(folder, bundle.manifest.training), MOST)
    labelled = folder != data and (data / "test" / "good").is_dir()
    test = sorted(expand(find_test_set(data).images), key=lambda source: source.output) if labelled else []
    return [*held_out, *_spread(test, MOST - len(held_out))]


def too_many(*found: Verdicts | None) -> Verdicts | None:
    """The first of several counts by which a form may not run; None where all that are known allow it."""
    return next((one for one in found if one is not None and not one.allowed), None)


def without_images(bundle: Bundle, parity: Parity) -> Verdicts | None:
    """What is known of a form's verdicts without images: its golden ones', and for a form that is calibrated by itself
    what was measured when it was made, as the manifest keeps it; None where it does not."""
    golden = Verdicts(parity.images, parity.flips)
    owns = [form.own for form in bundle.manifest.variants if form.own and form.precision == parity.precision]
    if not owns:
        return golden
    return golden + Verdicts(owns[0].cost.images, owns[0].cost.flips) if owns[0].cost else None


def _verdicts(inspector: Inspector, sources: Sequence[Source]) -> list[Verdict | None]:
    """By image, None where it cannot be read."""
    found: list[Verdict | None] = []
    for result in inspector.inspect(iter(sources), inspector.thresholds, inspector.batch_size):
        read = result.error is None
        found.append(Verdict(result["score"], result["threshold"], bool(result["is_anomaly"])) if read else None)
        result.release()
    return found


def _spread(sources: Sequence[Source], most: int) -> list[Source]:
    step = max(1.0, len(sources) / max(1, most))
    return [sources[int(number * step)] for number in range(min(len(sources), max(0, most)))]
