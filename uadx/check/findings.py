"""What a check may find, each with its weight and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Weight = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """rule: what was looked for, a short name. weight: error (the result would be wrong), warning (look at it), note.

    groups: the images concerned, those that belong together in one group. message: one sentence. advice: what to do.
    """

    rule: str
    weight: Weight
    message: str
    advice: str
    groups: Sequence[Sequence[PurePath]]
