"""Images into the windows that the model takes, and the windows' level maps back to whole images.

Batches are filled with windows, whichever images they are of: many tiles of a large image, or one of each of many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError
from uadx.images.framing import Cut, Framed
from uadx.images.source import Source

LevelMaps = dict[str, NDArray[np.float32]]


@dataclass
class Item:
    """One input on its way: what decode made of it, or why it could not. framed: None once its windows are on theirs;
    cut: where they lie. infer_ms, device: of the inference, once it is done."""

    source: Source
    image: NDArray[np.uint8] | None
    framed: Framed | None
    error: InputError | None
    decode_ms: float
    cut: Cut | None = field(init=False)
    infer_ms: float = 0.0
    device: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.cut = None if self.framed is None else self.framed.cut


@dataclass(frozen=True)
class Window:
    """One window of an item. pixels: uint8 RGB [H, W, 3], None of an item that could not be read. last: no other of
    the item follows."""

    item: Item
    pixels: NDArray[np.uint8] | None
    last: bool


@dataclass(frozen=True)
class Inferred:
    """A batch of windows and the level maps of those that have pixels. infer_ms: of each; device: who made them."""

    windows: list[Window]
    maps: LevelMaps
    infer_ms: float
    device: Mapping[str, Any]


@dataclass(frozen=True)
class Complete:
    """Whole items, and the level maps of all windows of those that could be read, in their order."""

    items: list[Item]
    maps: LevelMaps

    def each(self) -> Iterator[Complete]:
        """The items one by one."""
        start = 0
        for item in self.items:
            end = start if item.cut is None else start + len(item.cut.corners)
            yield Complete([item], _part(self.maps, start, end) if end > start else {})
            start = end


def windows(items: Generator[Item, None, None]) -> Generator[Window, None, None]:
    """The windows of items, one after the other. Closing it closes `items`."""
    with contextlib.closing(items):
        for item in items:
            yield from windows_of(item)


def windows_of(item: Item) -> Iterator[Window]:
    """The windows of one item."""
    if item.framed is None:
        yield Window(item, None, last=True)
        return
    pixels = item.framed.windows
    item.framed = None  # what is not in a batch yet is held by the windows that are left
    for number, one in enumerate(pixels, 1):
        yield Window(item, one, last=number == len(pixels))


def regrouped(batches: Generator[Inferred, None, None], several: Mapping[str, Any]) -> Generator[Complete, None, None]:
    """Items as soon as all their windows are back. several: the device of an item that more than one made. Closing it
    closes `batches`."""
    waiting: list[LevelMaps] = []
    with contextlib.closing(batches):
        for batch in batches:
            done: list[Item] = []
            read = whole = 0  # windows with level maps: so far, and up to the last item that is complete
            for window in batch.windows:
                item = window.item
                item.device = batch.device if item.device in (None, batch.device) else several
                if window.pixels is not None:
                    item.infer_ms += batch.infer_ms
                    read += 1
                if window.last:
                    done.append(item)
                    whole = read
            if done:
                yield Complete(done, _together([*waiting, _part(batch.maps, 0, whole)]))
                waiting = []
            if whole < read:
                waiting.append(_part(batch.maps, whole, read))


def _part(maps: LevelMaps, start: int, end: int) -> LevelMaps:
    return {name: level[start:end] for name, level in maps.items()}


def _together(parts: list[LevelMaps]) -> LevelMaps:
    """Parts of windows as one; those of inputs that could not be read have no maps."""
    filled = [part for part in parts if part]
    if len(filled) < 2:
        return filled[0] if filled else {}
    return {name: np.concatenate([part[name] for part in filled]) for name in filled[0]}
