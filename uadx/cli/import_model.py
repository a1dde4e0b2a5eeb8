"""`uadx import`: a model that anomalib taught becomes a bundle, with a threshold from good images."""

from __future__ import annotations

from pathlib import Path

import click

from uadx.cli import options


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A folder of good images that did not teach it."
)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Bundle directory, or a .zip.")
@click.option(
    "--image-size",
    metavar="N|HxW",
    help="Size at which the model looks, where FILE does not say. Default: 256, as anomalib's.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(file: Path, data: Path, output: Path, image_size: str | None, quiet: bool) -> None:
    """Make a bundle of an STFPM model that anomalib taught: a checkpoint, its weights alone, or its export to ONNX.

    \b
    uadx import results/Stfpm/v0/weights/lightning/model.ckpt --data more_good_parts/ --output my_model
    uadx run --model my_model --input images/

    The bundle repeats anomalib's level maps, which is checked; score and threshold are uadx's, calibrated on --data.
    No code of FILE is run.
    """
    from uadx.cli.packages import require_torch

    size = None if image_size is None else options.image_size(image_size)
    require_torch("importing")
    from uadx.anomalib.convert import import_model
    from uadx.cli.progress import shown_progress, shown_warnings
    from uadx.cli.training_report import certified
    from uadx.plural import counted

    with shown_warnings(), shown_progress("reading", quiet) as advance:
        made = import_model(file, data, output, size, advance)
    if quiet:
        return
    said = made.manifest.input
    told = "" if made.model.size else ", which the file does not say"
    epochs = f", {counted(made.model.epochs, 'epoch')}" if made.model.epochs else ""
    click.echo(f"anomalib {made.model.kind}: resnet18, {said.height} x {said.width}{told}{epochs}")
    click.echo(f"its level maps are anomalib's to {made.difference:.1g} at most, on {made.pictures} pictures")
    what = f"calibrated on {len(made.manifest.training.held_out)} good images"
    for line in certified(made.manifest, what, output, held_out=1.0):
        click.echo(line)
