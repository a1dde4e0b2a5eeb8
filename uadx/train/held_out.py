"""The images that calibrated a bundle, found again by their files' hashes in the folder that it was trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.manifest import Training
from uadx.errors import InputError, UsageError
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.train.dataset import digest
from uadx.train.split import Split


def find_held_out(digests: Sequence[str], training: Training, folder: Path) -> list[int]:
    """Which of the images with these digests were held out, each once. Raises UsageError where one is missing.

    digests: sha256 in hexadecimal. folder: where they lie.
    """
    known = set(training.held_out)
    first = {digest[:16]: index for index, digest in reversed(list(enumerate(digests)))}
    if missing := known - first.keys():
        raise UsageError(
            f"{len(missing)} of the {len(known)} images that were held out to calibrate this model are not in {folder}",
            hint="--data names the folder that it was trained on, with the same files",
        )
    return sorted(first[one] for one in known)


def again(training: Training, folder: Path) -> Split:
    """The split of a training that was, for the images of the folder. It raises UsageError where one is missing."""

    def split(digests: Sequence[str], paths: Sequence[str]) -> NDArray[np.bool_]:
        held_out = np.zeros(len(digests), bool)
        held_out[find_held_out(digests, training, folder)] = True
        return held_out

    return split


def held_out_sources(folder: Path, training: Training) -> list[Source]:
    """The held-out images themselves. Raises UsageError where one is missing or cannot be read."""
    sources, digests = [], []
    for source in sorted(expand(folder), key=lambda source: source.output):
        if isinstance(source.data, Path):
            with contextlib.suppress(InputError):  # a held-out image was readable: it is missed by its digest
                digests.append(digest(source))
                sources.append(source)
    return [sources[index] for index in find_held_out(digests, training, folder)]
