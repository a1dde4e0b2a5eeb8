"""Options that several commands share, each with one meaning."""

from __future__ import annotations

import click

PRECISIONS = click.Choice(["f32", "bf16", "f16", "int8", "auto"])

precision = click.option("--precision", type=PRECISIONS, help="Default: f32; f16 on Ascend.")

tile = click.option(
    "--tile",
    type=click.IntRange(32, 16384),
    metavar="PIXELS",
    help="Cut images into tiles of this many of their pixels, for defects that are small in a large image.",
)
overlap = click.option(
    "--overlap",
    type=click.FloatRange(0, 0.75),
    metavar="SHARE",
    help="Share of a tile that its neighbour shows too. Default: 0.25.",
)
