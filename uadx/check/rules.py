"""The rules that need no network: files and folders here, and those of copies, masks and oddities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from uadx.check.copies import copies, look_alikes
from uadx.check.findings import Finding
from uadx.check.masks import masks
from uadx.check.oddities import oddities
from uadx.check.sisters import sisters
from uadx.check.survey import Survey
from uadx.errors import UsageError
from uadx.evaluation.layout import GOOD, find_test_set
from uadx.plural import counted
from uadx.train.enough import START, too_few

FEWEST = 20
"""Good images to train on below which a threshold says little."""


def findings(survey: Survey) -> list[Finding]:
    """Everything the rules find, errors first."""
    found = [finding for rule in _RULES for finding in rule(survey)]
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.weight))


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
    if survey.mixed:
        message, advice = survey.mixed
        yield Finding("not good", "error", message, advice, [])
    count = len({image.digest for image in survey.of("train")})
    if 0 < count < FEWEST:
        folder = survey.data / "train" / GOOD
        refused = too_few(folder if folder.is_dir() else survey.data, count)
        message, advice = refused or (f"{counted(count, 'good image')} to train on", START)
        yield Finding("few", "error" if refused else "warning", message, advice, [])

    if (survey.data / "test").is_dir():
        try:
            find_test_set(survey.data)
        except UsageError as error:
            yield Finding(
                "no good to test", "warning", f"{error.message}, and uadx eval measures nothing", error.hint or "", []
            )


_RULES: tuple[Callable[[Survey], Iterator[Finding]], ...] = (
    _unread, _folders, copies, look_alikes, sisters, masks, oddities,
)  # fmt: skip
