"""The good images of a product: found, decoded once, and split into what teaches and what calibrates."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError, UadxWarning, UsageError
from uadx.evaluation.layout import GOOD, mixture
from uadx.images.decode import Limits, load
from uadx.images.preprocess import Fitted, letterbox
from uadx.images.sources import Source, expand
from uadx.pipeline.stream import staged
from uadx.train.array_file import new_images

MINIMUM_IMAGES = 5
AREA = 256
"""Side of the square that has as many pixels as a model is given by default."""
GRAIN = 32
LOOKED_AT = 25
"""Images whose proportions are looked at."""
NEARLY_SQUARE, MOST_OBLONG = math.log(1.15), math.log(8)
"""Proportions taken for square, and the most oblong ones a model is given, as logarithms."""
HELD_OUT = 0.2


@dataclass(frozen=True)
class Dataset:
    """images: uint8 RGB [N, H, W, 3] memory map; shown: int [N, 2], height and width of the part of each that shows its
    image (see uadx.images.preprocess); digests: sha256 of each image's file, in the same order.

    train, held_out: indices into all three. skipped: files that could not be read; duplicates: files left out because
    their bytes are another's (a picture on both sides of the split would make the calibration lie).
    """

    images: NDArray[np.uint8]
    shown: NDArray[np.intp]
    digests: list[str]
    train: NDArray[np.intp]
    held_out: NDArray[np.intp]
    skipped: int
    duplicates: int

    @property
    def fingerprint(self) -> str:
        """sha256 over the sorted digests: the same images give the same fingerprint under any name."""
        return hashlib.sha256("\n".join(sorted(self.digests)).encode()).hexdigest()


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
    height: int,
    width: int,
    seed: int,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    fit: Callable[[NDArray[np.uint8], int, int], Fitted] = letterbox,
) -> Dataset:
    """Decode every image below folder into the memory map `cache`, and hold out 20 % by the seed.

    An image that cannot be read is skipped with a warning that names it. Raises UsageError below 5 good images.
    """
    sources = sorted(expand(folder), key=lambda source: source.output)
    images = new_images(cache, (len(sources), height, width, 3))
    digests: list[str] = []
    shown: list[tuple[int, int]] = []
    seen: set[str] = set()
    skipped = duplicates = 0

    def read(source: Source) -> tuple[str, Fitted] | InputError:
        try:
            fitted = fit(load(source, Limits()), height, width)
            return digest(source), fitted
        except InputError as error:
            return error

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:

        def start(source: Source) -> Future[tuple[str, Fitted] | InputError]:
            return pool.submit(read, source)

        for done, outcome in enumerate(staged(sources, start, 2 * workers), 1):
            on_image(done, len(sources))
            if isinstance(outcome, InputError):
                warnings.warn(f"skipped: {outcome.message}", UadxWarning, stacklevel=2)
                skipped += 1
            elif outcome[0] in seen:
                duplicates += 1
            else:
                images[len(digests)] = outcome[1].pixels
                shown.append(outcome[1].content)
                seen.add(outcome[0])
                digests.append(outcome[0])
    if len(digests) < MINIMUM_IMAGES:
        raise UsageError(
            f"{folder} holds {len(digests)} different readable images; training needs at least {MINIMUM_IMAGES}",
            hint="bring more pictures of good parts: 20 are a start, 200 make a threshold for 2.5 % false alarms",
        )
    # in the order of the digests: renaming the files changes neither the split nor the training
    ranked = np.argsort(np.array(digests))
    order = np.random.default_rng(seed).permutation(len(digests))
    count = max(1, round(HELD_OUT * len(digests)))
    train, held_out = ranked[np.sort(order[count:])], ranked[np.sort(order[:count])]
    parts = np.array(shown, np.intp)
    return Dataset(images[: len(digests)], parts, digests, train, held_out, skipped, duplicates)


def fitting_size(folder: Path) -> tuple[int, int]:
    """The model's height and width for the images of a folder: AREA pixels in their typical proportions.

    A part three times as wide as high gets a model of that shape, and no pixel is wasted on filling up.
    """
    sources = sorted(expand(folder), key=lambda source: source.output)
    ratios = []
    for source in sources[:: max(1, len(sources) // LOOKED_AT)]:
        with contextlib.suppress(InputError):  # named when all images are read
            height, width = load(source, Limits()).shape[:2]
            ratios.append(math.log(width / height))
    ratio = math.exp(float(np.clip(np.median(ratios), -MOST_OBLONG, MOST_OBLONG))) if ratios else 1.0
    if abs(math.log(ratio)) < NEARLY_SQUARE:
        ratio = 1.0
    height, width = (max(GRAIN, round(side / GRAIN) * GRAIN) for side in (AREA / ratio**0.5, AREA * ratio**0.5))
    return height, width


def digest(source: Source) -> str:
    """sha256 of a file's bytes, by which an image is known. Raises InputError."""
    assert isinstance(source.data, Path)
    try:
        return hashlib.sha256(source.data.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError("unreadable", f"{source.label} cannot be read", cause_text=str(error)) from error
