"""One look at every image of a data set: what the rules need to know, 4 kB each, and what could not be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.cores import usable_cores
from uadx.errors import InputError, UsageError
from uadx.evaluation.layout import GOOD, MASKS, mixture
from uadx.images import jpeg, tiff
from uadx.images.decode import Limits, load
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.pipeline.mapped import Ahead, mapped

SIDE = 32
"""Side of the grey thumbnail that near duplicates are found by."""
GREY = 6.0
"""Mean difference between the channels, of 255, below which a picture is called grey: JPEG leaves some."""
_PLAIN = re.compile(rb"\xff\xd8|\x89PNG\r\n\x1a\n.{16}[\x01-\x08][\0\x02]", re.DOTALL)
"""Files that by their first bytes have at most 8 bits and no transparency: JPEG, and PNG in grey or RGB."""


@dataclass(frozen=True)
class Facts:
    """An image. place: its path below the data folder; part: "train" or "test"; kind: "good" or a defect's name.

    bits: of a value in the file, 8 or 16. highest: of its values of colour. alpha: whether it has transparency, too.
    inks: whether its colours are those of a printer (CMYK).
    brightness, contrast: mean and standard deviation of the grey values, 0..255. thumbnail: float32 [SIDE, SIDE].
    """

    place: PurePath
    path: Path
    part: str
    kind: str
    digest: str
    size: tuple[int, int]
    grey: bool
    bits: int
    highest: int
    alpha: bool
    inks: bool
    brightness: float
    contrast: float
    thumbnail: NDArray[np.float32]


@dataclass
class Survey:
    """images: those that could be read. unread: place and reason of the others. masks: the folder of the masks.

    empty: folders of a kind that hold no image. foreign: images of train/ that lie outside train/good.
    mixed: what to say and to advise where the good images to train on lie in folders that by their names hold others.
    """

    data: Path
    masks: Path
    images: list[Facts] = field(default_factory=list)
    unread: list[tuple[PurePath, str]] = field(default_factory=list)
    empty: list[PurePath] = field(default_factory=list)
    foreign: list[PurePath] = field(default_factory=list)
    mixed: tuple[str, str] | None = None

    def of(self, part: str, kind: str | None = None) -> list[Facts]:
        """The images of a part, or of one kind in it."""
        return [one for one in self.images if one.part == part and kind in (None, one.kind)]


def survey(data: Path, on_image: Callable[[int, int], None] = lambda done, total: None) -> Survey:
    """Look at every image of a data set in MVTec layout, or of a plain folder of good images.

    Raises UsageError where data is no directory or holds no image.
    """
    if not data.is_dir():
        raise UsageError(f"--data {data} is not a directory", hint="name a folder of pictures")
    found = Survey(data, data / MASKS)
    sources: list[tuple[Source, PurePath, str, str]] = []
    for folder, part, kind in _folders(data):
        inside = [source for source in expand(folder) if isinstance(source.data, Path)] if _has_files(folder) else []
        sources += [(source, folder.relative_to(data) / source.output, part, kind) for source in inside]
        if part == "train":
            found.mixed = mixture(folder, (source.output for source in inside))
        if not inside:
            found.empty.append(folder.relative_to(data))
    for folder in sorted(path for path in (data / "train").glob("*") if path.is_dir() and path.name != GOOD):
        found.foreign += [folder.relative_to(data) / s.output for s in (expand(folder) if _has_files(folder) else [])]
    if not sources:
        raise UsageError(f"{data} holds no image", hint="good images go to DIR itself, or to DIR/train/good")
    workers = usable_cores()
    for done, outcome in enumerate(mapped(sources, lambda source: _look(*source), workers, Ahead(2 * workers)), 1):
        on_image(done, len(sources))
        (found.images if isinstance(outcome, Facts) else found.unread).append(outcome)  # type: ignore[arg-type]
    return found


def _folders(data: Path) -> Sequence[tuple[Path, str, str]]:
    """The folders with images: path, part, kind."""
    if not (data / "train").is_dir() and not (data / "test").is_dir():
        return [(data, "train", GOOD)]
    folders = [(data / "train" / GOOD, "train", GOOD)] if (data / "train").is_dir() else []
    kinds = sorted(path for path in (data / "test").glob("*") if path.is_dir() and not path.name.startswith("."))
    return [*folders, *((path, "test", path.name) for path in kinds)]


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _look(source: Source, place: PurePath, part: str, kind: str) -> Facts | tuple[PurePath, str]:
    assert isinstance(source.data, Path)
    try:
        image = load(source, Limits())
        data = source.data.read_bytes()
    except InputError as error:
        return place, error.in_one_line.removeprefix(f"{source.label}: ")
    except OSError as error:
        return place, str(error)
    stored: NDArray[Any] = image if _PLAIN.match(data) else _as_stored(data, image)
    inks = _in_inks(data)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = np.asarray(small.mean(axis=2), np.float32)
    values = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return Facts(
        place=place,
        path=source.data,
        part=part,
        kind=kind,
        digest=hashlib.sha256(data).hexdigest(),
        size=(image.shape[0], image.shape[1]),
        grey=float((small.max(axis=2) - small.min(axis=2)).mean()) < GREY,
        bits=8 * stored.dtype.itemsize,
        highest=int((stored[:, :, :3] if stored.ndim == 3 else stored).max()),
        alpha=stored.ndim == 3 and stored.shape[2] == 4 and not inks,
        inks=inks,
        brightness=float(values.mean()),
        contrast=float(values.std()),
        thumbnail=grey,
    )


def _in_inks(data: bytes) -> bool:
    """Of a file that could be decoded."""
    if data.startswith((b"II", b"MM")):
        return tiff.in_inks(data)
    frame = jpeg.read_frame(data) if data.startswith(b"\xff\xd8") else None
    return frame is not None and frame.components == 4


def _as_stored(data: bytes, image: NDArray[np.uint8]) -> NDArray[Any]:
    """The pixels with the bits and the transparency of the file; the image where OpenCV reads it in no other way."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image if stored is None else stored
