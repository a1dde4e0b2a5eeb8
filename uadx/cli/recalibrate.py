"""`uadx recalibrate`: the same model with a threshold for other pictures: a new batch, new light, or tiles."""

from __future__ import annotations

from pathlib import Path

import click

from uadx.cli import options
from uadx.errors import UsageError


@click.command()
@click.option("--model", "-m", metavar="MODEL", required=True, help="Model bundle, directory or .zip.")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A folder of good images that did not teach it."
)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Bundle directory, or a .zip.")
@options.tile
@options.overlap
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def command(model: str, data: Path, output: Path, tile: int | None, overlap: float | None, quiet: bool) -> None:
    """Derive a model's threshold anew from good images; the networks stay as they are.

    \b
    uadx recalibrate --model my_model --data good_of_the_new_batch/ --output my_model_2
    uadx recalibrate --model my_model --data good_and_large/ --tile 256 --output my_tiled_model
    """
    from uadx.bundle.reader import open_bundle
    from uadx.cli.progress import shown_progress, shown_warnings
    from uadx.cli.training_report import certified
    from uadx.images.framing import chosen_tiling
    from uadx.train.recalibrate import recalibrate

    bundle = open_bundle(model)
    tiling = chosen_tiling(tile, overlap, bundle.manifest.input.tiling)
    if output.resolve() in (bundle.path.resolve(), Path(model).resolve()):
        raise UsageError("--output is the model itself, which is kept as it is", hint="name another bundle to write")
    with shown_warnings(), shown_progress("calibrating", quiet) as advance:
        made = recalibrate(bundle, data, output, tiling, advance)
    if quiet:
        return
    if made.left_out:
        click.echo(f"{made.left_out} images of {data} taught the model, or may have, and were left out", err=True)
    for precision in made.dropped:
        click.echo(f"{output} has no {precision} form; make it: uadx export --precision {precision}", err=True)
    what = f"calibrated on {len(made.manifest.training.held_out)} good images"
    for line in certified(made.manifest, what, output, held_out=1.0):
        click.echo(line)
