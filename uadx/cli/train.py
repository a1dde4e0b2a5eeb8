"""`uadx train`: a folder of good images in, a calibrated model bundle out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from uadx.cli import options
from uadx.cli.packages import require_torch
from uadx.errors import EXIT_INPUTS_FAILED, UsageError


class Regex(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    name = "REGEX"

    def convert(
        self, value: str | re.Pattern[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder of good images, or MVTec layout (DIR/train/good); with --each a folder of such.",
)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Bundle directory, or a .zip.")
@click.option("--epochs", type=click.IntRange(1), help="Default: enough to show 25,600 images, at most 50.")
@click.option(
    "--image-size",
    metavar="N|HxW",
    help="Size at which the model looks. Default: as many pixels as 256 x 256, in your images' proportions.",
)
@options.tile
@options.overlap
@click.option(
    "--same-part",
    metavar="REGEX",
    type=Regex(),
    help="What it captures in a picture's path names the part that is shown, if parts have several pictures.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Split, start and order.")
@click.option(
    "--teacher",
    default="default",
    show_default=True,
    help="default, torchvision (ImageNet, 47 MB, fetched once) or a file of ResNet-18 weights.",
)
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Teach this model on, with its teacher and size: a new batch or light, on a fifth as many images shown.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or gpu:N; with --each also several: gpu:0,1.")
@click.option("--each", is_flag=True, help="One bundle for each folder of --data, OUTPUT/NAME; what is there is kept.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(
    data: Path,
    output: Path,
    epochs: int | None,
    image_size: str | None,
    tile: int | None,
    overlap: float | None,
    same_part: re.Pattern[str] | None,
    seed: int,
    teacher: str,
    start: str | None,
    device: str,
    each: bool,
    quiet: bool,
) -> int:
    """Train a model bundle on good images only and calibrate its threshold on a held-out fifth of them.

    A training that was killed goes on where it stopped when the same command is given again.

    Exit codes: 0 done; 1 the bundle could not be written; 2 usage; 4 package, device or teacher not there; 5 teacher's
    file; 8 with --each, some could not be trained.
    """
    from uadx.images.framing import chosen_tiling
    from uadx.train.dataset import good_folder

    if start is not None:
        _refuse_beside_from({"--teacher": teacher != "default", "--image-size": image_size, "--tile": tile,
                             "--overlap": overlap})  # fmt: skip
    size = None if image_size is None else options.image_size(image_size)
    tiling = chosen_tiling(tile, overlap)
    if each:
        given = {
            "--epochs": epochs, "--image-size": image_size, "--tile": tile, "--overlap": overlap,
            "--same-part": same_part and same_part.pattern, "--seed": seed, "--teacher": teacher, "--from": start,
        }  # fmt: skip
        return _each(data, output, device, given, quiet)
    good_folder(data)  # a mistake in an argument is worth knowing before gigabytes are installed
    require_torch("training")
    from uadx.bundle.reader import open_bundle
    from uadx.cli.progress import shown_warnings
    from uadx.cli.training_progress import TerminalProgress
    from uadx.cli.training_report import certified
    from uadx.train.build import TrainOptions, report_path, train
    from uadx.train.split import HELD_OUT

    parent = None if start is None else open_bundle(start)
    if parent is not None and start is not None and output.resolve() in (parent.path.resolve(), Path(start).resolve()):
        raise UsageError("--output is the model itself, which is kept as it is", hint="name another bundle to write")
    asked = TrainOptions(data, output, epochs, size, seed, teacher, device, tiling, parent, same_part)
    try:
        with shown_warnings(), TerminalProgress(quiet) as progress:
            manifest = train(asked, progress)
    except KeyboardInterrupt:
        click.echo("the same command goes on after the last epoch that was saved", err=True)
        raise
    if not quiet:
        training = manifest.training
        what = f"trained on {training.images} good images, calibrated on {len(training.held_out)} held out"
        for line in certified(manifest, what, output, HELD_OUT):
            click.echo(line)
        click.echo(f"look at it: {report_path(output).resolve().as_uri()}")
    return 0


def _each(data: Path, output: Path, device: str, given: Mapping[str, object], quiet: bool) -> int:
    from uadx.train.each import find_products

    products = find_products(data, output)
    require_torch("training")
    from uadx.cli.products_table import products_table
    from uadx.cli.progress import shown_progress
    from uadx.train.build import torch_device
    from uadx.train.each import train_each

    devices = _devices(device)
    for one in devices:
        torch_device(one)
    options = [str(part) for option, value in given.items() if value is not None for part in (option, value)]
    outcomes = []
    try:
        with shown_progress("training", quiet) as advance:
            advance(0, len(products))
            for outcome in train_each(products, options, devices):
                outcomes.append(outcome)
                advance(len(outcomes), len(products), outcome.product.name)
                for warning in outcome.warnings:
                    click.echo(f"warning: {outcome.product.name}: {warning}", err=True)
                if outcome.error is not None:
                    click.echo(f"error: {outcome.product.name}: {outcome.error}", err=True)
    except KeyboardInterrupt:
        click.echo("the same command keeps what is done and goes on with the rest", err=True)
        raise
    if not quiet:
        for line in products_table(outcomes):
            click.echo(line)
    return EXIT_INPUTS_FAILED if any(outcome.manifest is None for outcome in outcomes) else 0


def _devices(text: str) -> list[str]:
    """`gpu:0,1` is two, as everywhere."""
    kind, _, indices = text.partition(":")
    return [f"{kind}:{index}" for index in indices.split(",")] if indices else [text]


def _refuse_beside_from(given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} cannot be given beside --from", hint="the model keeps its teacher, size and tiles"
            )
