"""manifest.json as types: what a bundle says of itself. Reading it names the field that is wrong."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from uadx.images.framing import Framing, Tiling
from uadx.images.preprocess import Fit
from uadx.scoring.calibration import Calibration
from uadx.scoring.fusion import FUSIONS, Scoring

SCHEMA = 2
"""Raised when an older uadx could misread a newer bundle."""

CHANGED = (
    "it was changed since it was written: its seal is another (for another threshold: --threshold, --fpr, or "
    "uadx recalibrate)"
)

UNSEALED = "0" * 64
"""What stands in place of the seal where the seal is computed."""

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Deviation = Annotated[float, Meta(gt=0)]
Multiple16 = Annotated[int, Meta(ge=32, le=4096, multiple_of=16)]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The graph's input: what the core must feed. mean and std are inside the graph; here for readers.

    fit: how an image is brought to the size, see uadx.images.preprocess; tiling: how it is cut into tiles of that size
    instead, see uadx.images.framing.
    """

    name: Literal["image"] = "image"
    height: Multiple16
    width: Multiple16
    layout: Literal["NHWC"] = "NHWC"
    color: Literal["RGB"] = "RGB"
    dtype: Literal["uint8"] = "uint8"
    fit: Fit = "stretch"
    tiling: Tiling | None = None
    mean: tuple[float, float, float]
    std: tuple[Deviation, Deviation, Deviation]

    @property
    def framing(self) -> Framing:
        """How an image becomes windows of the input's size."""
        return Framing(self.height, self.width, self.fit, self.tiling)


class Teacher(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which teacher the student repeats. sha256: of its folded weights as they stand in the graph."""

    id: str
    sha256: Sha256


class Training(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the student was taught from. Images are known by the first 16 hex digits of their file's sha256.

    by: the program that taught it; where it is another than uadx, `images` is 0, and `epochs` where it does not say.
    fingerprint: sha256 over the sorted digests of all good images. held_out: those that only calibrate. taught: the
    others, and where a model was taught on those that taught it before; empty in a bundle of an older uadx, and where
    another program taught it.
    """

    by: str = "uadx"
    images: Count
    held_out: tuple[Annotated[str, Meta(pattern="^[0-9a-f]{16}$")], ...]
    taught: tuple[Annotated[str, Meta(pattern="^[0-9a-f]{16}$")], ...] = ()
    fingerprint: Sha256
    seed: int
    epochs: Count
    skipped: int = 0
    duplicates: int = 0


class Cost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a form of the model costs beside float32, measured on some images.

    agreement: Spearman's rank correlation of both forms' scores, 1 where they are in the same order. flips: verdicts
    that differ at the default threshold of each. auroc_f32, auroc: of the scores of both, where the images are
    labelled.
    """

    images: Positive
    agreement: float
    flips: int
    auroc_f32: float | None = None
    auroc: float | None = None


class Own(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a form of the model whose numbers are not the model's is calibrated to; the manifest's fields of the same
    names are the model's. golden: the file of its golden vectors. cost: None where no image could be read to measure
    it."""

    scoring: Scoring
    calibration: dict[str, Annotated[tuple[float, ...], Meta(min_length=1)]]
    pixel_calibration: dict[str, tuple[float, ...]]
    base_levels: dict[str, tuple[float, float]]
    golden: str
    cost: Cost | None = None


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another form of the model, for the backends that take it. file: the one that they are given.

    target: the one kind of chip that it runs on, such as "Ascend310P3". precision: what it computes in. "" where any
    will do. files: `file` and those that belong to it. own: where it is calibrated on its own.
    """

    file: str
    format: str
    target: str = ""
    precision: str = ""
    files: Annotated[tuple[str, ...], Meta(min_length=1)]
    own: Own | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """A bundle holds one form of each."""
        return self.format, self.target, self.precision


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of manifest.json.

    seal: sha256 of manifest.json with zeros in place of its own digits; filled in by `encode`, checked by `decode`.
    calibration: for each fusion the image scores of the held-out good images, in ascending order; every threshold
    and p-value derives from them. pixel_calibration: the highest value of each one's anomaly map, likewise.
    base_levels: for each fusion the lowest and highest base level of their maps (see uadx.scoring.familiarity).
    most_windows: the most windows that one of them has, where images are cut into tiles. default_fpr: the false-alarm
    rate of the threshold used when none is asked for. metrics: figures measured on labelled images, where somebody
    did. parent: sha256 of the bundle, or of another program's file, that this one was made from. variants: the model
    in other forms. files: sha256 of every other file.
    """

    schema: int
    seal: Sha256 = UNSEALED
    name: str
    created_by: str
    input: Input
    scoring: Scoring
    calibration: dict[str, Annotated[tuple[float, ...], Meta(min_length=1)]]
    pixel_calibration: dict[str, tuple[float, ...]] = {}
    base_levels: dict[str, tuple[float, float]] = {}
    most_windows: Positive | None = None
    default_fpr: Annotated[float, Meta(gt=0, lt=1)]
    teacher: Teacher
    training: Training
    metrics: dict[str, float] = {}
    parent: Sha256 | None = None
    variants: tuple[Variant, ...] = ()
    files: dict[str, Sha256]

    def __post_init__(self) -> None:
        if set(self.scoring.levels) != {"level1", "level2", "level3"}:
            raise ValueError("`scoring.levels` must be level1, level2 and level3")
        if any(not scale.high > scale.low for scale in self.scoring.levels.values()):
            raise ValueError("`scoring.levels`: `high` must be above `low`")
        weights = [scale.weight for scale in self.scoring.levels.values()]
        if min(weights) < 0 or not max(weights) > 0:
            raise ValueError("`scoring.levels`: no `weight` may be below 0, and one must be above")
        if set(self.calibration) != set(FUSIONS):
            raise ValueError(f"`calibration` must hold the scores of {' and '.join(FUSIONS)}")
        if self.default_fpr < max(Calibration(scores).lowest_fpr for scores in self.calibration.values()) - 1e-9:
            raise ValueError("`default_fpr` is lower than what the scores of `calibration` certify")
        for field in ("calibration", "pixel_calibration", "base_levels"):
            if any(list(values) != sorted(values) for values in getattr(self, field).values()):
                raise ValueError(f"`{field}`: values must be in ascending order")


class NewerSchemaError(ValueError):
    """A manifest.json that only a newer uadx can read."""


def decode(data: bytes) -> Manifest:
    """Read manifest.json. Raises msgspec.MsgspecError with the path of the wrong field; ValueError for the schema, for
    fields that do not fit each other, and where anything was changed since it was written."""
    head = msgspec.json.decode(data, type=_Head)
    if head.schema != SCHEMA:
        kind = NewerSchemaError if head.schema > SCHEMA else ValueError
        raise kind(f"it has schema {head.schema}, this uadx reads schema {SCHEMA}")
    manifest = msgspec.json.decode(data, type=Manifest)
    for variant in manifest.variants:
        if not {variant.file, *variant.files} <= set(manifest.files):
            raise ValueError(f"`variants`: `files` does not list {variant.file} and what belongs to it")
        if variant.own is not None:
            if variant.own.golden not in variant.files:
                raise ValueError(f"`variants`: `files` does not list {variant.own.golden}")
            calibrated_as(manifest, variant.own)
    if _seal(data.replace(manifest.seal.encode(), UNSEALED.encode(), 1)) != manifest.seal:
        raise ValueError(CHANGED)
    return manifest


def listed(data: bytes) -> frozenset[str]:
    """The files that a manifest.json lists, of any schema and even if it was changed. Raises msgspec.MsgspecError."""
    return frozenset(msgspec.json.decode(data, type=_Listing).files)


def calibrated_as(manifest: Manifest, own: Own) -> Manifest:
    """The manifest with a form's own calibration in place of the model's. Raises ValueError as a manifest does."""
    fields = ("scoring", "calibration", "pixel_calibration", "base_levels")
    return msgspec.structs.replace(manifest, **{field: getattr(own, field) for field in fields})


def encode(manifest: Manifest) -> bytes:
    """manifest.json, sealed, indented for people, the same bytes for the same content."""
    unsealed = msgspec.structs.replace(manifest, seal=UNSEALED)
    data = msgspec.json.format(msgspec.json.encode(unsealed), indent=2) + b"\n"
    return data.replace(UNSEALED.encode(), _seal(data).encode(), 1)


def _seal(unsealed: bytes) -> str:
    return hashlib.sha256(unsealed).hexdigest()


class _Head(Struct):
    schema: int


class _Listing(Struct):
    schema: int
    files: dict[str, str]
