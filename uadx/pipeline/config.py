"""The pipeline's configuration file, in PaddleX's shape: read into types, unknown keys refused by their path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct

from uadx.api import Hint, Precision
from uadx.errors import ConfigError
from uadx.images.framing import Overlap, TileSize, Tiling, chosen_tiling
from uadx.limits import LARGEST_BATCH
from uadx.pipeline.paddlex_config import PaddleXFile
from uadx.scoring.fusion import Fusion
from uadx.yaml_file import read_yaml

NAME = "anomaly_detection"
LARGEST_THRESHOLD = 1e30
"""Maps are float32: what is larger cannot be compared with them."""
_PositiveInt = Annotated[int, Meta(ge=1)]
_Rate = Annotated[float, Meta(gt=0, lt=1)]


class Global(Struct, frozen=True, forbid_unknown_fields=True):
    """What PaddleX keeps beside the pipeline: its name and the input to use when none is given."""

    pipeline_name: str = NAME
    input: str | None = None


class PipelineConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How images are inspected. None leaves the choice to the device, the bundle or the machine.

    model: bundle path, or "default". device: a device string. batch_size: images per inference. workers: threads
    that decode, score and draw. threshold: an image score; fpr: a false-alarm rate instead. fusion: `quantile`, or
    `product` for the paper's formula. fallback: the device to use where `device` cannot be used; strict: refuse any
    fallback. hint: how the device is to work, see uadx.api.CompileOptions. enable_hpi: run what was measured to be
    fastest here, see uadx.tune. verify: let the device repeat a golden vector before it is used. devices_file: a
    devices.yaml. max_pixels, url_timeout: limits on inputs, in pixels and seconds.
    """

    model: str | None = None
    device: str | None = None
    batch_size: Annotated[int, Meta(ge=1, le=LARGEST_BATCH)] | None = None
    workers: _PositiveInt | None = None
    threshold: float | None = None
    fpr: _Rate | None = None
    fusion: Fusion = "quantile"
    precision: Precision | None = None
    tile: TileSize | None = None
    overlap: Overlap | None = None
    fallback: str | None = None
    strict: bool = False
    verify: bool = True
    devices_file: str | None = None
    hint: Hint | None = None
    enable_hpi: bool = False
    max_pixels: _PositiveInt = 200_000_000
    url_timeout: Annotated[float, Meta(gt=0)] = 10.0

    def __post_init__(self) -> None:
        if self.threshold is not None and not abs(self.threshold) <= LARGEST_THRESHOLD:
            raise ValueError(f"`threshold` must be a number from -1e30 to 1e30, not {self.threshold}")
        if self.threshold is not None and self.fpr is not None:
            raise ValueError("give `threshold` or `fpr`, not both")
        if self.strict and self.fallback is not None:
            raise ValueError(f"`strict` forbids the fallback {self.fallback!r}")
        if self.enable_hpi and self.fallback is not None:
            raise ValueError(f"`enable_hpi` (--hpi) runs what was measured, and no fallback such as {self.fallback!r}")

    def tiling(self, own: Tiling | None) -> Tiling | None:
        """How images are cut. own: as the bundle says, which holds where nothing else is given.

        Raises UsageError for an overlap without tiles.
        """
        return chosen_tiling(self.tile, self.overlap, own)

    def override(self, **explicit: Any) -> PipelineConfig:
        """This configuration with what was given explicitly; None leaves a field as it is.

        The device of UADX_DEVICE beats the file's and is beaten by an explicit one.

        Raises ConfigError where a value does not fit.
        """
        # a threshold or a size may come out of NumPy
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in explicit.items()}
        given = {name: value for name, value in plain.items() if value is not None}
        if device := os.environ.get("UADX_DEVICE"):
            given.setdefault("device", device)
        if "threshold" in given and "fpr" not in given:
            given["fpr"] = None
        if "fpr" in given and "threshold" not in given:
            given["threshold"] = None
        return _convert({**msgspec.to_builtins(self), **given}, PipelineConfig, "the pipeline's settings")


class Serving(Struct, frozen=True, forbid_unknown_fields=True):
    """What `uadx serve` answers in PaddleX's API. visualize: whether with a picture, where the request does not say."""

    visualize: bool = True


class ConfigFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    Global: Global = Global()
    Pipeline: PipelineConfig = PipelineConfig()
    Serving: Serving = Serving()


TEMPLATE = """\
# How `uadx run --pipeline {name}.yaml` and create_pipeline("{name}.yaml") inspect images.
# An explicit option or argument beats this file.
Global:
  pipeline_name: {name}
  input: null         # used when no --input is given

Pipeline:
  model: default      # a bundle written by `uadx train`, a directory or .zip
  device: null        # cpu, gpu:0, openvino:CPU, ...; null: UADX_DEVICE, else the default of devices.yaml
  batch_size: null    # images per inference; null: what suits the device
  workers: null       # threads that decode, score and draw; null: one per core
  threshold: null     # an image score above which an image is NG; null: from the bundle's calibration
  fpr: null           # or the false-alarm rate the threshold is calibrated for, such as 0.01
  fusion: quantile    # or product: the paper's formula, for comparison
  precision: null     # f32, bf16, f16, int8, auto where the device has it; null: f32, on Ascend f16
  tile: null          # longer side of tiles, in pixels of the image; null: as the model was trained
  overlap: null       # share of a tile that the next one shows too; null: 0.25
  fallback: null      # the device to use where `device` cannot be used; never chosen unasked
  strict: false       # true: a fallback, here or on the command line, is an error
  hint: null          # throughput: several requests side by side; latency: one after the other; null: throughput
  enable_hpi: false   # true: run what `uadx tune` measures to be fastest here, within the keys above
  verify: true        # the device repeats one of the model's golden vectors before it is used
  devices_file: null  # a devices.yaml; null: UADX_DEVICES, else the user's, else the shipped one
  max_pixels: 200000000
  url_timeout: 10.0   # seconds for one URL, all in all

Serving:
  visualize: true     # false: no picture in PaddleX's answers of `uadx serve` but where the request asks for it
"""

T = TypeVar("T")


def load_config(path: Path) -> ConfigFile:
    """Read a configuration file. Raises ConfigError that names the file and the field."""
    return config_of(read_yaml(path, "pipeline", f"write one: uadx config {NAME} --save-path DIR"), str(path))


def config_of(content: object, where: str) -> ConfigFile:
    """What a configuration file says, or one of PaddleX 3. where: for errors. Raises ConfigError."""
    if isinstance(content, Mapping) and "SubModules" in content:
        content = _convert(content, PaddleXFile, where).said_by_uadx()
    return _convert({} if content is None else content, ConfigFile, where)


def _convert(content: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(content, kind)
    except (msgspec.ValidationError, ValueError) as error:
        text = str(error)
        raise ConfigError(
            f"{where}: not a valid configuration",
            cause_text=text.removesuffix(" - at `$`"),
            hint=f"see every key with its meaning: uadx config {NAME}",
        ) from error
