"""`uadx run`: inspect images and leave results and pictures in a folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cli.progress import NO_MODEL, shown_progress, shown_warnings
from uadx.errors import EXIT_ANOMALIES, EXIT_INPUTS_FAILED, UsageError
from uadx.output.formats import DEFAULT_FORMATS, FORMATS

if TYPE_CHECKING:
    from uadx.output.run_folder import Counts
    from uadx.pipeline.pipeline import Pipeline
    from uadx.result import Result


MANY = 20
"""Images of a run from which most of them being NG is worth a word."""


class FormatList(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        chosen = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        for name in chosen:
            if name not in FORMATS:
                self.fail(f"{name!r} is none of {', '.join(FORMATS)}", param, ctx)
        return tuple(chosen)


def _not_empty(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value == "":
        raise click.BadParameter("is empty", ctx, param)
    return value


def _folder(ctx: click.Context, param: click.Parameter, value: str) -> Path:
    if not value or Path(value).is_file():
        raise click.BadParameter(f"{value!r} is not a folder" if value else "is empty", ctx, param)
    return Path(value)


@click.command()
@click.option(
    "--input", "-i", "inputs", metavar="WHAT", multiple=True, help="File, directory, glob, URL, list file (.txt) or -."
)
@click.option(
    "--model",
    "-m",
    metavar="MODEL",
    callback=_not_empty,
    help="Model bundle, directory or .zip. Default: the demo product's.",
)
@click.option("--device", "-d", metavar="DEVICE", help="cpu, gpu:0,1, openvino:CPU, ...: see `uadx devices`.")
@click.option("--fallback", metavar="DEVICE", help="The device to use where --device cannot be used.")
@click.option("--strict", is_flag=True, default=None, help="Refuse any fallback, the configuration file's too.")
@click.option("--devices-file", metavar="FILE", help="A devices.yaml of your own.")
@click.option(
    "--output",
    "-o",
    "--save_path",
    metavar="DIR",
    callback=_folder,
    default="output",
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--format",
    "formats",
    type=FormatList(),
    default=",".join(DEFAULT_FORMATS),
    show_default=True,
    help=f"Comma-separated, any of {','.join(FORMATS)}.",
)
@click.option("--threshold", type=float, help="An image is NG above this score, whatever the calibration says.")
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of good images that may be called NG, such as 0.01.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Images per inference. Default: what suits the device.")
@click.option("--workers", type=click.IntRange(1), help="Threads that decode, score and draw. Default: one per core.")
@click.option(
    "--precision", type=click.Choice(["f32", "bf16", "f16", "int8", "auto"]), help="Default: f32; f16 on Ascend."
)
@click.option(
    "--verify/--no-verify", default=None, help="Let the device repeat a golden vector first. Default: --verify."
)
@click.option("--fusion", type=click.Choice(["quantile", "product"]), help="product: the paper's formula, to compare.")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger images undecoded. Default: 200000000.")
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Enter sub-directories.")
@click.option("--pipeline", metavar="NAME|FILE", help="A configuration file; explicit options beat it.")
@click.option("--resume", is_flag=True, help="Go on with a run that was killed.")
@click.option("--fail-on-anomaly", is_flag=True, help="Exit with 10 where an image is NG.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--get_pipeline_config", "get_config", metavar="NAME", hidden=True)
@click.option("--config_save_path", type=click.Path(file_okay=False, path_type=Path), hidden=True)
def command(
    inputs: tuple[str, ...],
    output: Path,
    formats: tuple[str, ...],
    recursive: bool,
    pipeline: str | None,
    resume: bool,
    fail_on_anomaly: bool,
    quiet: bool,
    get_config: str | None,
    config_save_path: Path | None,
    **settings: Any,
) -> int:
    """Inspect images with a model bundle: a score, an OK/NG verdict and a heat map for each.

    \b
    uadx run --model my_model --input photos/
    uadx run --model my_model --input 'line1/**/*.png' --format jsonl,csv,mask --fpr 0.005

    Exit codes: 0 done; 8 done, but some inputs could not be read; 10 anomalies found and --fail-on-anomaly;
    2 usage; 3 plugin; 4 device; 5 model; 6 placement; 7 inference.
    """
    if get_config is not None:  # PaddleX's spelling of `uadx config`
        from uadx.cli.config import write_template

        write_template(get_config, config_save_path or Path())
        return 0
    if len(inputs) > 1:
        raise UsageError(
            f"--input is given {len(inputs)} times", hint="name a folder or a glob, or write the names into a list.txt"
        )
    counts = _inspect(inputs[0] if inputs else None, pipeline, output, formats, recursive, resume, quiet, settings)
    if counts.errors:
        click.echo(f"{counts.errors} of {_counted(counts.images, 'input')} could not be read", err=True)
    if fail_on_anomaly and counts.anomalies:
        return EXIT_ANOMALIES
    return EXIT_INPUTS_FAILED if counts.errors else 0


def _inspect(
    input_: str | None,
    pipeline: str | None,
    output: Path,
    formats: tuple[str, ...],
    recursive: bool,
    resume: bool,
    quiet: bool,
    settings: dict[str, Any],
) -> Counts:
    from uadx.images.sources import expand
    from uadx.output.runner import run
    from uadx.pipeline.config import NAME
    from uadx.pipeline.pipeline import Pipeline, find_config
    from uadx.scoring.familiarity import Tally

    file = find_config(pipeline or NAME)
    what = input_ or file.Global.input
    if what is None:
        raise UsageError("no --input is given", hint="name a file, a directory, a glob, a URL, a list file or -")
    config = file.Pipeline.override(**settings)
    sources = expand(what, recursive=recursive)
    with shown_warnings(), Pipeline(config) as opened, shown_progress("inspecting", quiet) as advance:
        device = opened.inspector.opened
        if device.simulated:
            click.echo(f"SIMULATED: {device.used} is no hardware", err=True)
        if not quiet:
            _say(opened)
        done = itertools.count(1)
        tally = Tally()

        def show(result: Result) -> None:
            advance(next(done))
            tally.add(result["unfamiliar"])
            if result.error is not None:
                click.echo(f"error: {result['error']['message']}", err=True)

        try:
            summary = run(
                opened, sources, output, formats, what=what, recursive=recursive, resume=resume, on_result=show
            )
        except KeyboardInterrupt:
            click.echo(f"what was done is in {output}: the same command with --resume goes on", err=True)
            raise
        if warning := tally.warning or _mostly_ng(summary.counts):
            click.echo(f"warning: {warning}", err=True)
    counts = summary.counts
    if not quiet:
        earlier = f" ({summary.resumed} from the earlier run)" if summary.resumed else ""
        rate = "" if device.simulated else f"{summary.rate:.1f} img/s "
        click.echo(
            f"{_counted(counts.images, 'image')}{earlier}, {counts.anomalies} NG, {_counted(counts.errors, 'error')}, "
            f"{rate}on {device.label}, results in {output}"
        )
        if summary.skipped:
            click.echo(f"{_counted(summary.skipped, 'file')} left out: no image by its name; a glob takes any name")
    return counts


def _mostly_ng(counts: Counts) -> str | None:
    """What to say of a run in which most images are NG, as no line's are."""
    inspected = counts.images - counts.errors
    if inspected < MANY or 2 * counts.anomalies <= inspected:
        return None
    return (
        f"{counts.anomalies} of {inspected} images are NG: where most of these parts are good, the model does not know "
        "them: another product, batch, light or place?"
    )


def _say(opened: Pipeline) -> None:
    """What a user should know before the results come: which model, which device, and which were passed over."""
    device = opened.inspector.opened
    if opened.config.model is None:
        click.echo(NO_MODEL, err=True)
    for skipped in device.skipped:
        click.echo(f"skipped for {device.requested}: {skipped}", err=True)
    if device.requested == "auto":
        click.echo(f"auto: {device.label}", err=True)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
