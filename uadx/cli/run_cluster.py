"""`uadx run --engine ray`: the same inspection by the machines of a Ray cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from uadx.cli.progress import NO_MODEL, shown_progress, shown_warnings
from uadx.errors import InferenceError, UsageError
from uadx.images.naming import is_address
from uadx.plural import counted

if TYPE_CHECKING:
    from uadx.cli.run import Asked
    from uadx.cluster.ray_crew import RayCrew
    from uadx.cluster.run import Summary
    from uadx.cluster.worker import Job
    from uadx.output.record import Counts
    from uadx.pipeline.config import PipelineConfig


@dataclass(frozen=True)
class Cluster:
    """The options that only a cluster has. engine: "local" or "ray"; None leaves an option as it is."""

    engine: str
    address: str | None
    shard_size: int | None

    def check(self, output: str) -> None:
        """Raises UsageError for what one machine has no use for."""
        if self.engine != "local":
            return
        for option, value in (("--address", self.address), ("--shard-size", self.shard_size)):
            if value is not None:
                raise UsageError(f"{option} is for a cluster", hint="with it: --engine ray")
        if is_address(output):
            raise UsageError(
                f"a run on this machine writes to a folder, and {output} is an address",
                hint="write there with --engine ray, or name a folder: --output DIR",
            )


def inspect_on_cluster(asked: Asked, what: str, config: PipelineConfig) -> Counts:
    """Run it there. Raises what uadx.cluster.run does, and InferenceError for shards that failed."""
    from uadx.cluster.run import FORMATS, Task, run
    from uadx.cluster.shards import SIZE
    from uadx.images.sources import expand
    from uadx.output.parquet import check_parquet

    if others := [name for name in asked.formats if name not in FORMATS]:
        raise UsageError(
            f"the format {others[0]!r} is one file of one machine's run", hint=f"on a cluster: {', '.join(FORMATS)}"
        )
    if "parquet" in asked.formats:
        check_parquet()
    if config.model is None and not asked.quiet:
        click.echo(NO_MODEL, err=True)
    task = Task(config, what, asked.recursive, asked.output, asked.formats,
                asked.cluster.shard_size or SIZE, asked.resume)  # fmt: skip
    sources = expand(what, recursive=asked.recursive)
    with shown_warnings(), shown_progress("inspecting", asked.quiet) as advance:

        def hire(job: Job) -> AbstractContextManager[RayCrew]:
            from uadx.cluster.ray_crew import RayCrew

            return RayCrew(job, asked.cluster.address, _per_card(config), lambda line: click.echo(line, err=True))

        try:
            summary = run(task, sources, hire, lambda so_far: advance(so_far.counts.images))
        except KeyboardInterrupt:
            click.echo(f"what was done is in {asked.output}: the same command with --resume goes on", err=True)
            raise
    _report(summary, asked)
    if summary.failed:
        first = summary.failed[0]
        raise InferenceError(
            f"{counted(len(summary.failed), 'shard')} could not be inspected, the first from "
            f"{first.shard.sources[0].label} to {first.shard.sources[-1].label}",
            cause_text=first.why.in_one_line,
            hint="the others are done; what is left is tried again by the same command with --resume",
        )
    return summary.counts


def _per_card(config: PipelineConfig) -> str | None:
    """Ray's name for the cards of which each is to have a worker of its own; None: a worker for each machine."""
    from pathlib import Path

    from uadx.devices.grammar import KindDevice
    from uadx.devices.resolve import Resolver

    request = Resolver(config.device, Path(config.devices_file) if config.devices_file else None).request
    alone = isinstance(request, KindDevice) and not request.indices
    return {"gpu": "GPU", "npu": "NPU"}.get(request.kind) if alone and isinstance(request, KindDevice) else None


def _report(summary: Summary, asked: Asked) -> None:
    from uadx.cli.run_report import mostly_ng

    if summary.simulated:
        click.echo("SIMULATED: no hardware", err=True)
    for reason in sorted(summary.fallbacks):
        click.echo(f"warning: {reason}", err=True)
    if summary.first_error is not None:
        click.echo(f"error: {summary.first_error}", err=True)
        if summary.counts.errors > 1:
            click.echo(f"and {counted(summary.counts.errors - 1, 'error')} more, in their rows", err=True)
    if warning := summary.tally.warning or mostly_ng(summary.counts):
        click.echo(f"warning: {warning}", err=True)
    if asked.quiet:
        return
    counts = summary.counts
    earlier = f" ({summary.resumed} from the earlier run)" if summary.resumed else ""
    rate = (counts.images - summary.resumed) / summary.seconds if summary.seconds else 0
    speed = f"{rate:.1f} img/s " if rate and not summary.simulated else ""
    devices = ", ".join(sorted(summary.devices)) or "nothing"
    click.echo(
        f"{counted(counts.images, 'image')}{earlier}, {counts.anomalies} NG, {counted(counts.errors, 'error')}, {speed}"
        f"on {devices} of {counted(len(summary.hosts), 'worker')}, results in {asked.output}"
    )
    if summary.skipped:
        click.echo(f"{counted(summary.skipped, 'file')} left out: no image by its name; a glob takes any name")
