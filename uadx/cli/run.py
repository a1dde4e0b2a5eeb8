"""`uadx run`: inspect images and leave results and pictures in a folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from uadx.cli import options
from uadx.cli.progress import shown_progress, shown_warnings
from uadx.cli.run_cluster import Cluster, inspect_on_cluster
from uadx.cli.run_streams import Choice, inspect_live
from uadx.errors import EXIT_ANOMALIES, EXIT_INPUTS_FAILED, UsageError
from uadx.output.formats import DEFAULT_FORMATS, FORMATS

if TYPE_CHECKING:
    from uadx.output.record import Counts
    from uadx.pipeline.config import PipelineConfig


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


def _folder(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value or Path(value).is_file():
        raise click.BadParameter(f"{value!r} is not a folder" if value else "is empty", ctx, param)
    return value


@click.command()
@click.option(
    "--input",
    "-i",
    "inputs",
    metavar="WHAT",
    multiple=True,
    help="File, directory, glob, URL, list file (.txt), video, camera:0, rtsp:// or -.",
)
@click.option(
    "--model",
    "-m",
    metavar="MODEL",
    callback=_not_empty,
    help="Model bundle, directory or .zip. Default: the demo product's.",
)
@options.device
@options.fallback
@click.option("--strict", is_flag=True, default=None, help="Refuse any fallback, the configuration file's too.")
@options.devices_file
@click.option(
    "--output",
    "-o",
    "--save_path",
    metavar="DIR",
    callback=_folder,
    default="output",
    show_default=True,
    help="Folder for the results; with --engine ray also an address: s3://bucket/results.",
)
@click.option(
    "--format",
    "formats",
    type=FormatList(),
    default=",".join(DEFAULT_FORMATS),
    show_default=True,
    help=f"Comma-separated, any of {','.join(FORMATS)}.",
)
@options.threshold
@options.fpr
@click.option(
    "--hpi/--no-hpi",
    "--use_hpip",
    "enable_hpi",
    default=None,
    help="Run what is fastest here within the other options, as uadx tune measures it. Default: --no-hpi.",
)
@options.batch_size
@options.workers
@options.precision
@options.tile
@options.overlap
@click.option(
    "--verify/--no-verify", default=None, help="Let the device repeat a golden vector first. Default: --verify."
)
@click.option("--fusion", type=click.Choice(["quantile", "product"]), help="product: the paper's formula, to compare.")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger images undecoded. Default: 200000000.")
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Enter sub-directories.")
@options.pipeline
@click.option("--resume", is_flag=True, help="Go on with a run that was killed.")
@click.option("--watch", is_flag=True, help="Take files as they come into the folder --input, until stopped by Ctrl-C.")
@click.option("--fps", type=options.Positive(), metavar="N", help="Frames of each second of a video or camera.")
@click.option("--max-frames", type=click.IntRange(1), help="End after so many frames of a video or camera.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="ray: a worker for each machine of a Ray cluster, or for each of its cards.",
)  # fmt: skip
@click.option("--address", metavar="HOST:PORT", help="Of the cluster; auto: the one running here. Default: start one.")
@click.option("--shard-size", type=click.IntRange(1, 100_000), help="Inputs a worker takes at a time. Default: 1000.")
@click.option("--fail-on-anomaly", is_flag=True, help="Exit with 10 where an image is NG.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--get_pipeline_config", "get_config", metavar="NAME", hidden=True)
@click.option("--config_save_path", type=click.Path(file_okay=False, path_type=Path), hidden=True)
def command(
    inputs: tuple[str, ...],
    output: str,
    formats: tuple[str, ...],
    recursive: bool,
    pipeline: str | None,
    resume: bool,
    watch: bool,
    fps: float | None,
    max_frames: int | None,
    engine: str,
    address: str | None,
    shard_size: int | None,
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
    uadx run --model my_model --input dropped_by_the_camera/ --watch
    uadx run --model my_model --input rtsp://camera.local/line1 --format jsonl
    uadx run --model my_model --input s3://bucket/line1 --engine ray --output s3://bucket/results

    Exit codes: 0 done; 8 done, but some inputs could not be read; 10 anomalies found and --fail-on-anomaly;
    2 usage; 3 plugin; 4 device; 5 model; 6 placement; 7 inference.
    """
    if get_config is not None:  # PaddleX's spelling of `uadx config`
        from uadx.cli.config import write_template

        named = click.get_current_context().get_parameter_source("output") is ParameterSource.COMMANDLINE
        write_template(get_config, config_save_path or Path(output if named else "."))
        return 0
    if len(inputs) > 1:
        raise UsageError(
            f"--input is given {len(inputs)} times", hint="name a folder or a glob, or write the names into a list.txt"
        )
    asked = Asked(inputs[0] if inputs else None, pipeline, output, formats, recursive, resume, quiet, settings,
                  Choice(fps, max_frames), Cluster(engine, address, shard_size))  # fmt: skip
    asked.cluster.check(output)
    counts = _watch(asked) if watch else _inspect(asked)
    if counts.errors:
        from uadx.plural import counted

        click.echo(f"{counts.errors} of {counted(counts.images, 'input')} could not be read", err=True)
    if fail_on_anomaly and counts.anomalies:
        return EXIT_ANOMALIES
    return EXIT_INPUTS_FAILED if counts.errors else 0


@dataclass(frozen=True)
class Asked:
    """What the command line says. input_: None where the configuration file names it."""

    input_: str | None
    pipeline: str | None
    output: str
    formats: tuple[str, ...]
    recursive: bool
    resume: bool
    quiet: bool
    settings: dict[str, Any]
    choice: Choice
    cluster: Cluster

    @property
    def folder(self) -> Path:
        """The output of a run on this machine."""
        return Path(self.output)


def _inspect(asked: Asked) -> Counts:
    from uadx.cli.opening import opened_for
    from uadx.cli.run_report import Report
    from uadx.images.camera import find_camera
    from uadx.images.sources import expand
    from uadx.output.runner import run

    what, config = _request(asked)
    camera = find_camera(what)
    if asked.cluster.engine == "ray":
        if camera or asked.choice != Choice(None, None):
            raise UsageError("--engine ray is for images", hint="leave it out for a video, a camera or a stream")
        return inspect_on_cluster(asked, what, config)
    if camera:
        return inspect_live(asked, camera, config)
    asked.choice.check(what)
    sources = expand(what, recursive=asked.recursive, read_video=asked.choice.read_video)
    with shown_warnings(), opened_for(config) as opened, shown_progress("inspecting", asked.quiet) as advance:
        total = None if asked.resume else asked.choice.expected(what)
        report = Report(opened, asked.quiet, lambda done: advance(done, total))
        try:
            summary = run(
                opened,
                sources,
                asked.folder,
                asked.formats,
                what=f"{what}{asked.choice.words}",
                recursive=asked.recursive,
                resume=asked.resume,
                on_result=report.add,
            )
        except KeyboardInterrupt:
            click.echo(f"what was done is in {asked.output}: the same command with --resume goes on", err=True)
            raise
        report.end(summary, asked.folder, rate=True)
    return summary.counts


def _watch(asked: Asked) -> Counts:
    """The same for a folder that fills, until a signal; --resume is what it does anyway."""
    from uadx.cli.opening import opened_for
    from uadx.cli.run_report import Report
    from uadx.cli.stopping import stopped_by_signals
    from uadx.images.camera import find_camera
    from uadx.images.watch import HotFolder
    from uadx.output.hot_folder import HotRunFolder
    from uadx.output.runner import run
    from uadx.pipeline.pipeline import one_by_one

    if asked.cluster.engine != "local":
        raise UsageError("--watch is for this machine", hint="leave --engine out")
    if "jsonl" not in asked.formats:
        raise UsageError("--watch keeps its results in results.jsonl", hint="let --format have jsonl")
    what, config = _request(asked)
    if find_camera(what) or asked.choice != Choice(None, None):
        raise UsageError("--watch is for a folder", hint="leave it out: a camera or a stream is watched anyway")
    config = one_by_one(config)
    with shown_warnings(), ExitStack() as stack:
        folder = HotFolder(what, asked.recursive, stack.enter_context(stopped_by_signals()))
        opened = stack.enter_context(opened_for(config))
        report = Report(opened, asked.quiet, lambda done: None, lines=("OK", "NG"))
        if not asked.quiet:
            click.echo(f"watching {what}; Ctrl-C ends it", err=True)
        summary = run(
            opened, iter(folder), asked.folder, asked.formats, what=f"{what} (watched)", recursive=asked.recursive,
            resume=True, open_folder=HotRunFolder, on_result=report.add,
        )  # fmt: skip
        report.end(summary, asked.folder, rate=False)
    return summary.counts


def _request(asked: Asked) -> tuple[str, PipelineConfig]:
    """What is to be inspected, and how."""
    from uadx.pipeline.config import NAME
    from uadx.pipeline.pipeline import find_config

    file = find_config(asked.pipeline or NAME)
    what = asked.input_ or file.Global.input
    if what is None:
        raise UsageError(
            "no --input is given", hint="name a file, a directory, a glob, a URL, a list file, a video, camera:0 or -"
        )
    return what, file.Pipeline.override(**asked.settings)
