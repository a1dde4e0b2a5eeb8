"""The good images of a product: found, split into what teaches and what calibrates, decoded once."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from uadx.cores import usable_cores
from uadx.errors import InputError, UadxWarning, UsageError
from uadx.evaluation.layout import GOOD, mixture
from uadx.images.decode import Limits, examine, load
from uadx.images.framing import Cut, Framed, Framing
from uadx.images.naming import printable
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.pipeline.mapped import Ahead, mapped
from uadx.train.array_file import new_images
from uadx.train.enough import too_few
from uadx.train.split import Split

MOST_WINDOWS = 2_000
"""Windows of all teaching images together: a student that sees 25,600 sees each a few times."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Part:
    """Some of the images. digests: sha256 of each image's file; names: what it is called. cuts: where each image's
    windows lie. windows: of all of them, uint8 RGB [M, H, W, 3], a memory map; shown: int [M, 2], height and width of
    the part of each window that shows its image. Of an image that teaches, some windows may be left out, then its cut
    has only those that are there.
    """

    digests: list[str]
    names: list[str]
    cuts: list[Cut]
    windows: NDArray[np.uint8]

    @property
    def shown(self) -> NDArray[np.intp]:
        height, width = self.windows.shape[1:3]
        return np.array([part for cut in self.cuts for part in cut.shown(height, width)], np.intp).reshape(-1, 2)


@dataclass(frozen=True)
class Dataset:
    """train: what teaches; held_out: what calibrates, with all its windows. skipped: files that could not be read;
    duplicates: files left out because their bytes are another's (a picture on both sides of the split would make the
    calibration lie)."""

    train: Part
    held_out: Part
    skipped: int
    duplicates: int

    @property
    def fingerprint(self) -> str:
        """sha256 over the sorted digests: the same images give the same fingerprint under any name."""
        return fingerprint([*self.train.digests, *self.held_out.digests])


def fingerprint(digests: Sequence[str]) -> str:
    """sha256 over the sorted digests of some images."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def good_folder(data: Path) -> Path:
    """DIR/train/good where DIR is in MVTec layout, else DIR itself.

    Raises UsageError where DIR is no directory, or has a `test` folder but no `train/good`, or where the folder holds
    no image, or folders that by their names hold others than good ones.
    """
    if not data.is_dir():
        raise UsageError(f"--data {data} is not a directory", hint="name a folder of pictures of good parts")
    mvtec = data / "train" / GOOD
    if not mvtec.is_dir() and ((data / "train").is_dir() or (data / "test").is_dir()):
        raise UsageError(
            f"{data} looks like MVTec layout but has no train/good",
            hint="put the good images into train/good, or name a folder that holds only good images",
        )
    folder = mvtec if mvtec.is_dir() else data
    if mixed := mixture(folder, (source.output for source in expand(folder))):
        message, advice = mixed
        raise UsageError(message, hint=advice)
    return folder


def read_good_images(
    folder: Path,
    cache: Path,
    framing: Framing,
    split: Split,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Dataset:
    """Decode every image below folder into the memory map `cache`.

    An image that cannot be read, or of which next to nothing is left at the model's size, is skipped with a warning
    that names it. Raises UsageError below 5 good images.
    """
    found = _Found(sorted(expand(folder), key=lambda source: source.output), framing)
    _refuse_few(folder, len(found.images), found.skipped)
    digests = sorted(found.images)
    held_out = split(digests, [found.images[digest][0].output.as_posix() for digest in digests])
    teaching = [digest for digest, held in zip(digests, held_out, strict=True) if not held]
    calibrating = [digest for digest, held in zip(digests, held_out, strict=True) if held]
    kept = _kept({digest: found.images[digest][1] for digest in teaching})
    rows = sum(kept.values()) + sum(found.images[digest][1] for digest in calibrating)
    if framing.tiling is not None and found.largest < framing.tiling.size:
        warnings.warn(
            f"tiles of {framing.tiling.size} pixels are larger than all images, which are filled up with their mirror "
            "images: take smaller tiles",
            UadxWarning,
            stacklevel=2,
        )
    windows = new_images(cache, (rows, framing.height, framing.width, 3))
    reader = _Reader(found, framing, windows, kept, on_image)
    train, rest = reader.read(teaching), reader.read(calibrating)
    for error in sorted(reader.unfit, key=lambda error: error.message):  # which begins with the image's name
        found.skip(error)
    count = len(train.digests) + len(rest.digests)
    _refuse_few(folder, count, found.skipped)
    if not rest.digests:
        raise UsageError(
            f"no image of {folder} is left to calibrate by: all {count} taught the model, which repeats them too well",
            hint="bring good images that did not teach it",
        )
    return Dataset(train, rest, found.skipped, found.duplicates)


def digest(source: Source) -> str:
    """sha256 of a file's bytes, by which an image is known. Raises InputError."""
    assert isinstance(source.data, Path)
    try:
        return hashlib.sha256(source.data.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError("unreadable", f"{source.label} cannot be read", cause_text=str(error)) from error


def _refuse_few(folder: Path, count: int, skipped: int) -> None:
    if found := too_few(folder, count):
        message, advice = found
        raise UsageError(message, hint=f"mend what was skipped, or {advice}" if skipped else advice)


def _kept(counts: dict[str, int]) -> dict[str, int]:
    """How many windows of each image teach: all, or of many so large images their share, one at least."""
    share = min(1.0, MOST_WINDOWS / max(1, sum(counts.values())))
    return {digest: max(1, math.floor(count * share)) for digest, count in counts.items()}


class _Found:
    """The different files that by their headers are images. images: by digest, the source and its count of
    windows. largest: the longest side of all."""

    def __init__(self, sources: Sequence[Source], framing: Framing) -> None:
        self.images: dict[str, tuple[Source, int]] = {}
        self.largest = 0
        self.skipped = self.duplicates = 0

        def look(source: Source) -> tuple[str, tuple[int, int]] | InputError:
            try:
                data, size = examine(source, Limits())
                return hashlib.sha256(data).hexdigest(), size
            except InputError as error:
                return error

        for source, outcome in zip(sources, _in_threads(look, sources), strict=True):
            if isinstance(outcome, InputError):
                self.skip(outcome)
            elif outcome[0] in self.images:
                self.duplicates += 1
            else:
                self.images[outcome[0]] = (source, framing.count(*outcome[1]))
                self.largest = max(self.largest, *outcome[1])

    def skip(self, error: InputError) -> None:
        warnings.warn(f"skipped: {error.message}", UadxWarning, stacklevel=2)
        self.skipped += 1


class _Reader:
    """Fills the memory map, part by part. unfit: why images that were to be read are not in it."""

    def __init__(
        self,
        found: _Found,
        framing: Framing,
        windows: NDArray[np.uint8],
        kept: dict[str, int],
        on_image: Callable[[int, int], None],
    ) -> None:
        self._found, self._framing, self._windows, self._kept, self._on_image = found, framing, windows, kept, on_image
        self._row = self._done = 0
        self.unfit: list[InputError] = []

    def read(self, digests: Sequence[str]) -> Part:
        """Decode these images; the windows of those that teach are drawn by their digests."""
        first = self._row
        read: list[str] = []
        names: list[str] = []
        cuts: list[Cut] = []
        for digest, outcome in zip(digests, _in_threads(self._decoded, digests), strict=True):
            self._done += 1
            self._on_image(self._done, len(self._found.images))
            if isinstance(outcome, InputError):
                self.unfit.append(outcome)
                continue
            chosen = self._chosen(digest)
            windows = outcome.windows
            for index in chosen:
                self._windows[self._row] = windows[index]
                self._row += 1
            read.append(digest)
            names.append(printable(self._found.images[digest][0].output))
            cuts.append(Cut(outcome.cut.content, tuple(outcome.cut.corners[index] for index in chosen)))
        return Part(read, names, cuts, self._windows[first : self._row])

    def _decoded(self, digest: str) -> Framed | InputError:
        source, count = self._found.images[digest]
        try:
            image = load(source, Limits())
            if self._framing.count(*image.shape[:2]) != count:
                raise InputError("unreadable", f"{source.label}: its header says another size than it has")
            framed = self._framing(image)
            (rows, columns), (high, wide) = image.shape[:2], framed.cut.content
            if min(high, wide) < Limits.min_side:
                raise InputError(
                    "too_small",
                    f"{source.label}: {columns} x {rows} pixels are {wide} x {high} at the model's size, which shows "
                    "no part: cut it into tiles (--tile)",
                )
            return framed
        except InputError as error:
            return error

    def _chosen(self, digest: str) -> list[int]:
        count = self._found.images[digest][1]
        order = np.random.default_rng(int(digest[:16], 16)).permutation(count)
        return sorted(int(index) for index in order[: self._kept.get(digest, count)])


def _in_threads(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    workers = usable_cores()
    yield from mapped(items, work, workers, Ahead(2 * workers))
