"""The rules that need no network: duplicates, leaks, odd ones out, masks, empty folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from uadx.check.findings import Finding
from uadx.check.survey import Facts, Survey
from uadx.evaluation.layout import GOOD, decode_mask, mask_path

SAME = 0.995
"""Correlation of two thumbnails, rid of what all images share, from which they are called the same picture."""
FAR = 6.0
"""Robust standard deviations from the median from which a value is called odd."""
FEWEST = 20
"""Good images to train on below which a threshold says little."""


def findings(survey: Survey) -> list[Finding]:
    """Everything the rules find, errors first."""
    found = [finding for rule in _RULES for finding in rule(survey)]
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.weight))


def counted(number: int, noun: str) -> str:
    """ "1 image", "2 images"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _unread(survey: Survey) -> Iterator[Finding]:
    if survey.unread:
        reasons = "; ".join(f"{place}: {reason}" for place, reason in survey.unread[:3])
        more = f"; and {len(survey.unread) - 3} more" if len(survey.unread) > 3 else ""
        yield Finding(
            "unreadable",
            "error",
            f"{counted(len(survey.unread), 'unreadable file')}: {reasons}{more}",
            "copy them again from the camera, or remove them",
            [[place] for place, _ in survey.unread],
        )


def _folders(survey: Survey) -> Iterator[Finding]:
    if survey.empty:
        yield Finding(
            "empty",
            "error",
            f"folders without an image: {', '.join(map(str, survey.empty))}",
            "remove them, or put the images there",
            [],
        )
    if survey.foreign:
        yield Finding(
            "not good",
            "error",
            f"{counted(len(survey.foreign), 'image')} in train/ but outside train/good, where no training looks",
            "defective images go to test/<kind>; good ones to train/good",
            [survey.foreign],
        )
    count = len(survey.of("train"))
    if 0 < count < FEWEST:
        yield Finding(
            "few",
            "warning",
            f"{counted(count, 'good image')} to train on",
            "20 are a start, 200 make a threshold for 2.5 % false alarms",
            [],
        )


def _copies(survey: Survey) -> Iterator[Finding]:
    by_digest: dict[str, list[Facts]] = {}
    for image in survey.images:
        by_digest.setdefault(image.digest, []).append(image)
    yield from _same([group for group in by_digest.values() if len(group) > 1], "copy", "the very same file")


def _look_alikes(survey: Survey) -> Iterator[Finding]:
    seen: set[str] = set()
    images = [image for image in survey.images if not (image.digest in seen or seen.add(image.digest))]  # type: ignore[func-returns-value]
    yield from _same(list(_groups(images)), "near copy", "all but the same picture")


def _same(groups: list[list[Facts]], rule: str, what: str) -> Iterator[Finding]:
    leaks = [group for group in groups if len({image.part for image in group}) > 1]
    mixed = [group for group in groups if group not in leaks and len({image.kind for image in group}) > 1]
    alike = [group for group in groups if group not in leaks and group not in mixed]
    if leaks:
        yield Finding(
            f"{rule} in train and test",
            "error",
            f"{counted(len(leaks), 'picture')} in train and in test alike ({what})",
            "remove them from one side: a test on what was trained on says nothing",
            _places(leaks),
        )
    if mixed:
        yield Finding(
            f"{rule} of two kinds",
            "error" if rule == "copy" else "warning",
            f"{counted(len(mixed), 'picture')} labelled as two kinds ({what})",
            "decide which kind they are",
            _places(mixed),
        )
    if alike:
        spare = sum(len(group) - 1 for group in alike)
        yield Finding(
            rule,
            "note" if rule == "near copy" else "warning",
            f"{counted(spare, 'repeated image')} ({what})",
            "remove them: what is counted twice looks better known than it is"
            if rule == "copy"
            else "pictures of one part taken one after the other teach little, and make the calibration too sure",
            _places(alike),
        )


def _places(groups: Iterable[Iterable[Facts]]) -> list[list[PurePath]]:
    return [[image.place for image in group] for group in groups]


def _groups(images: Sequence[Facts], block: int = 1024) -> Iterator[list[Facts]]:
    """Images that are linked by likeness, in groups; compared a block at a time."""
    if len(images) < 2:
        return
    vectors = np.stack([image.thumbnail.ravel() for image in images])
    vectors -= vectors.mean(axis=1, keepdims=True)
    if len(images) > 2:
        # a fixed camera shows the same part in each picture: what tells two pictures apart is the rest
        vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    parent = list(range(len(images)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for start in range(0, len(images), block):
        likeness = vectors[start : start + block] @ vectors[start:].T
        for row, column in np.argwhere(likeness > SAME).tolist():
            if row < column:
                parent[root(start + row)] = root(start + column)
    groups: dict[int, list[Facts]] = {}
    for index, image in enumerate(images):
        groups.setdefault(root(index), []).append(image)
    yield from (group for group in groups.values() if len(group) > 1)


def _odd(survey: Survey) -> Iterator[Finding]:
    good = [image for image in survey.images if image.kind == GOOD]
    sizes = Counter(image.size for image in good)
    if sizes:
        (height, width), often = sizes.most_common(1)[0]
        if often > 0.9 * len(good) and len(sizes) > 1:
            yield _few(
                [image for image in good if image.size != (height, width)],
                "size",
                f"of another size than {width} x {height}",
                "all images should come from one camera, uncropped",
            )
        shapes = np.array([np.log(image.size[1] / image.size[0]) for image in good])
        if odd := _outliers(good, shapes, 0.2):
            yield _few(odd, "shape", "far wider or taller than the others", "crop all alike")
    greys = Counter(image.grey for image in good)
    if len(greys) > 1:
        grey = greys.most_common(1)[0][0]
        yield _few(
            [image for image in good if image.grey != grey],
            "colour",
            "in colour among grey ones" if grey else "grey among coloured ones",
            "all images should come from one camera and one format",
        )
    for name in ("brightness", "contrast"):
        if odd := _outliers(good, np.array([getattr(image, name) for image in good]), 20.0):
            yield _few(odd, name, f"with a {name} far from the others'", "was the light off, or the part missing?")


def _few(images: Sequence[Facts], rule: str, what: str, advice: str) -> Finding:
    return Finding(
        rule, "warning", f"{counted(len(images), 'good image')} {what}", advice, [[image.place] for image in images]
    )


def _outliers(images: Sequence[Facts], values: NDArray[np.float64], least: float) -> list[Facts]:
    """Images FAR and at least `least` from the median."""
    if len(values) < 5:
        return []
    away = np.abs(values - np.median(values))
    spread = 1.4826 * float(np.median(away))
    return [image for image, far in zip(images, away, strict=True) if far > max(FAR * spread, least)]


def _masks(survey: Survey) -> Iterator[Finding]:
    if not survey.masks.is_dir():
        return
    wanted = {mask_path(image.place.relative_to("test"), survey.masks): image for image in survey.of("test")}
    missing: list[PurePath] = []
    blank: list[PurePath] = []
    misfits: list[PurePath] = []
    on_good: list[PurePath] = []
    for path, image in wanted.items():
        if not path.is_file():
            if image.kind != GOOD:
                missing.append(image.place)
            continue
        mask = decode_mask(path)
        if mask is None or mask.shape != image.size:
            misfits.append(image.place)
        elif image.kind == GOOD and mask.any():
            on_good.append(image.place)
        elif image.kind != GOOD and not mask.any():
            blank.append(image.place)
    orphans = [p.relative_to(survey.data) for p in sorted(survey.masks.rglob("*.png")) if p not in wanted]
    for places, weight, noun, what, advice in (
        (misfits, "error", "image", "whose mask has another size, or is no picture", "draw the mask on the image"),
        (on_good, "error", "good image", "with a mask that marks a defect", "decide whether they are good"),
        (blank, "error", "defective image", "with a mask that marks nothing", "draw the defect: anything but 0"),
        (missing, "warning", "defective image", "without a mask, which counts for the image figures only", "draw one"),
        (orphans, "warning", "mask", "of no image", "a mask is called NAME_mask.png, in the folder of its kind"),
    ):
        if places:
            yield Finding("mask", weight, f"{counted(len(places), noun)} {what}", advice, [[place] for place in places])  # type: ignore[arg-type]


_RULES: tuple[Callable[[Survey], Iterator[Finding]], ...] = (_unread, _folders, _copies, _look_alikes, _masks, _odd)
