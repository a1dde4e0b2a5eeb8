"""`uadx devices`: what can be typed after --device on this machine, and why not the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uadx.devices.listing import Listing, Row

_HEADINGS = ("--device", "or", "name", "vendor", "memory", "precisions", "status")
_LONGEST = 300
_COLOURS = {"ok": "green", "unverified": "yellow", "SIMULATED": "magenta", "not installed": None, "not probed": None}


@click.command()
@click.argument("only", metavar="[KIND|BACKEND]", required=False)
@click.option("--probe/--no-probe", default=True, help="--no-probe: look at what is installed, load no SDK.")
@click.option(
    "--timeout", type=click.IntRange(1, 3600), default=30, show_default=True, help="Seconds for all backends together."
)
@click.option("--devices-file", metavar="FILE", type=click.Path(path_type=Path), help="A devices.yaml of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(only: str | None, probe: bool, timeout: int, devices_file: Path | None, as_json: bool) -> None:
    """List the devices of this machine: what to type after --device, and why a backend has none.

    \b
    uadx devices            all backends
    uadx devices gpu        those that serve a kind
    uadx devices openvino   one

    Each backend is loaded in a process of its own, so that one that hangs or crashes is a line and not the end.
    """
    from uadx.devices.listing import list_devices

    listing = list_devices(only, devices_file, probing=probe, seconds=timeout)
    if as_json:
        click.echo(json.dumps(listing.as_json(), indent=4))
        return
    for line in _table(listing.rows, in_full=only is not None):
        click.echo(line)
    for line in _kinds(listing, probe):
        click.echo(line)


def _table(rows: tuple[Row, ...], *, in_full: bool) -> Iterator[str]:
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in (_HEADINGS, *cells)) for column in range(len(_HEADINGS) - 1)]

    def aligned(line: tuple[str, ...]) -> str:
        return "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False))

    yield click.style(f"{aligned(_HEADINGS)}  {_HEADINGS[-1]}", bold=True)
    for row, line in zip(rows, cells, strict=True):
        yield f"{aligned(line)}  {click.style(row.status, fg=_COLOURS.get(row.status, 'red'))}"
        if in_full:
            for finding in row.findings:
                yield f"    {finding['what']}: {finding['text']}"
        reasons = [row.reason] if row.reason else []
        if row.findings and not in_full:
            reasons.insert(0, ", ".join(f"{'' if f['present'] else 'no '}{f['what']}" for f in row.findings))
        if reasons:
            yield f"    {_line(': '.join(reasons))}"
        if row.fix:
            yield f"    fix: {_line(row.fix)}"


def _cells(row: Row) -> tuple[str, ...]:
    memory = "" if row.memory is None else f"{row.memory / 2**30:.1f} GiB"
    kind = (row.kind or "").removesuffix(":0")
    foreign = f" ({row.provider})" if row.provider and not row.provider.startswith("uadx ") else ""
    device = (row.device or row.backend) + foreign
    return (device, kind, _line(row.name), _line(row.vendor), memory, " ".join(row.precisions), row.status)


def _line(text: str) -> str:
    """One line of a terminal, whatever an SDK put into it."""
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _kinds(listing: Listing, probed: bool) -> Iterator[str]:
    if probed and listing.kinds:
        yield ""
        width = max(len(kind) for kind in listing.kinds)
        for kind, resolved in listing.kinds.items():
            reasons = "; ".join(f"{backend}: {reason}" for backend, reason in resolved.skipped.items())
            default = " (the default)" if kind == listing.default and not os.environ.get("UADX_DEVICE") else ""
            runs = f"runs on {resolved.device}{default}" if resolved.device else f"has no device here ({reasons})"
            if resolved.simulator:
                runs += f"; without the card: --device {resolved.simulator}, SIMULATED"
            yield f"--device {kind:<{width}}  {runs}"
    if asked := os.environ.get("UADX_DEVICE"):
        yield f"UADX_DEVICE is {asked!r}: it is the default"
    variables = {name: value for row in listing.rows for name, value in row.visible.items()}
    if variables:
        yield ""
    for name, value in variables.items():
        users = sorted({row.backend for row in listing.rows if name in row.visible})
        yield f"{name} is {'not set' if value is None else repr(value)} (read by {', '.join(users)})"
    for path in listing.sources[1:]:
        yield f"\ndevices file: {path}"
