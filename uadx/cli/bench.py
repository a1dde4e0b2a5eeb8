"""`uadx bench`: how fast a model runs here, the engine alone and from files to results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cli import options
from uadx.cli.progress import shown_stages, shown_warnings
from uadx.cli.run import FormatList
from uadx.cores import BUSY

if TYPE_CHECKING:
    from uadx.bench.measure import Figures


@click.command()
@click.option("--model", "-m", metavar="MODEL", help="Model bundle, directory or .zip. Default: the demo product's.")
@click.option("--device", "-d", "devices", metavar="DEVICE", multiple=True, help="May be given several times.")
@click.option("--all", "every", is_flag=True, help="All usable devices: what `uadx devices` lists without simulators.")
@click.option("--input", "-i", "images", metavar="WHAT", help="Images, as for uadx run. Default: JPEGs of 300 x 300.")
@options.precision
@options.batch_size
@options.workers
@click.option("--format", "formats", type=FormatList(), default="jsonl", show_default=True, help="What is written.")
@click.option("--seconds", type=options.Positive(), default=4.0, show_default=True, help="A measurement.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Measurements, devices in turn.")
@options.devices_file
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def command(
    devices: tuple[str, ...],
    every: bool,
    images: str | None,
    formats: tuple[str, ...],
    seconds: float,
    rounds: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure throughput and latency of the engine alone, and of files in to results out.

    \b
    uadx bench --model my_model --input photos/ --device openvino:CPU --device onnxruntime:CPUExecutionProvider

    Devices take turns, round by round; figures are medians of the rounds.
    """
    from uadx.bench.measure import measure
    from uadx.pipeline.config import PipelineConfig

    named = [*devices, *(_usable(settings["devices_file"]) if every else ())] or [None]
    configs = [PipelineConfig().override(device=device, **settings) for device in dict.fromkeys(named)]
    with shown_warnings(), shown_stages() as stage:
        found = measure(configs, images, formats, seconds, rounds, stage)
    if as_json:
        click.echo(json.dumps([_plain(figures) for figures in found], indent=4))
        return
    _print(found)


def _usable(devices_file: str | None) -> list[str]:
    from uadx.devices.listing import USABLE, list_devices

    rows = list_devices(None, None if devices_file is None else Path(devices_file), probing=True, seconds=30.0).rows
    return [row.device for row in rows if row.device is not None and row.status in USABLE - {"SIMULATED"}]


def _print(found: list[Figures]) -> None:
    titles = ("engine", "p50", "p95", "p99", "files", "share", "around", "start", "memory")
    units = ("img/s", "ms", "ms", "ms", "img/s", "", "core-ms", "s", "MiB")
    width = max(len(figures.label) for figures in found) + 2
    for names in (titles, units):
        click.echo(" " * width + "".join(f"{name:>9}" for name in names))
    for figures in found:
        cells = [f"{figures.engine_rate:.1f}"]
        cells += ["-" if part is None else f"{part:.1f}" for part in map(figures.percentile, (50, 95, 99))]
        cells += [f"{figures.whole_rate:.1f}", f"{figures.share:.3f}", f"{figures.around:.2f}"]
        cells.append(f"{figures.started.first_result:.2f}")
        cells.append("" if figures.started.memory is None else f"{figures.started.memory / 2**20:.0f}")
        click.echo(f"{figures.label:<{width}}" + "".join(f"{cell:>9}" for cell in cells))
    for figures in found:
        spent = ", ".join(f"{name} {value:.2f}" for name, value in figures.stages.items())
        click.echo(f"{figures.label}: core-milliseconds an image: {spent}")
    if found[0].busy:
        click.echo(BUSY)


def _plain(figures: Figures) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(figures),
        "engine_images_per_second": figures.engine_rate,
        "latency_ms": {f"p{percent}": figures.percentile(percent) for percent in (50, 95, 99)},
        "images_per_second": figures.whole_rate,
        "share_of_engine": figures.share,
        "core_ms_around": figures.around,
    }
