"""The whole of `uadx export --precision int8`: the good images again, the int8 form, its calibration and its cost."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from uadx.bundle.manifest import Cost, Own, Training, Variant
from uadx.bundle.reader import MODEL, Bundle
from uadx.bundle.variants import write_with
from uadx.bundle.writer import npz
from uadx.errors import UadxWarning
from uadx.evaluation.layout import find_test_set
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.plural import counted
from uadx.quantise import reference
from uadx.quantise.cost import measure
from uadx.quantise.graph import quantise
from uadx.train.calibrate import Calibrated, calibrate, level_maps, scales
from uadx.train.dataset import Part, good_folder, read_good_images
from uadx.train.held_out import again, held_out_sources

INT8, GOLDEN_INT8 = "stfpm.int8.onnx", "golden.int8.npz"
RANGES, FEW = 100, 32
"""Good images from which the ranges of the 8 bits are taken, three times as many change them by nothing that shows; and
those below which the next image may well lie outside."""


def add_int8(bundle: Bundle, data: Path, output: Path, stage: Callable[[str], None]) -> Cost | None:
    """Write the bundle with an int8 form of its model to output, which may be where it came from; what it costs.

    data: what the bundle was trained on. Images that taught give the ranges; the held-out ones, which the bundle knows
    by their files' hashes, calibrate, so that the thresholds keep their word. The cost is of the labelled images where
    data has them (MVTec layout), else of the held-out ones. stage: is told what is being done.

    Raises UsageError where data has not the held-out images, UnavailableError without NNCF, OutputError.
    """
    manifest = bundle.manifest
    folder = good_folder(data)
    with tempfile.TemporaryDirectory(prefix="uadx-int8-") as directory:
        work = Path(directory)
        stage("reading the good images")
        dataset = read_good_images(
            folder, work / "images.npy", manifest.input.framing, again(manifest.training, folder)
        )
        stage("quantising")
        ranges = dataset.train.windows if len(dataset.train.windows) else dataset.held_out.windows
        chosen = ranges[:: max(1, len(ranges) // RANGES)][:RANGES]
        model = quantise((bundle.path / MODEL).read_bytes(), np.array(chosen))
        if len(chosen) < FEW:
            warnings.warn(
                f"the ranges of the 8 bits come from {counted(len(chosen), 'image')}, and other good parts may lie "
                f"outside: train on {FEW} or more, or run f32",
                UadxWarning,
                stacklevel=2,
            )
        (work / INT8).write_bytes(model)
        stage("calibrating")
        found = _calibrated(bundle, work / INT8, dataset.held_out)
        images = bundle.golden.images
        files = {INT8: model, GOLDEN_INT8: npz({"image": images, **reference.level_maps(model, images)})}
        own = Own(
            scoring=found.scoring,
            calibration=found.scores,
            pixel_calibration=found.peaks,
            base_levels=found.base_ranges,
            golden=GOLDEN_INT8,
        )
        variant = Variant(file=INT8, format="onnx", precision="int8", files=tuple(sorted(files)), own=own)
        stage("measuring what it costs")
        write_with(bundle, variant, files, work / "bundle")
        cost = measure(work / "bundle", *_to_compare(data, folder, manifest.training))
        variant = msgspec.structs.replace(variant, own=msgspec.structs.replace(own, cost=cost))
        write_with(bundle, variant, files, output)
    return cost


def _calibrated(bundle: Bundle, model: Path, held_out: Part) -> Calibrated:
    """The int8 form's own scales and thresholds. How far a level is trusted is the product's, and stays."""
    size = bundle.manifest.input.height, bundle.manifest.input.width
    maps = level_maps(model, held_out.windows, "int8")
    shown = [(int(high), int(wide)) for high, wide in held_out.shown]
    trusted = bundle.manifest.scoring.levels
    levels = {
        name: msgspec.structs.replace(scale, weight=trusted[name].weight)
        for name, scale in scales(maps, shown, size).items()
    }
    return calibrate(msgspec.structs.replace(bundle.manifest.scoring, levels=levels), maps, held_out.cuts, size)


def _to_compare(data: Path, folder: Path, training: Training) -> tuple[Sequence[Source], bool]:
    """The images to compare both forms by, and whether they are labelled."""
    if folder != data and (data / "test").is_dir():
        return sorted(expand(find_test_set(data).images), key=lambda source: source.output), True
    return held_out_sources(folder, training), False
