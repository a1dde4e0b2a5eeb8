"""Options that several commands share, each with one meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uadx.errors import UsageError

if TYPE_CHECKING:
    from uadx.images.framing import Tiling

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


def tiling(tile: int | None, overlap: float | None) -> Tiling | None:
    """What --tile and --overlap mean together. Raises UsageError for --overlap alone."""
    from uadx.images.framing import Tiling

    if tile is None:
        if overlap is not None:
            raise UsageError("--overlap says how far tiles overlap, and there are none", hint="give --tile PIXELS too")
        return None
    return Tiling(tile) if overlap is None else Tiling(tile, overlap)
