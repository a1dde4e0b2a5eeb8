"""How well anomaly maps find defects: pixel AUROC and AUPRO, exact at full resolution, in bounded memory.

Both are areas under a curve of "share found" against the false-positive rate (FPR). Such a curve is the mean of one
step for each defective pixel, at the FPR of the threshold that just finds it, so all that is needed is the rank of
each defective pixel among the good ones: no list of thresholds, no binning. A pixel's value is read as an integer
that sorts like it. A first pass counts the good pixels by the integer's upper 16 bits; then one range of values
after another, of at most CHUNK good pixels, is collected, sorted and looked up. Good and defective pixels of equal
value are crossed by a straight line, which counts each tied pair one half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.evaluation.ranking import REPLICATES, Measure, interval

CHUNK = 1 << 24
"""Good pixels held and sorted at once: 64 MB."""
BINS = 1 << 16
LIMITS = (0.3, 0.05)
"""FPR up to which AUPRO is integrated: the one of the MVTec AD paper, and the stricter one of MVTec AD 2."""
GRID = np.concatenate([np.linspace(0, 0.05, 101), np.linspace(0.05, 0.3, 101)[1:], np.linspace(0.3, 1, 141)[1:]])
"""FPR of the points of the curves that are drawn; the areas are not computed from them."""

Labelled = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""An anomaly map [H, W] and its mask [H, W], True on a defect, all False for a good image."""


@dataclass(frozen=True)
class Defects:
    """What was measured of each connected defect (8-connected component of a mask), arrays [R].

    image: the index of its image. pixels: its area. auroc: the mean over its pixels of the share of good pixels that
    score lower. overlap: for each FPR limit the area under its overlap curve up to there, divided by the limit.
    roc, pro: share of all defective pixels, and mean share of each defect, found at the FPRs of GRID.
    """

    image: NDArray[np.intp]
    pixels: NDArray[np.int64]
    auroc: NDArray[np.float64]
    overlap: dict[float, NDArray[np.float64]]
    roc: NDArray[np.float64]
    pro: NDArray[np.float64]

    def pixel_auroc(self, images: Sequence[int] | None = None) -> Measure:
        """AUROC over the pixels of the defects of some images (all, where none are named) and all good pixels."""
        return self._mean(self.auroc, self.pixels, images)

    def aupro(self, limit: float, images: Sequence[int] | None = None) -> Measure:
        """Area under the per-region overlap curve up to an FPR limit, divided by the limit.

        Bergmann et al., The MVTec Anomaly Detection Dataset (IJCV 2021): the overlap of a threshold is the share of
        a defect's pixels at or above it, averaged over the defects, so that a small one counts as much as a large
        one. The FPR is the share of the pixels outside all masks, those of good images included.
        """
        return self._mean(self.overlap[limit], np.ones_like(self.pixels), images)

    def _mean(self, values: NDArray[np.float64], weights: NDArray[np.int64], images: Sequence[int] | None) -> Measure:
        """Weighted mean over defects; its interval from drawing the images that bear them anew. Good pixels stay."""
        chosen = np.ones(len(values), bool) if images is None else np.isin(self.image, images)
        bearer = np.unique(self.image[chosen], return_inverse=True)[1]
        sums = np.bincount(bearer, values[chosen] * weights[chosen])
        totals = np.bincount(bearer, weights[chosen])
        rng = np.random.default_rng(0)
        replicates = np.empty(REPLICATES)
        for number in range(REPLICATES):
            drawn = rng.integers(len(sums), size=len(sums))
            replicates[number] = sums[drawn].sum() / totals[drawn].sum()
        return interval(float(sums.sum() / totals.sum()), replicates, len(sums))


def measure_defects(images: Iterable[Labelled], limits: Sequence[float] = LIMITS) -> Defects:
    """Rank the pixels of all defects among those outside all masks. images is gone through several times.

    Raises ValueError where shapes differ, a value is NaN, there is no defect or no pixel outside one, or a limit is
    not in (0, 1].
    """
    if any(not 0 < limit <= 1 for limit in limits):
        raise ValueError(f"an FPR limit of {', '.join(map(str, limits))} is not above 0 and at most 1")
    outside, inside, sizes_by_image = _count(images)
    total = int(outside.sum())
    for number, name in ((inside.sum(), "inside a mask"), (total, "outside the masks")):
        if not number:
            raise ValueError(f"there are no pixels {name}: the figures compare two classes and need both")
    sizes = np.concatenate(sizes_by_image)
    bearer = np.repeat(np.arange(len(sizes_by_image)), [len(of_one) for of_one in sizes_by_image])
    first = np.cumsum([0, *(len(of_one) for of_one in sizes_by_image)])
    higher, overlap = np.zeros(len(sizes)), {limit: np.zeros(len(sizes)) for limit in limits}
    roc, pro = np.zeros(len(GRID)), np.zeros(len(GRID))
    for start, stop in _ranges(outside):
        if not inside[start:stop].any():
            continue
        above = int(outside[stop:].sum())
        rank_in_range = _ranks(images, start, stop, int(outside[start:stop].sum()))
        for index, (anomaly_map, mask) in enumerate(images):
            if not mask.any():
                continue
            keys = _keys(anomaly_map[mask])
            here = (keys >> 16 >= start) & (keys >> 16 < stop)
            region = _regions(mask)[here] + first[index]
            strictly, at_least = rank_in_range(keys[here])
            enter, leave = (above + strictly) / total, (above + at_least) / total
            higher += np.bincount(region, (enter + leave) / 2, len(sizes))
            for limit, areas in overlap.items():
                areas += np.bincount(region, _area(enter, leave, limit), len(sizes))
            place = np.searchsorted(GRID, leave)
            roc += np.bincount(place, minlength=len(GRID))
            pro += np.bincount(place, 1 / sizes[region], len(GRID))
    return Defects(
        image=bearer,
        pixels=sizes,
        auroc=1 - higher / sizes,
        overlap={limit: areas / sizes / limit for limit, areas in overlap.items()},
        roc=roc.cumsum() / sizes.sum(),
        pro=pro.cumsum() / len(sizes),
    )


def _area(enter: NDArray[np.float64], leave: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Area up to the limit below steps that rise from 0 at `enter` to 1 at `leave`."""
    rise = np.clip(limit - enter, 0, leave - enter)
    width = np.where(leave > enter, leave - enter, 1)
    area: NDArray[np.float64] = rise**2 / (2 * width) + np.clip(limit - leave, 0, None)
    return area


def _count(images: Iterable[Labelled]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.int64]]]:
    """Pixels outside and inside the masks by the upper half of their keys; each image's defects by their areas."""
    outside, inside, sizes = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), []
    for anomaly_map, mask in images:
        if mask.shape != anomaly_map.shape:
            raise ValueError(f"a mask of shape {mask.shape} for an anomaly map of shape {anomaly_map.shape}")
        if np.isnan(anomaly_map).any():
            raise ValueError("a value is NaN: it has no place in an order")
        outside += np.bincount(_keys(anomaly_map[~mask]) >> 16, minlength=BINS)
        if mask.any():
            inside += np.bincount(_keys(anomaly_map[mask]) >> 16, minlength=BINS)
        sizes.append(np.bincount(_regions(mask)) if mask.any() else np.zeros(0, np.int64))
    return outside, inside, sizes


def _ranges(outside: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The bins in ranges of at most CHUNK pixels each, or of a single bin."""
    start, held = 0, 0
    for bin_, count in enumerate(outside.tolist()):
        if bin_ > start and held + count > CHUNK:
            yield start, bin_
            start, held = bin_, 0
        held += count
    yield start, len(outside)


Keys = NDArray[np.uint32]
Ranks = Callable[[Keys], tuple[NDArray[np.int64], NDArray[np.int64]]]


def _ranks(images: Iterable[Labelled], start: int, stop: int, count: int) -> Ranks:
    """What tells, for keys in a range of bins, how many good pixels in it lie above, and above or equal."""
    within = (keys[(keys >> 16 >= start) & (keys >> 16 < stop)] for keys in (_keys(m[~k]) for m, k in images))
    if count > CHUNK:  # a single bin, so that the lower halves say all
        counts = np.zeros(BINS, np.int64)
        for keys in within:
            counts += np.bincount(keys & 0xFFFF, minlength=BINS)
        below = np.concatenate([[0], counts.cumsum()])
        return lambda keys: (count - below[(keys & 0xFFFF) + 1], count - below[keys & 0xFFFF])
    held, filled = np.empty(count, np.uint32), 0
    for keys in within:
        held[filled : filled + len(keys)] = keys
        filled += len(keys)
    held.sort()
    return lambda keys: (count - np.searchsorted(held, keys, "right"), count - np.searchsorted(held, keys, "left"))


def _keys(values: NDArray[np.float32]) -> Keys:
    """float32 [N] as uint32 that sort like them; -0.0 is 0.0."""
    bits = (values + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _regions(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each pixel of a mask the number of its defect, from 0 on."""
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
    return np.asarray(labels[mask] - 1, np.int64)
