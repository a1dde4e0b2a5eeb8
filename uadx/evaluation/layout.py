"""Labelled images in MVTec layout: test/<kind>/NAME, masks in ground_truth/<kind>; the good kind is `good`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from uadx.errors import UsageError

GOOD = "good"
MASKS = "ground_truth"
_GOOD_NAMES = frozenset({GOOD, "ok"})
_DEFECT_NAMES = frozenset({"ng", "bad", "defect", "defects", "defective", "anomaly", "anomalies"})


@dataclass(frozen=True)
class TestSet:
    """images: the folder with one sub-folder for each kind. masks: the folder of the masks, which may be missing."""

    __test__ = False  # no test class, whatever its name says to pytest

    images: Path
    masks: Path


def find_test_set(data: Path) -> TestSet:
    """DIR/test and DIR/ground_truth, or DIR itself where it has a sub-folder `good`. Raises UsageError."""
    if not data.is_dir():
        raise UsageError(f"--data {data} is not a directory", hint="name a folder with test/good and test/<defect>")
    images = data / "test" if (data / "test").is_dir() else data
    if not (images / GOOD).is_dir():
        raise UsageError(
            f"{images} has no sub-folder {GOOD!r}",
            hint="good images go to test/good, those of a defect to test/<its name>, masks to ground_truth/<its name>",
        )
    return TestSet(images, (data if images != data else data.parent) / MASKS)


def kind_of(place: PurePath) -> str:
    """The kind of an image by its path below `test`: the first directory, or "" where it lies in none."""
    return place.parts[0] if len(place.parts) > 1 else ""


def mixture(folder: Path, places: Iterable[PurePath]) -> tuple[str, str] | None:
    """What to say, and to advise, of a folder whose images at these places below it are all taken for good although
    some lie in folders that by their names hold others; None where there is no such folder.

    Those are the folders beside one that is called good or ok, and any that has a name for defects, in any letter case.
    """
    folders = {parent for place in places for parent in place.parents if parent.name}
    good = sorted(one for one in folders if one.name.lower() in _GOOD_NAMES)
    beside_good = {one.parent for one in good}
    others = sorted(
        one
        for one in folders
        if one.name.lower() in _DEFECT_NAMES or (one.parent in beside_good and one.name.lower() not in _GOOD_NAMES)
    )
    if not others:
        return None
    what = f"{_listed(good)} beside {_listed(others)}" if good else _listed(others)
    advice = f"the folder of the good ones: --data {folder / good[0]}" if good else "one that holds only good images"
    return f"{folder} has {what}, whose images would be taken for good", f"name {advice}"


def _listed(folders: Sequence[PurePath], most: int = 4) -> str:
    """ "a/, b/ and c/"; "a/, b/, c/, d/ and 3 more"."""
    names = [f"{folder}/" for folder in folders]
    names = [*names[:most], f"{len(names) - most} more"] if len(names) > most + 1 else names
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
