"""`uadx config`: write a pipeline configuration file with every key and its meaning."""

from __future__ import annotations

from pathlib import Path

import click

from uadx.errors import UsageError


@click.command()
@click.argument("name", metavar="NAME", default="anomaly_detection")
@click.option(
    "--save-path",
    "--config_save_path",
    "save_path",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Directory for the file. Default: the current one.",
)
def command(name: str, save_path: Path) -> None:
    """Write anomaly_detection.yaml, to change and to use: uadx run --pipeline anomaly_detection.yaml

    A file that is already there is left alone.
    """
    write_template(name, save_path)


def write_template(name: str, directory: Path) -> None:
    """Write the template of the pipeline `name` into directory. Raises UsageError where one is there already."""
    from uadx.files import write_whole
    from uadx.pipeline.config import NAME, TEMPLATE

    if name != NAME:
        raise UsageError(f"there is no pipeline {name!r}", hint=f"uadx config {NAME}")
    path = directory / f"{NAME}.yaml"
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name another directory: --save-path DIR")
    write_whole(path, TEMPLATE.format(name=NAME).encode())
    click.echo(f"wrote {path}")
