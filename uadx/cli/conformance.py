"""`uadx conformance`: the conformance kit on a device, without a file and without pytest."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from uadx.testing.runner import Result

EXIT_FAILED = 6
_WORDS = {"passed": "[green]PASS[/]", "failed": "[red]FAIL[/]", "skipped": "[yellow]SKIP[/]"}


@click.command()
@click.argument("device")
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to this file.")
@click.option("--devices-file", metavar="FILE", type=click.Path(path_type=Path), help="A devices.yaml of your own.")
def command(device: str, report: Path | None, devices_file: Path | None) -> int:
    """Prove that a backend keeps its promises on DEVICE, such as openvino:CPU or gpu:0.

    Exit codes: 0 all checks passed, those that were skipped have a reason; 6 a check failed; 2, 3, 4 where the device
    cannot be opened.
    """
    from rich.console import Console

    from uadx.files import write_whole
    from uadx.testing.runner import describe, run, suite

    console = Console(highlight=False, emoji=False, soft_wrap=True)
    kit = suite(device, devices_file)
    described = describe(kit)
    _print_head(console, described)
    results: list[Result] = []
    for result in run(kit):
        _print_result(console, result, new_group=not results or results[-1].group != result.group)
        results.append(result)
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in _WORDS}
    seconds = sum(result.seconds for result in results)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    console.print(f"\n{described['device']}: {summary} in {seconds:.1f} s")
    if report is not None:
        whole = {**described, **counts, "seconds": round(seconds, 3), "checks": [asdict(result) for result in results]}
        write_whole(report, (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode())
    return EXIT_FAILED if counts["failed"] else 0


def _print_head(console: Console, described: dict[str, Any]) -> None:
    sdk = ", ".join(f"{name} {version}" for name, version in described["sdk"].items())
    provider = f"{described['distribution']} {described['version']}"
    console.print(f"{described['device']} ({provider}; {sdk or 'no SDK version'})", markup=False)
    if described["simulated"]:
        console.print("SIMULATED: no hardware is tested")
    if (allowed := described["tolerance"]) is not None:
        console.print(
            f"runs on {described['placement']['device']} in {described['precision']}, "
            f"may differ from float64 by {allowed['maximum']:g} and {allowed['mean']:g} in the mean",
            markup=False,
        )


def _print_result(console: Console, result: Result, *, new_group: bool) -> None:
    if new_group:
        console.print(f"\n[bold]{result.group}[/]")
    console.print(f"  {_WORDS[result.outcome]}  ", end="")
    console.print(f"{result.sentence} ({result.name})" if result.outcome == "failed" else result.sentence, markup=False)
    for line in result.message.splitlines():
        console.print(f"          {line}", markup=False)
