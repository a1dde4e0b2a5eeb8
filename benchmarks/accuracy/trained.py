"""What a training leaves for scoring: the level maps of held-out, spoilt and labelled images, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = ("level1", "level2", "level3")


@dataclass(frozen=True)
class Seen:
    """Level maps by name, [N, h, w], and the part of each input that shows its image, height and width in pixels."""

    maps: dict[str, NDArray[np.float32]]
    shown: list[tuple[int, int]]

    def some(self, chosen: NDArray[np.intp]) -> Seen:
        return Seen({name: level[chosen] for name, level in self.maps.items()}, [self.shown[i] for i in chosen])


def both(first: Seen, second: Seen) -> Seen:
    maps = {name: np.concatenate([first.maps[name], second.maps[name]]) for name in LEVELS}
    return Seen(maps, [*first.shown, *second.shown])


@dataclass(frozen=True)
class Trained:
    """facts: what was trained on what, for how long. size: of the model's input. test: in the order of their paths."""

    facts: dict[str, Any]
    size: tuple[int, int]
    good: Seen
    spoilt: Seen
    test: Seen

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        arrays: dict[str, Any] = {"facts": json.dumps(self.facts), "size": self.size}
        for part in ("good", "spoilt", "test"):
            seen: Seen = getattr(self, part)
            arrays |= {f"{part}/{name}": level for name, level in seen.maps.items()}
            arrays[f"{part}/shown"] = np.array(seen.shown)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **arrays)
        os.replace(temporary, path)


def load(path: Path) -> Trained:
    """What Trained.save wrote."""
    with np.load(path) as arrays:

        def seen(part: str) -> Seen:
            return Seen({name: arrays[f"{part}/{name}"] for name in LEVELS}, _parts(arrays[f"{part}/shown"]))

        height, width = arrays["size"].tolist()
        return Trained(json.loads(str(arrays["facts"])), (height, width), seen("good"), seen("spoilt"), seen("test"))


def _parts(shown: NDArray[np.intp]) -> list[tuple[int, int]]:
    pairs: Sequence[Sequence[int]] = shown.tolist()
    return [(high, wide) for high, wide in pairs]
