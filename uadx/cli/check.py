"""`uadx check`: what is wrong with a folder of images, before anybody trains on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadx.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from uadx.check.findings import Finding
    from uadx.check.survey import Survey

SHOWN = 6
"""Good images to look at where none stands out."""
LISTED = 5
"""Files named in the table for each finding; check.json has all."""


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="MVTec layout (DIR/train/good, DIR/test/<kind>, DIR/ground_truth), or a folder of good images.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("uadx-check"),
    show_default=True,
    help="Folder for index.html and check.json.",
)
@click.option("--quick", is_flag=True, help="Leave out the search for defects among the good images.")
@click.option("--json", "as_json", is_flag=True, help="Print check.json instead of a table.")
@click.option("--quiet", "-q", is_flag=True, help="Print the path of the page only.")
def command(data: Path, output: Path, quick: bool, as_json: bool, quiet: bool) -> int:
    """Look for what spoils a training or a test: unreadable files, copies, the same picture in train and test, odd
    sizes, colours and brightness, masks that fit no image, and defects among the good images.

    \b
    uadx check --data parts/

    Exit code 9 where an error was found; warnings and notes are for you to look at.
    """
    from uadx.check.page import verdict, write_page
    from uadx.check.rules import findings
    from uadx.check.survey import survey
    from uadx.cli.progress import shown_progress, shown_warnings
    from uadx.files import check_writable, write_whole
    from uadx.plural import counted

    check_writable(output)
    with shown_warnings():
        with shown_progress("reading", quiet) as advance:
            found = survey(data, advance)
        results = findings(found)
        if not quick:
            results += _likely(found, quiet)
        write_page(output / "index.html", found, results)
        record = _record(found, results)
        write_whole(output / "check.json", f"{record}\n".encode())
    if as_json:
        click.echo(record)
    elif quiet:
        click.echo((output / "index.html").resolve())
    else:
        _say(results)
        click.echo(f"{counted(len(found.images), 'image')}: {verdict(results)}")
        click.echo(f"look at it: {(output / 'index.html').resolve().as_uri()}")
    return EXIT_FINDINGS if any(finding.weight == "error" for finding in results) else 0


def _likely(found: Survey, quiet: bool) -> list[Finding]:
    """Defects among the good images to train on, where torch is there to look for them."""
    from uadx.check.findings import Finding
    from uadx.cli.progress import shown_progress

    if missing := [package for package in ("torch", "onnx") if find_spec(package) is None]:
        what = f"defects among the good images were not looked for: the package {missing[0]!r} is not installed"
        return [Finding("hidden defects", "note", what, "python -m pip install 'uadx[torch]', or --quick", [])]
    from uadx.check.likely import FAR, unusual
    from uadx.plural import counted

    with shown_progress("comparing good images", quiet) as advance:
        ranked = unusual(found.of("train"), advance)
    likely = [[image.place] for image, away in ranked if away > FAR]
    advice = "look at them: a defect among the good images is learnt as good; what is merely rare may stay"
    if likely:
        what = f"{counted(len(likely), 'good image')} unlike all others, the most unusual first"
        return [Finding("hidden defects", "warning", what, advice, likely)]
    first = [[image.place] for image, _ in ranked[:SHOWN]]
    what = "no good image stands out; the most unusual ones"
    return [Finding("hidden defects", "note", what, advice, first)] if first else []


def _record(found: Survey, results: Sequence[Finding]) -> str:
    return json.dumps(
        {
            "data": str(found.data),
            "images": len(found.images),
            "unread": [{"path": str(place), "reason": reason} for place, reason in found.unread],
            "findings": [
                {
                    "rule": finding.rule,
                    "weight": finding.weight,
                    "message": finding.message,
                    "advice": finding.advice,
                    "groups": [[str(place) for place in group] for group in finding.groups],
                }
                for finding in results
            ],
        },
        indent=2,
    )


def _say(results: Sequence[Finding]) -> None:
    for finding in results:
        click.echo(f"{finding.weight}: {finding.message}")
        for group in finding.groups[:LISTED]:
            click.echo(f"    {' = '.join(map(str, group))}")
        if len(finding.groups) > LISTED:
            click.echo(f"    and {len(finding.groups) - LISTED} more")
        click.echo(f"  fix: {finding.advice}")
