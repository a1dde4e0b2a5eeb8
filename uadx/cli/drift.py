"""`uadx drift`: whether production still looks like what the threshold was calibrated on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from uadx.cli import options
from uadx.errors import EXIT_FINDINGS, UsageError


@click.command()
@click.option("--model", "-m", metavar="MODEL", default="default", help="The bundle that inspected the images.")
@click.option(
    "--results",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="results.jsonl of `uadx run`, or the folder with it; several in the order of time.",
)
@click.option(
    "--defects",
    type=options.Within(0, 0.5),
    default=0.05,
    show_default=True,
    help="Share of production that may be defective without being drift.",
)
@click.option(
    "--level",
    type=options.Within(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="How often chance may be taken for drift.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A page to write: drift.html.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    model: str, results: tuple[Path, ...], defects: float, level: float, output: Path | None, as_json: bool
) -> int:
    """Compare the scores of a production run with those that calibrated the threshold.

    \b
    uadx drift --model my_model --results output/results.jsonl --output drift.html

    Another light, lens, batch or a soiled camera moves the scores of good parts long before many of them are NG; the
    threshold then means another false-alarm rate than it says. Exit code 9 where there is drift.
    """
    from uadx.bundle.reader import open_bundle
    from uadx.drift.comparison import LEAST, compare
    from uadx.drift.page import write_page
    from uadx.drift.results import read_run
    from uadx.drift.words import detectable, verdict

    bundle = open_bundle(model)
    run = read_run(results, bundle)
    if len(run.scores) < LEAST:
        raise UsageError(
            f"{len(run.scores)} inspected images show no drift or none",
            hint=f"wait for {LEAST}, or name more --results",
        )
    found = compare(run.calibration, run.scores, run.ng, defects=defects, level=level)
    if output is not None:
        write_page(output, bundle, found, run.scores)
    if as_json:
        parts = [{**asdict(part), "drift": part.drift} for part in found.parts]
        said = {"drift": found.first is not None, "says": verdict(found), "model": bundle.sha256, "parts": parts}
        click.echo(json.dumps(said, indent=4))
    else:
        click.echo(f"{'images':>17}{'NG':>8}{'median':>10}{'higher':>8}{'may be':>8}{'lower':>8}{'may be':>8}")
        for part in found.shown:
            click.echo(
                f"{f'{part.first} to {part.last}':>17}{part.ng:>8.1%}{part.median:>10.4g}{part.higher:>8.3f}"
                f"{part.higher_limit:>8.3f}{part.lower:>8.3f}{part.lower_limit:>8.3f}  {part.drift or ''}".rstrip()
            )
        click.echo(verdict(found))
        click.echo(detectable(found))
        if found.first is not None:
            click.echo(
                f"look at the pictures from there on; where they are good, calibrate on such: "
                f"uadx recalibrate --model {model} --data GOOD --output NEW"
            )
        if output is not None:
            click.echo(f"look at it: {output.resolve().as_uri()}")
    return EXIT_FINDINGS if found.first is not None else 0
