"""Opens a bundle: every hash checked, every field typed, every path confined to the bundle."""

from __future__ import annotations

import atexit
import hashlib
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.api import ModelArtifact
from uadx.bundle.external import uses_external_data
from uadx.bundle.manifest import Manifest, NewerSchemaError, calibrated_as, decode
from uadx.errors import BundleError, UsageError
from uadx.images.framing import Tiling
from uadx.scoring.calibration import Calibration, Thresholds
from uadx.scoring.familiarity import limit
from uadx.scoring.fusion import Fusion

MANIFEST, MODEL, GOLDEN = "manifest.json", "stfpm.onnx", "golden.npz"
REQUIRED = frozenset({MODEL, GOLDEN})
MAX_UNPACKED = 1 << 30
DEFAULT = "default"
_RETRAIN = "copy the bundle again from where it was made, or train it anew: uadx train"
_UPDATE = "a newer uadx wrote it: python -m pip install --upgrade uadx"


@dataclass(frozen=True)
class Golden:
    """Inputs uint8 [N, H, W, 3] and the level maps float32 that the float64 reference gives for them."""

    images: NDArray[np.uint8]
    maps: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. sha256: of manifest.json, which holds the hashes of all other files. golden_file: the one of
    its golden vectors. calibrated: False where images are cut otherwise than its calibration says."""

    path: Path
    manifest: Manifest
    sha256: str
    golden_file: str = GOLDEN
    calibrated: bool = True

    @property
    def artifact(self) -> ModelArtifact:
        """The ONNX model for a backend to compile."""
        return ModelArtifact(self.path / MODEL, "onnx", self.manifest.files[MODEL])

    @property
    def artifacts(self) -> tuple[ModelArtifact, ...]:
        """The ONNX model and its other forms, which backends choose from."""
        hashes = self.manifest.files
        others = [
            ModelArtifact(self.path / other.file, other.format, hashes[other.file], other.target, other.precision)
            for other in self.manifest.variants
        ]
        return (self.artifact, *others)

    @property
    def has_int8(self) -> bool:
        """Whether there is an int8 form beside the float model."""
        return any(variant.precision == "int8" for variant in self.manifest.variants)

    def running(self, precision: str) -> Bundle:
        """The bundle as it is where its model runs in this precision: its int8 form has scales, thresholds and golden
        vectors of its own."""
        for variant in self.manifest.variants:
            if variant.own is not None and variant.precision == precision:
                return replace(self, manifest=calibrated_as(self.manifest, variant.own), golden_file=variant.own.golden)
        return self

    def tiled(self, tiling: Tiling | None) -> Bundle:
        """The bundle with images cut into such tiles, or not at all, whatever it is calibrated for."""
        manifest = self.manifest
        if tiling == manifest.input.tiling:
            return self
        cut = msgspec.structs.replace(manifest.input, tiling=tiling)
        return replace(self, manifest=msgspec.structs.replace(manifest, input=cut), calibrated=False)

    def calibration(self, fusion: Fusion) -> Calibration:
        """The held-out scores for one fusion."""
        return Calibration(self.manifest.calibration[fusion])

    def thresholds(self, fusion: Fusion, fpr: float | None = None) -> Thresholds:
        """The thresholds for a false-alarm rate; by default the bundle's own.

        A good image scores above the first with probability at most fpr, and has a pixel above the second with
        probability at most fpr. Raises UsageError where the held-out images cannot certify it.

        >>> from uadx.bundle.reader import open_bundle
        >>> bundle = open_bundle()
        >>> bundle.thresholds("quantile", fpr=0.05).image < bundle.thresholds("quantile", fpr=0.01).image
        True
        """
        if not self.calibrated:
            tiling = self.manifest.input.tiling
            asked = "" if tiling is None else f" --tile {tiling.size} --overlap {tiling.overlap:g}"
            raise UsageError(
                f"the model is not calibrated for {tiling or 'whole images'}",
                hint=f"calibrate it: uadx recalibrate --model MODEL --data GOOD{asked} --output NEW; "
                "or give a threshold of your own: --threshold, threshold=...",
            )
        fpr = fpr or self.manifest.default_fpr
        image = self.calibration(fusion).threshold(fpr)
        peaks = self.manifest.pixel_calibration.get(fusion)
        return Thresholds(image, Calibration(peaks).threshold(fpr) if peaks else image)

    def unfamiliar_above(self, fusion: Fusion) -> float | None:
        """The base level of an anomaly map above which it is of no picture like the held-out ones; None: not known."""
        found = self.manifest.base_levels.get(fusion)
        return None if found is None else limit(*found)

    @cached_property
    def golden(self) -> Golden:
        """The golden vectors. Raises BundleError where they do not fit the manifest."""
        file = self.path / self.golden_file
        try:
            with zipfile.ZipFile(file) as packed:  # an archive in an archive: a small one may unpack to any size
                _check_unpacked(packed.infolist())
            with np.load(file, allow_pickle=False) as arrays:
                maps = {name: arrays[name].astype(np.float32) for name in self.manifest.scoring.levels}
                return Golden(arrays["image"], maps)
        except (KeyError, ValueError, OSError, MemoryError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"{self.path}: {self.golden_file} cannot be read", cause_text=str(error), hint=_RETRAIN
            ) from error


def open_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """Open a bundle directory or .zip; None or "default" is the one that ships with uadx.

    Raises BundleError that names the file or field that is wrong.

    >>> from uadx.bundle.reader import open_bundle
    >>> bundle = open_bundle()
    >>> bundle.manifest.name, bundle.manifest.input.height, bundle.manifest.input.width
    ('default', 256, 256)
    """
    where = default_path() if path is None or str(path) == DEFAULT else Path(path)
    if not os.path.exists(where):  # Path.exists raises for a name that is too long
        raise BundleError(f"no model bundle at {where}", hint="train one: uadx train --data DIR --output MODEL")
    if where.is_dir():
        return _open_directory(where, str(where))
    if where.is_file() and zipfile.is_zipfile(where):  # a pipe or a device would be read for ever
        return _open_directory(_unpack(where), str(where))
    raise BundleError(
        f"{where} is not a model bundle: neither a directory nor a .zip",
        hint="a bundle is what `uadx train` writes to its --output",
    )


def default_path() -> Path:
    """Where the bundle that ships with uadx lies."""
    return Path(str(package_files("uadx"))) / "models" / DEFAULT


def _open_directory(directory: Path, shown: str) -> Bundle:
    try:
        with _opened(directory / MANIFEST) as file:
            raw = file.read()
    except OSError as error:
        raise BundleError(
            f"{shown} is not a model bundle: its {MANIFEST} cannot be read",
            cause_text=str(error),
            hint="a bundle is what `uadx train` writes to its --output",
        ) from error
    try:
        manifest = decode(raw)
    except (msgspec.MsgspecError, ValueError) as error:
        hint = _UPDATE if isinstance(error, NewerSchemaError) else _RETRAIN
        raise BundleError(f"{shown}: {MANIFEST} is not valid", cause_text=str(error), hint=hint) from error
    if missing := sorted(REQUIRED - set(manifest.files)):
        raise BundleError(f"{shown}: {MANIFEST} lists no {' and no '.join(missing)}", hint=_RETRAIN)
    for name, expected in manifest.files.items():
        _check_file(directory, name, expected, shown)
    for name in (MODEL, *(other.file for other in manifest.variants if other.format == "onnx")):
        _refuse_external_data(directory, name, shown)
    return Bundle(directory, manifest, hashlib.sha256(raw).hexdigest())


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device read for ever
        raise OSError("it is no regular file")
    return open(path, "rb")


def _check_file(directory: Path, name: str, expected: str, shown: str) -> None:
    if not _is_inside(name):
        raise BundleError(f"{shown}: {MANIFEST} lists {name!r}, a path outside the bundle", hint=_RETRAIN)
    try:
        with _opened(directory / name) as file:
            actual = hashlib.sha256()
            while block := file.read(1 << 20):
                actual.update(block)
    except OSError as error:
        raise BundleError(f"{shown}: {name} cannot be read", cause_text=str(error), hint=_RETRAIN) from error
    if actual.hexdigest() != expected:
        raise BundleError(
            f"{shown}: {name} is corrupt or was changed: its sha256 is not the manifest's",
            cause_text=f"manifest {expected}\nfile     {actual.hexdigest()}",
            hint=_RETRAIN,
        )


def _refuse_external_data(directory: Path, name: str, shown: str) -> None:
    try:
        external = uses_external_data((directory / name).read_bytes())
    except ValueError as error:
        raise BundleError(f"{shown}: {name} is no ONNX model", cause_text=str(error), hint=_RETRAIN) from error
    if external:
        raise BundleError(f"{shown}: {name} points to data outside itself, which uadx never reads", hint=_RETRAIN)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name


def _check_unpacked(members: list[zipfile.ZipInfo]) -> None:
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise ValueError("it would unpack to more than 1 GiB")


def _unpack(archive: Path) -> Path:
    """Unpack into a private directory that lives as long as the process; runtimes want files, not streams."""
    directory = Path(tempfile.mkdtemp(prefix="uadx-bundle-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            if bad := [member.filename for member in members if not _is_inside(member.filename)]:
                raise BundleError(f"{archive} holds {bad[0]!r}, a path outside the bundle", hint=_RETRAIN)
            _check_unpacked(members)
            packed.extractall(directory)
    except (ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError) as error:
        raise BundleError(f"{archive} cannot be unpacked", cause_text=str(error), hint=_RETRAIN) from error
    inner = [entry for entry in directory.iterdir() if entry.is_dir() and entry.name != "__MACOSX"]
    # zipping a folder by hand usually keeps the folder
    return inner[0] if not (directory / MANIFEST).exists() and len(inner) == 1 else directory
