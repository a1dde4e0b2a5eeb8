"""Options that several commands share, each with one meaning."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from uadx.errors import UsageError
from uadx.limits import LARGEST_BATCH


class Within(click.FloatRange):
    """A number in a range that is neither nan, which is in every range for click, nor inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Positive(Within):
    """A number above 0."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)


PRECISIONS = click.Choice(["f32", "bf16", "f16", "int8", "auto"])

device = click.option("--device", "-d", metavar="DEVICE", help="cpu, gpu:0,1, openvino:CPU, ...: see `uadx devices`.")
fallback = click.option("--fallback", metavar="DEVICE", help="The device to use where --device cannot be used.")
devices_file = click.option("--devices-file", metavar="FILE", help="A devices.yaml of your own.")
pipeline = click.option("--pipeline", metavar="NAME|FILE", help="A configuration file; explicit options beat it.")

batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, LARGEST_BATCH),
    help="Images per inference. Default: what suits the device.",
)
workers = click.option(
    "--workers", type=click.IntRange(1), help="Threads that decode, score and draw. Default: one per core."
)
precision = click.option("--precision", type=PRECISIONS, help="Default: f32; f16 on Ascend.")

tile = click.option(
    "--tile",
    type=click.IntRange(32, 16384),
    metavar="PIXELS",
    help="Cut images into tiles of this many of their pixels, for defects that are small in a large image.",
)
overlap = click.option(
    "--overlap",
    type=Within(0, 0.75),
    metavar="SHARE",
    help="Share of a tile that its neighbour shows too. Default: 0.25.",
)

threshold = click.option(
    "--threshold", type=float, help="An image is NG above this score, whatever the calibration says."
)
fpr = click.option(
    "--fpr",
    type=Within(0, 1, min_open=True, max_open=True),
    help="Share of good images that may be called NG, such as 0.01.",
)


def image_size(text: str) -> tuple[int, int]:
    """Height and width of --image-size N|HxW. Raises UsageError for what no network can take."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(32 <= side <= 4096 and side % 16 == 0 for side in (height, width)):
        raise UsageError(
            f"--image-size {text!r} is no size that the network can take",
            hint="multiples of 16 from 32 to 4096: 256, or height x width such as 256x512",
        )
    return height, width
