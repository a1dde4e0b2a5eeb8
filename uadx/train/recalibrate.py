"""`uadx recalibrate`: threshold, scales and trust of a model anew, from good images that did not teach it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.bundle.manifest import Manifest
from uadx.bundle.reader import MODEL, Bundle
from uadx.bundle.writer import check_replaceable, write_files
from uadx.images.framing import Tiling
from uadx.scoring.calibration import Calibration
from uadx.train.calibrate import calibrated
from uadx.train.dataset import fingerprint, good_folder, read_good_images
from uadx.train.enough import warn_of_few


@dataclass(frozen=True)
class Recalibrated:
    """The new bundle's manifest. left_out: images that did not calibrate, because they taught the model or may have.
    dropped: forms of the model with a calibration of their own, which the new bundle has no more."""

    manifest: Manifest
    left_out: int
    dropped: tuple[str, ...]


def recalibrate(
    bundle: Bundle,
    data: Path,
    output: Path,
    tiling: Tiling | None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Recalibrated:
    """Write a bundle with the same model, calibrated on the good images of data.

    Images that taught the model do not calibrate it: what the student has learnt it repeats too well. A bundle of an
    older uadx does not know them all: where one of its held-out images is among those of data, only such calibrate.
    tiling: how images are cut from now on; None: not at all. Raises UsageError for data without enough good images,
    OutputError.
    """
    check_replaceable(output)
    folder = good_folder(data)
    manifest = bundle.tiled(tiling).manifest
    training = manifest.training

    def split(digests: Sequence[str], paths: Sequence[str]) -> NDArray[np.bool_]:
        known = [digest[:16] for digest in digests]
        if training.taught:
            return ~np.isin(known, training.taught)
        held_out = np.isin(known, training.held_out)
        same = held_out.any() or fingerprint(digests) == training.fingerprint
        return held_out if same else np.ones(len(digests), bool)

    with tempfile.TemporaryDirectory(prefix="uadx-recalibrate-") as directory:
        cache = Path(directory) / "images.npy"
        dataset = read_good_images(folder, cache, manifest.input.framing, split, on_image)
        warn_of_few(len(dataset.held_out.digests), held_out=1.0)
        found = calibrated(bundle.path / MODEL, dataset.held_out, training.seed)
    own = [variant for variant in manifest.variants if variant.own is not None]
    gone = {file for variant in own for file in variant.files}
    new = msgspec.structs.replace(
        manifest,
        name=output.name.removesuffix(".zip"),
        scoring=found.scoring,
        calibration=found.scores,
        pixel_calibration=found.peaks,
        base_levels=found.base_ranges,
        most_windows=found.most_windows if manifest.input.tiling else None,
        default_fpr=Calibration(found.scores["quantile"]).default_fpr(),
        training=msgspec.structs.replace(training, held_out=tuple(d[:16] for d in dataset.held_out.digests)),
        metrics={},
        parent=bundle.sha256,
        variants=tuple(variant for variant in manifest.variants if variant.own is None),
    )
    kept = {name: (bundle.path / name).read_bytes() for name in manifest.files if name not in gone}
    write_files(output, new, kept)
    return Recalibrated(new, len(dataset.train.digests), tuple(variant.precision for variant in own))
