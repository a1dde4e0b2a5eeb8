"""The whole of `uadx train`: read, train (or take up a killed training), export, calibrate, write the bundle."""

from __future__ import annotations

import math
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx import __version__
from uadx.bundle.manifest import SCHEMA, Input, Manifest, Teacher, Training
from uadx.bundle.reader import Bundle
from uadx.bundle.writer import check_replaceable, write_bundle
from uadx.cores import limit_torch
from uadx.errors import OutputError, UadxWarning, UnavailableError, UsageError
from uadx.files import write_whole
from uadx.images.framing import Tiling
from uadx.lock import try_lock
from uadx.scoring.calibration import Calibration
from uadx.stfpm import graph, reference
from uadx.stfpm.training import Epoch, Recipe, Trainer
from uadx.train.beginning import Beginning, anew, taught_on
from uadx.train.calibrate import calibrated
from uadx.train.dataset import Dataset, good_folder, read_good_images
from uadx.train.enough import fewest_parts, warn_of_few, warn_of_sisters
from uadx.train.report import write_report
from uadx.train.split import HELD_OUT, by_seed
from uadx.train.teacher import rounded


@dataclass(frozen=True)
class TrainOptions:
    """What `uadx train` was asked for.

    image_size: height and width of the model's input, multiples of 16; None: as many pixels as 256 x 256, in the
    proportions of the images; with tiles, that of a tile up to 256 x 256. tiling: None for whole images. start: the
    model to go on from, with its teacher, size and tiles, whatever these fields say. same_part: which pictures show one
    part, see uadx.train.split.by_seed.
    """

    data: Path
    output: Path
    epochs: int | None = None
    image_size: tuple[int, int] | None = None
    seed: int = 0
    teacher: str = "default"
    device: str = "cpu"
    tiling: Tiling | None = None
    start: Bundle | None = None
    same_part: re.Pattern[str] | None = None


class Progress:
    """What a caller may watch; the base class watches nothing."""

    def fetching(self, done: int, total: int) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def started(self, dataset: Dataset, epochs: int, resumed_at: int) -> None: ...
    def step(self, images: int) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def calibrating(self) -> None: ...


def train(options: TrainOptions, progress: Progress) -> Manifest:
    """Train on the good images of options.data and write the bundle options.output, and a page beside it.

    The work in progress lies in `OUTPUT.training/` until the bundle is written: a killed training that is started
    again with the same images and options goes on after its last epoch.
    """
    options = replace(options, output=options.output.resolve())
    check_replaceable(options.output)
    folder = good_folder(options.data)
    device = torch_device(options.device)
    beginning = _beginning(options, folder, progress)
    work = options.output.with_name(f"{options.output.name}.training")
    with _alone_in(work):
        framing = beginning.framing
        dataset = read_good_images(folder, work / "images.npy", framing, beginning.split, progress.reading)
        warn_of_few(len(dataset.held_out.digests), HELD_OUT)
        if options.same_part is None and framing.tiling is None:
            warn_of_sisters(dataset.train.windows)
        epochs = options.epochs or min(beginning.most_epochs, math.ceil(beginning.seen / len(dataset.train.windows)))
        recipe = Recipe(epochs, options.seed, learning_rate=beginning.learning_rate)
        trainer = _trained(dataset, beginning, recipe, device, work, progress)
        progress.calibrating()
        networks = beginning.teacher.weights, rounded(trainer.student_weights())
        model = graph.build(*networks, trainer.difficulties(), framing.height, framing.width)
        manifest, ranked = _write(options, beginning, dataset, model, epochs, work)
        page = report_path(options.output)
        try:
            write_report(page, options.output, manifest, dataset.held_out, ranked, trainer.losses)
        except OutputError as error:  # the bundle is there and good
            warnings.warn(f"no page of the training: {error.in_one_line}", UadxWarning, stacklevel=2)
    shutil.rmtree(work)
    return manifest


def report_path(bundle: Path) -> Path:
    """Where the page of a training lies: beside the bundle, which holds nothing but its own files."""
    return bundle.with_name(f"{bundle.name.removesuffix('.zip')}.training.html")


def _beginning(options: TrainOptions, folder: Path, progress: Progress) -> Beginning:
    draw = by_seed(options.seed, options.same_part)
    if options.start is not None:
        return taught_on(options.start, draw)
    return anew(options.teacher, folder, options.image_size, options.tiling, draw, progress.fetching)


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """The folder of the work in progress, which no other training uses meanwhile. What ends without an epoch that was
    saved leaves no such folder."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / "lock").touch()
    except OSError as error:
        raise OutputError(f"{work} cannot be written", cause_text=str(error), hint="choose another --output") from error
    alone = False
    try:
        with open(work / "lock", "wb") as lock:
            if not (alone := try_lock(lock)):
                raise UsageError(
                    f"another uadx train is at work in {work}", hint="wait until it ends, or choose another --output"
                )
            yield
    finally:
        if alone and not any(work.glob("*.checkpoint")):
            shutil.rmtree(work, ignore_errors=True)  # what ends the training is worth more than what is left of it


def _trained(
    dataset: Dataset, beginning: Beginning, recipe: Recipe, device: str, work: Path, progress: Progress
) -> Trainer:
    train = dataset.train
    trainer = Trainer(train.windows, train.shown, beginning.teacher.weights, recipe, device, beginning.student)
    # a checkpoint belongs to these windows, this split and this beginning; any other is left behind
    windows = "x".join(map(str, train.windows.shape[:3]))
    key = f"{dataset.fingerprint[:16]}-{beginning.key}-{windows}"
    checkpoint = work / f"{key}.checkpoint"
    resumed = checkpoint.exists() and trainer.restore(checkpoint)
    progress.started(dataset, recipe.epochs, trainer.epoch if resumed else 0)
    for epoch in trainer.run(checkpoint, progress.step):
        progress.epoch(epoch)
    return trainer


def _write(
    options: TrainOptions, beginning: Beginning, dataset: Dataset, model: bytes, epochs: int, work: Path
) -> tuple[Manifest, tuple[int, ...]]:
    """The manifest, and the held-out images' places by falling score."""
    framing, teacher = beginning.framing, beginning.teacher
    exported = work / "stfpm.onnx"
    write_whole(exported, model)
    found = calibrated(exported, dataset.held_out, options.seed)
    manifest = Manifest(
        schema=SCHEMA,
        name=options.output.name.removesuffix(".zip"),
        created_by=f"uadx {__version__}",
        input=Input(
            height=framing.height,
            width=framing.width,
            fit=framing.fit,
            tiling=framing.tiling,
            mean=tuple(reference.IMAGENET_MEAN.tolist()),
            std=tuple(reference.IMAGENET_STD.tolist()),
        ),
        scoring=found.scoring,
        calibration=found.scores,
        pixel_calibration=found.peaks,
        base_levels=found.base_ranges,
        most_windows=found.most_windows if framing.tiling else None,
        default_fpr=max(
            Calibration(found.scores["quantile"]).default_fpr(),
            fewest_parts(options.same_part, dataset.held_out.names),
        ),
        teacher=Teacher(id=teacher.id, sha256=teacher.sha256),
        training=Training(
            images=len(dataset.train.digests),
            held_out=tuple(digest[:16] for digest in dataset.held_out.digests),
            taught=(*beginning.taught, *(digest[:16] for digest in dataset.train.digests)),
            fingerprint=dataset.fingerprint,
            seed=options.seed,
            epochs=epochs,
            skipped=dataset.skipped,
            duplicates=dataset.duplicates,
        ),
        parent=beginning.parent,
        files={},
    )
    write_bundle(options.output, manifest, model, golden_vectors(model, dataset.held_out.windows, options.seed))
    return manifest, found.ranked


def golden_vectors(model: bytes, images: NDArray[np.uint8], seed: int) -> dict[str, NDArray[np.generic]]:
    """Two held-out windows, and noise that no product looks like, with the level maps of the float64 reference."""
    noise = np.random.default_rng(seed).integers(0, 256, (1, *images.shape[1:]), np.uint8)
    inputs = np.concatenate([images[:2], noise])
    teacher, student = (graph.network_weights(model, network) for network in ("teacher", "student"))
    maps = reference.level_maps(inputs, teacher, student, graph.difficulties(model))
    return {"image": inputs, **{name: value.astype(np.float32) for name, value in maps.items()}}


def torch_device(device: str) -> str:
    """As torch calls it. Raises UnavailableError for a card that is not there, UsageError for what is no device."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        limit_torch()
        return "cpu"
    if kind in {"gpu", "cuda"} and (not index or index.isdecimal()):
        if not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count():
            raise UnavailableError(
                f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices",
                hint="train on the processor: --device cpu",
            )
        return f"cuda:{index or 0}"
    raise UsageError(f"--device {device!r} is nothing to train on", hint="use cpu, gpu or gpu:N")
