"""`uadx train`: a folder of good images in, a calibrated model bundle out."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadx.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from uadx.bundle.manifest import Manifest


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder of good images, or MVTec layout (DIR/train/good).",
)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Bundle directory, or a .zip.")
@click.option("--epochs", type=click.IntRange(1), help="Default: as many as show the student 6,400 images, at most 50.")
@click.option(
    "--image-size",
    metavar="N|HxW",
    help="Size at which the model looks. Default: as many pixels as 256 x 256, in your images' proportions.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Split, start and order.")
@click.option(
    "--teacher",
    default="default",
    show_default=True,
    help="default, torchvision (ImageNet, 47 MB, fetched once) or a file of ResNet-18 weights.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or gpu:N.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(
    data: Path,
    output: Path,
    epochs: int | None,
    image_size: str | None,
    seed: int,
    teacher: str,
    device: str,
    quiet: bool,
) -> None:
    """Train a model bundle on good images only and calibrate its threshold on a held-out fifth of them.

    A training that was killed goes on where it stopped when the same command is given again.

    Exit codes: 0 done; 1 the bundle could not be written; 2 usage; 4 package, device or teacher not there; 5 teacher's
    file.
    """
    from uadx.train.dataset import good_folder

    size = None if image_size is None else _size(image_size)
    good_folder(data)  # a mistake in an argument is worth knowing before gigabytes are installed
    _check_packages()
    from uadx.cli.progress import shown_warnings
    from uadx.cli.training_progress import TerminalProgress
    from uadx.train.build import TrainOptions, train

    options = TrainOptions(data, output, epochs, size, seed, teacher, device)
    with shown_warnings(), TerminalProgress(quiet) as progress:
        manifest = train(options, progress)
    if not quiet:
        _report(manifest, output)


def _check_packages() -> None:
    for module in ("torch", "onnx", "safetensors"):
        if find_spec(module) is None:
            raise UnavailableError(
                f"training needs the package {module}, which is not installed",
                hint="python -m pip install 'uadx[torch]'",
            )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(32 <= side <= 4096 and side % 16 == 0 for side in (height, width)):
        raise UsageError(
            f"--image-size {text!r} is no size that the network can take",
            hint="multiples of 16 from 32 to 4096: 256, or height x width such as 256x512",
        )
    return height, width


def _report(manifest: Manifest, output: Path) -> None:
    from uadx.scoring.calibration import DEFAULT_FPR, Calibration

    calibration = Calibration(manifest.calibration["quantile"])
    training, rate = manifest.training, manifest.default_fpr
    click.echo(
        f"trained on {training.images} good images, calibrated on {len(training.held_out)} held out: "
        f"threshold {calibration.threshold(rate):.4g} for a false-alarm rate of {rate:.2g}"
    )
    if rate > DEFAULT_FPR:
        click.echo(
            f"{len(training.held_out)} held-out images certify no lower rate; "
            f"{DEFAULT_FPR:g} takes {_images_for(DEFAULT_FPR)} good images"
        )
    else:
        click.echo(f"rates of {calibration.lowest_fpr:.2g} and more are certified (uadx run --fpr)")
    click.echo(f"next: uadx run --model {output} --input DIR")


def _images_for(rate: float) -> int:
    """Good images of which the held-out share certifies a false-alarm rate."""
    from uadx.train.dataset import HELD_OUT

    return math.ceil((math.ceil(1 / rate - 1e-9) - 1) / HELD_OUT - 1e-9)
