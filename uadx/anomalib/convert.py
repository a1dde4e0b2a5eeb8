"""The whole of `uadx import`: a file of anomalib's in, a calibrated bundle that repeats its level maps out."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx import __version__
from uadx.anomalib.maps import level_maps
from uadx.anomalib.model import AnomalibModel
from uadx.bundle.manifest import SCHEMA, Input, Manifest, Teacher, Training
from uadx.bundle.writer import check_replaceable, write_bundle
from uadx.cores import limit_torch
from uadx.errors import UsageError
from uadx.evaluation.layout import GOOD
from uadx.images.framing import Framing
from uadx.parity import ParityError
from uadx.scoring.calibration import Calibration
from uadx.stfpm import graph, reference
from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.weights import CHANNELS, fold
from uadx.train import calibrate
from uadx.train.build import golden_vectors
from uadx.train.dataset import Dataset, good_folder, read_good_images
from uadx.train.teacher import TeacherWeights

DEFAULT_SIZE = (256, 256)
"""anomalib's own, of a file that does not say."""
ALLOWED = 1e-4
"""By which a level map may differ from anomalib's; the maps of a taught model go to about 1."""
SEED = 0


@dataclass(frozen=True)
class Imported:
    """The bundle's manifest, what it was made from, and the largest difference of its level maps from anomalib's on so
    many pictures."""

    manifest: Manifest
    model: AnomalibModel
    difference: float
    pictures: int


def read(path: Path) -> AnomalibModel:
    """A .ckpt, .pt, .pth or .onnx. Raises UsageError for what is none of these, and what their readers raise."""
    if not path.is_file():
        what = "a folder, and no file" if path.is_dir() else "no such file"
        raise UsageError(f"{path}: {what}", hint="name a checkpoint of anomalib's: results/.../model.ckpt")
    match path.suffix.lower():
        case ".ckpt" | ".pt" | ".pth":
            from uadx.anomalib.checkpoint import read_checkpoint

            return read_checkpoint(path)
        case ".onnx":
            from uadx.anomalib.onnx_file import read_onnx

            return read_onnx(path)
    raise UsageError(
        f"{path} is no file that can be imported",
        hint="name anomalib's checkpoint (.ckpt), its weights (.pt) or its export to ONNX (.onnx)",
    )


def import_model(
    path: Path,
    data: Path,
    output: Path,
    size: tuple[int, int] | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Write a bundle of the networks in an anomalib file, calibrated on the good images of data, none of which may have
    taught them.

    size: height and width of the model's input where the file does not say; None: 256 x 256.

    Raises UsageError for data that is no folder of good images or is what anomalib trained on, and for another size
    than the file says; BundleError for a file that holds no such model; ParityError where the bundle does not repeat
    anomalib's level maps; OutputError.
    """
    check_replaceable(output)
    if (data / "train" / GOOD).is_dir():
        raise UsageError(
            f"{data} has a train/{GOOD}, and what taught the model cannot calibrate it: it repeats that too well",
            hint=f"name a folder of good images that did not teach it, such as {data / 'test' / GOOD}",
        )
    folder = good_folder(data)
    model = read(path)
    framing = Framing(*_size(model, size, path), "stretch")
    limit_torch()
    teacher = TeacherWeights("anomalib's resnet18", fold(model.teacher))
    plain = [Difficulty.none(channels) for channels in CHANNELS]
    exported = graph.build(teacher.weights, fold(model.student), plain, framing.height, framing.width)
    with tempfile.TemporaryDirectory(prefix="uadx-import-") as directory:
        file = Path(directory) / "stfpm.onnx"
        file.write_bytes(exported)
        cache = Path(directory) / "images.npy"
        dataset = read_good_images(folder, cache, framing, lambda digests, paths: np.ones(len(digests), bool), on_image)
        golden = golden_vectors(exported, dataset.held_out.windows, SEED)
        difference = _difference(model, file, golden["image"].astype(np.uint8), path)
        found = calibrate.calibrated(file, dataset.held_out, SEED)
    manifest = Manifest(
        schema=SCHEMA,
        name=output.name.removesuffix(".zip"),
        created_by=f"uadx {__version__}",
        input=Input(
            height=framing.height,
            width=framing.width,
            fit=framing.fit,
            mean=tuple(reference.IMAGENET_MEAN.tolist()),
            std=tuple(reference.IMAGENET_STD.tolist()),
        ),
        scoring=found.scoring,
        calibration=found.scores,
        pixel_calibration=found.peaks,
        base_levels=found.base_ranges,
        default_fpr=Calibration(found.scores["quantile"]).default_fpr(),
        teacher=Teacher(id=teacher.id, sha256=teacher.sha256),
        training=_training(model, dataset),
        parent=hashlib.sha256(path.read_bytes()).hexdigest(),
        files={},
    )
    write_bundle(output, manifest, exported, golden)
    return Imported(manifest, model, difference, len(golden["image"]))


def _size(model: AnomalibModel, asked: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    size = model.size or asked or DEFAULT_SIZE
    said = f"{size[0]} x {size[1]}"
    if asked not in (None, size):
        raise UsageError(f"--image-size is another than {path} says, {said}", hint="leave --image-size out")
    if not all(32 <= side <= 4096 and side % 16 == 0 for side in size):
        raise UsageError(
            f"{path}: its model looks at {said} pixels, and uadx takes multiples of 16 from 32 to 4096",
            hint="teach the product anew: uadx train",
        )
    return size


def _difference(model: AnomalibModel, file: Path, images: NDArray[np.uint8], path: Path) -> float:
    """The largest between the exported graph's level maps, as `uadx run` has them, and anomalib's."""
    found, expected = calibrate.level_maps(file, images), level_maps(model, images)
    apart = {name: np.nan_to_num(np.abs(found[name] - value), nan=np.inf) for name, value in expected.items()}
    differences = {name: float(values.max()) for name, values in apart.items()}
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] > ALLOWED:
        raise ParityError(
            f"the bundle would not repeat the level maps of {path}",
            cause_text=f"{worst} differs by {differences[worst]:.2g}; {ALLOWED:g} is allowed",
            hint="features that are nearly 0 can do that; teach the product anew: uadx train",
        )
    return differences[worst]


def _training(model: AnomalibModel, dataset: Dataset) -> Training:
    return Training(
        by="anomalib",
        images=0,
        held_out=tuple(digest[:16] for digest in dataset.held_out.digests),
        fingerprint=dataset.fingerprint,
        seed=SEED,
        epochs=model.epochs,
        skipped=dataset.skipped,
        duplicates=dataset.duplicates,
    )
