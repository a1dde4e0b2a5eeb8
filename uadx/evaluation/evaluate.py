"""Figures of a model on labelled images, kind by kind, from the results of inspecting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uadx.errors import InputError, UsageError
from uadx.evaluation.layout import GOOD, kind_of
from uadx.evaluation.masks import find_mask, is_jpeg, read_mask
from uadx.evaluation.pixels import Defects, measure_defects
from uadx.evaluation.ranking import Measure, rank, share
from uadx.evaluation.store import MapStore
from uadx.result import Result
from uadx.scoring.familiarity import Tally

ALL = "all defects"


@dataclass(frozen=True)
class Figures:
    """What was measured on the images of one kind (or all), set against the good ones.

    flagged: how many were called NG at the threshold used; rate: their share, which is the false-alarm rate for good
    images and the recall for defective ones. auroc, aupr, f1_max: of the image scores. pixel_auroc, aupro (to an FPR
    of 0.3), aupro_05 (to 0.05): of the anomaly maps. None where one of the two classes, or the masks, are missing.
    """

    kind: str
    images: int
    flagged: int
    rate: Measure
    auroc: Measure | None = None
    aupr: Measure | None = None
    f1_max: Measure | None = None
    pixel_auroc: Measure | None = None
    aupro: Measure | None = None
    aupro_05: Measure | None = None

    @property
    def measures(self) -> tuple[Measure | None, ...]:
        """The figures in their order, without counts and rate."""
        return self.auroc, self.aupr, self.f1_max, self.pixel_auroc, self.aupro, self.aupro_05


@dataclass(frozen=True)
class Evaluation:
    """Figures for each kind (good first, then by name) and for all defective images together.

    scores: of the images of each kind. defects: what the figures of the maps and the curves come from. unmasked:
    defective images without a mask, which count for the image figures only. unfit: what is wrong with the masks of
    others, which count alike. blurred: masks that are JPEGs. unread: inputs that gave no result. unsorted:
    images that lie in no kind's folder, and count for nothing. blank: masked images whose mask marks nothing.
    unfamiliar: what is to be said where most images are unlike the calibration ones (see uadx.scoring.familiarity).
    """

    kinds: Sequence[Figures]
    total: Figures
    scores: dict[str, list[float]]
    defects: Defects | None
    unmasked: int
    unread: int
    unsorted: int
    blank: int = 0
    blurred: int = 0
    unfit: Sequence[str] = ()
    unfamiliar: str | None = None

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know, a sentence each."""
        notes = []
        if not self.scores[GOOD]:
            notes.append(f"There are no images of the kind {GOOD!r}, so that nothing can be compared with them.")
        if self.unmasked:
            notes.append(f"Defective images without a mask, which count for the image figures only: {self.unmasked}.")
        if self.unfit:
            notes.append(f"Defective images whose mask does not fit, which count likewise: {len(self.unfit)}.")
        if self.blurred:
            notes.append(
                f"Masks that are JPEGs, which blur: what is above half of their highest value counts: {self.blurred}."
            )
        if self.blank:
            notes.append(f"Defective images whose mask marks nothing: all their pixels count as good: {self.blank}.")
        if self.unread:
            notes.append(f"Inputs that could not be read and count for nothing: {self.unread}.")
        if self.unsorted:
            notes.append(f"Images that lie in no kind's folder and count for nothing: {self.unsorted}.")
        if self.unfamiliar:
            notes.append(f"{self.unfamiliar}.")
        return notes


@dataclass
class _Seen:
    """The images of one kind. masked: their places among the images that have a mask."""

    scores: list[float] = field(default_factory=list)
    flagged: int = 0
    masked: list[int] = field(default_factory=list)


def evaluate(results: Iterable[Result], masks: Path) -> Evaluation:
    """Measure the results of inspecting a `test` folder; masks: the folder `ground_truth`.

    Anomaly maps wait in a temporary file, at feature scale. Inputs that could not be read do not count.
    Raises UsageError where no image could be read.
    """
    seen: dict[str, _Seen] = {}
    unread = unmasked = unsorted = blank = blurred = 0
    unfit: list[str] = []
    tally = Tally()
    with MapStore() as store:
        for result in results:
            if result.error is not None:
                unread += 1
                continue
            tally.add(result["unfamiliar"])
            place = result.source.output
            kind = kind_of(place)
            if not kind:
                unsorted += 1
                continue
            images = seen.setdefault(kind, _Seen())
            images.scores.append(result["score"])
            images.flagged += result["is_anomaly"]
            height, width = result["image_size"]
            path = None if kind == GOOD else find_mask(place, masks)
            if kind != GOOD and path is None:
                unmasked += 1
                continue
            try:
                mask = np.zeros((height, width), np.bool_) if path is None else read_mask(path, height, width)
            except InputError as error:
                unfit.append(error.message)
                continue
            blurred += path is not None and is_jpeg(path)
            blank += path is not None and not mask.any()
            assert result.feature_map is not None
            images.masked.append(len(store))
            store.add(result.feature_map, mask)
        if not seen:
            raise UsageError("no image could be read", hint="the test folder has one sub-folder for each kind")
        defects = _defects(store)
    good = seen.pop(GOOD, _Seen())
    kinds = [_figures(kind, good, seen[kind], defects) for kind in sorted(seen)]
    together = _Seen()
    for of_kind in seen.values():
        together.scores += of_kind.scores
        together.flagged += of_kind.flagged
        together.masked += of_kind.masked
    if good.scores:
        kinds = [Figures(GOOD, len(good.scores), good.flagged, share(good.flagged, len(good.scores))), *kinds]
    scores = {kind: of_kind.scores for kind, of_kind in ((GOOD, good), *sorted(seen.items()))}
    total = _figures(ALL, good, together, defects)
    return Evaluation(kinds, total, scores, defects, unmasked, unread, unsorted, blank, blurred, unfit, tally.warning)


def _defects(store: MapStore) -> Defects | None:
    """None where no mask marks anything, or the masks leave nothing unmarked."""
    marked = unmarked = False
    for _, mask in store:
        marked, unmarked = marked or bool(mask.any()), unmarked or not mask.all()
        if marked and unmarked:
            return measure_defects(store)
    return None


def _figures(kind: str, good: _Seen, defective: _Seen, defects: Defects | None) -> Figures:
    count = len(defective.scores)
    if not count:
        return Figures(kind, 0, 0, Measure(0.0, 0.0, 1.0))
    rate = share(defective.flagged, count)
    if not good.scores:
        return Figures(kind, count, defective.flagged, rate)
    ranking = rank(np.array(good.scores), np.array(defective.scores))
    found = (ranking.auroc, ranking.aupr, ranking.f1_max)
    if defects is None or not np.isin(defects.image, defective.masked).any():
        return Figures(kind, count, defective.flagged, rate, *found)
    maps = (
        defects.pixel_auroc(defective.masked),
        defects.aupro(0.3, defective.masked),
        defects.aupro(0.05, defective.masked),
    )
    return Figures(kind, count, defective.flagged, rate, *found, *maps)
