"""`uadx verify`: does this device repeat the model's golden vectors?"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cli import options
from uadx.cli.progress import shown_warnings

if TYPE_CHECKING:
    from uadx.api import Precision
    from uadx.parity import Parity


@click.command()
@click.option("--model", "-m", metavar="MODEL", default="default", help="Bundle, directory or .zip.")
@click.option("--device", "-d", metavar="DEVICE", help="See `uadx devices`.")
@options.precision
@click.option("--devices-file", metavar="FILE", type=click.Path(path_type=Path), help="A devices.yaml of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    model: str, device: str | None, precision: Precision | None, devices_file: Path | None, as_json: bool
) -> None:
    """Run a bundle's golden vectors on a device and compare the level maps, scores and verdicts with the reference.

    What a device may differ by depends on the precision that really ran. Exit code 6 where it differs by more.
    """
    from contextlib import closing
    from functools import partial

    from uadx.bundle.reader import open_bundle
    from uadx.contract import plugin_code
    from uadx.devices.compiling import Request
    from uadx.devices.opened import open_model
    from uadx.errors import InferenceError
    from uadx.images.naming import printable
    from uadx.parity import compare, require
    from uadx.pipeline.batches import check_fits, run_checked

    bundle = open_bundle(model)
    with shown_warnings():
        opened = open_model(Request(bundle.artifacts, precision), device, devices_file=devices_file)
    found = []
    with closing(opened):
        check_fits(opened.compiled, bundle)
        for share in opened.shares:
            failed = f"{share.used} failed while it ran the model"
            with plugin_code(InferenceError, failed, opened.backend, "running the model"):
                form = bundle.running(share.precision)
                parity = compare(form, partial(run_checked, share.compiled), share.precision)
            found.append((share.used, parity))
    if as_json:
        rows = [
            {"device": used, "simulated": opened.simulated, "passed": parity.passed, **asdict(parity)}
            for used, parity in found
        ]
        click.echo(json.dumps(_finite(rows), indent=4))
    else:
        checked = f"the manifest's seal and {len(bundle.manifest.files)} files' sha256 are right"
        click.echo(f"{printable(bundle.manifest.name)} {bundle.sha256[:12]}: {checked}")
        for used, parity in found:
            _print(used, parity, opened.simulated)
    for used, parity in found:
        require(parity, used, opened.backend)


def _finite(value: Any) -> Any:
    """JSON has no infinity: a difference that is no number is null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(used: str, parity: Parity, simulated: bool) -> None:
    from uadx.parity import beside

    allowed = parity.tolerance
    click.echo(f"{used} ({parity.precision}{', SIMULATED' * simulated}), {parity.images} golden images")
    click.echo(f"  {'':8}{'largest':>12}{'mean':>12}")
    for name, level in parity.levels.items():
        largest, mean = beside(level.maximum, allowed.maximum), beside(level.mean, allowed.mean)
        click.echo(f"  {name:8} {largest:>11} {mean:>11}")
    click.echo(f"  {'allowed':8} {allowed.maximum:>11g} {allowed.mean:>11g}")
    click.echo(f"  score differs by {parity.score:.2g} at most, {parity.flips} of {parity.images} verdicts changed")
    click.echo(f"  {'passed' if parity.passed else 'FAILED'}")
