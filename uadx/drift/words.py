"""What is said of a comparison, on the terminal and on the page."""

from __future__ import annotations

from uadx.drift.comparison import Drift
from uadx.plural import counted


def verdict(drift: Drift) -> str:
    """One sentence."""
    part = drift.first
    if part is None:
        return "No drift: the scores are like those of the calibration"
    more = sum(1 for one in drift.parts if one.drift)
    return (
        f"Drift: from image {part.first} on the scores are {part.drift} than those of the calibration "
        f"({more} of {counted(len(drift.parts), 'part')} of the run)"
    )


def detectable(drift: Drift) -> str:
    """How much would be seen, and how often chance is taken for drift."""
    part = max(drift.parts, key=lambda one: one.higher_limit)
    return (
        f"With {counted(len(drift.calibration), 'calibration image')} and parts of {part.last - part.first + 1} "
        f"images, drift shows once {part.higher_limit:.0%} of the scores lie higher than they did, or "
        f"{part.lower_limit:.0%} lower. "
        f"Chance is taken for it in {drift.level:.2g} of all runs at the most."
    )
