"""Which good images teach, and which are held out to calibrate: parts that the student has never seen.

Pictures of one part, in several exposures or views, belong on one side: held out beside its sisters that teach, a
picture is as good as known, and a threshold made of such lets far too many good parts of production be called NG
(docs/accuracy.md has the figures).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from uadx.errors import UadxWarning, UsageError

HELD_OUT = 0.2
"""Of the images; of parts with several pictures so many that it is at least that."""

Split = Callable[[Sequence[str], Sequence[str]], NDArray[np.bool_]]
"""Which images are held out, given their digests in ascending order and their paths below the folder."""


def by_seed(seed: int, same_part: re.Pattern[str] | None = None) -> Split:
    """A fifth of the images is held out, drawn by the seed. In the order of the digests, so that renaming the files
    changes nothing.

    same_part: what it captures in a path (all of the match where it has no group) names the part that the picture
    shows. A part is held out whole or not at all; a picture in whose path nothing matches is a part of its own. The
    split raises UsageError where nothing matches at all, or all pictures show one part.
    """

    def split(digests: Sequence[str], paths: Sequence[str]) -> NDArray[np.bool_]:
        if same_part is not None:
            _check_matches(same_part, paths)
        parts = np.array(paths if same_part is None else parts_of(same_part, paths))
        wanted = max(1, round(HELD_OUT * len(digests)))
        held_out = np.zeros(len(digests), bool)
        for index in np.random.default_rng(seed).permutation(len(digests)):
            if held_out.sum() >= wanted:
                break
            part = parts == parts[index]
            if 2 * (held_out | part).sum() <= len(digests):  # what teaches must be more than what calibrates
                held_out |= part
        if not held_out.any():
            raise UsageError(
                f"most of the {len(digests)} pictures show one part, by --same-part {_shown(same_part)}",
                hint="bring pictures of more parts, or let --same-part capture what differs from part to part",
            )
        return held_out

    return split


def parts_of(same_part: re.Pattern[str], paths: Sequence[str]) -> list[str]:
    """The part that each picture shows, as by_seed takes it."""
    # with the place in front, no path without a match is taken for a part
    return [
        f"/{path}" if match is None else "\0".join(group or "" for group in (match.groups() or (match[0],)))
        for path, match in ((path, same_part.search(path)) for path in paths)
    ]


def _check_matches(same_part: re.Pattern[str], paths: Sequence[str]) -> None:
    """Raises UsageError where nothing matches, and warns where some do not."""
    others = [path for path in paths if same_part.search(path) is None]
    if len(others) == len(paths):
        raise UsageError(
            f"--same-part {_shown(same_part)} matches no picture's path, such as {paths[0]}",
            hint=r"a regular expression whose group names the part: --same-part 'part(\d+)_view'",
        )
    if others:
        warnings.warn(
            f"--same-part {_shown(same_part)} matches {len(paths) - len(others)} of {len(paths)} pictures: each of the "
            f"others, such as {others[0]}, counts as a part of its own",
            UadxWarning,
            stacklevel=3,
        )


def _shown(same_part: re.Pattern[str] | None) -> str:
    return "" if same_part is None else f"'{same_part.pattern}'"
