"""The same picture twice: the very same file, or all but the same picture; worst where in train and test alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

import numpy as np

from uadx.check.findings import Finding
from uadx.check.survey import Facts, Survey
from uadx.plural import counted

SAME = 0.995
"""Correlation of two thumbnails, rid of what all images share, from which they are called the same picture."""
_COPIES = "remove them: what is counted twice looks better known than it is"
_NEAR_COPIES = {
    "train": "pictures of one part taken one after the other teach little, and make the calibration too sure",
    "test": "pictures of one part taken one after the other count twice in every figure",
}


def copies(survey: Survey) -> Iterator[Finding]:
    by_digest: dict[str, list[Facts]] = {}
    for image in survey.images:
        by_digest.setdefault(image.digest, []).append(image)
    yield from _same([group for group in by_digest.values() if len(group) > 1], "copy", "the very same file")


def look_alikes(survey: Survey) -> Iterator[Finding]:
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
    for part in ("train", "test"):
        if within := [group for group in alike if group[0].part == part]:
            yield Finding(
                rule,
                "note" if rule == "near copy" else "warning",
                f"{counted(sum(len(group) - 1 for group in within), 'repeated image')} to {part} on ({what})",
                _COPIES if rule == "copy" else _NEAR_COPIES[part],
                _places(within),
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
