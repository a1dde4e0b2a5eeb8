"""`uadx tune`: what is fastest on this machine, measured, shown and remembered for `uadx run --hpi`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cli import options
from uadx.cli.progress import shown_stages, shown_warnings
from uadx.cli.tune_table import as_json, print_table, trial_line
from uadx.limits import LARGEST_BATCH

if TYPE_CHECKING:
    from uadx.pipeline.config import PipelineConfig
    from uadx.tune.trial import Trial


@click.command()
@click.option("--model", "-m", metavar="MODEL", default="default", help="Bundle, directory or .zip.")
@click.option(
    "--device", "-d", metavar="DEVICE", help="A kind: all its backends; backend:name: that one. Default: cpu."
)
@click.option("--precision", type=options.PRECISIONS, help="The only one to try. Default: all that the device has.")
@click.option("--batch-size", type=click.IntRange(1, LARGEST_BATCH), help="The only one to try. Default: three sizes.")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder that the model was trained on: verdicts are compared on its held-out and test images.",
)
@click.option("--seconds", type=options.Positive(), default=1.0, show_default=True, help="Of a measurement.")
@options.devices_file
@click.option("--json", "json_", is_flag=True, help="Print all figures as JSON.")
def command(
    model: str,
    device: str | None,
    data: Path | None,
    seconds: float,
    json_: bool,
    **settings: Any,
) -> None:
    """Measure every usable backend, precision and batch size, and remember the fastest for `uadx run --hpi`.

    \b
    uadx tune --model my_model --data photos_of_good_parts/
    uadx run --model my_model --hpi --input photos/

    What does not repeat the model's golden vectors, or changes more than 1 % of the verdicts, is dropped. --hpi
    measures by itself where nothing is remembered. In a pipe each is a line on stderr as it is done. Exit code 4 where
    everything is dropped.
    """
    from uadx.bundle.reader import open_bundle
    from uadx.pipeline.config import PipelineConfig
    from uadx.tune.choice import unit_of
    from uadx.tune.fastest import tune_and_remember

    bundle = open_bundle(model)
    config = PipelineConfig().override(device=device, model=model, **settings)
    unit = unit_of(bundle)

    def tried(trial: Trial) -> None:
        if not sys.stderr.isatty():  # where it is, the stages show that something is done
            click.echo(trial_line(trial, unit), err=True)

    with shown_warnings(), shown_stages() as stage:
        tuned, file = tune_and_remember(bundle, config, seconds, data, stage, tried)
    if json_:
        click.echo(json.dumps(as_json(tuned, file), indent=4))
        return
    print_table(tuned, bundle, seconds)
    click.echo(f"{_command(config, device)}: {tuned.choice}: {tuned.choice.rate:.1f} {tuned.choice.unit}")


def _command(config: PipelineConfig, device: str | None) -> str:
    """The command that runs the choice: the same restrictions, since a choice is remembered for them."""
    given = {
        "--model": config.model,
        "--device": device,
        "--precision": config.precision,
        "--batch-size": config.batch_size,
        "--devices-file": config.devices_file,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return shlex.join(["uadx", "run", "--hpi", *words])
