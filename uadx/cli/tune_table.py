"""What `uadx tune` shows of all that it tried: a table for people, and JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uadx.cores import BUSY

if TYPE_CHECKING:
    from uadx.bundle.reader import Bundle
    from uadx.tune.choice import Tuned
    from uadx.tune.trial import Trial
    from uadx.tune.verdicts import Verdict, Verdicts

_TITLES = ["device", "precision", "hint"]
SHOWN = 20
"""Changed verdicts that are listed of a form; JSON has all."""


def print_table(tuned: Tuned, bundle: Bundle, seconds: float) -> None:
    """A line for each form and hint, the reasons below those that were dropped, then the measurement that decided."""
    from uadx.tune.choice import ROUNDS

    forms = list(dict.fromkeys(trial.form for trial in tuned.trials))
    trials = sorted(tuned.trials, key=lambda trial: forms.index(trial.form))
    sizes = sorted({batch for trial in trials for batch in trial.rates})
    rows = [_TITLES + [str(size) for size in sizes] + ["differs", "other verdicts", ""]]
    rows += [_cells(trial, sizes, tuned) for trial in trials]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    widths[3:-3] = [max(6, width) for width in widths[3:-3]]
    if sizes:
        click.echo(" " * (sum(widths[:3]) + 6) + f"{tuned.choice.unit} of batches of")
    for row, note in zip(rows, ["", *(trial.dropped or trial.too_much for trial in trials)], strict=True):
        texts = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        texts += [cell.rjust(width) for cell, width in zip(row[3:-1], widths[3:-1], strict=True)]
        click.echo("  ".join([*texts, row[-1]]).rstrip())
        if note:
            click.echo(f"    {note}")
    for one in tuned.absent:
        click.echo(f"{one.backend}: cannot be used here\n    {one.reason}")
    click.echo(f"in turn, {ROUNDS} rounds of {seconds:g} s, medians (within 3 %: f32 first, then the smaller batch):")
    for way in sorted(tuned.finalists, key=lambda way: -way.rate):
        form = way.trial.form
        way_of_it = f"{form.device}, {form.precision}, batch {way.batch}, {way.trial.hint}"
        click.echo(f"  {way.rate:8.1f} {tuned.choice.unit}  {way_of_it}")
    for trial in trials:
        _print_changes(trial)
    if tuned.choice.busy:
        click.echo(BUSY)
    click.echo(_compared_on(tuned, bundle))
    if not bundle.has_int8:
        click.echo("the bundle has no int8 form to try; one is made by: uadx export --precision int8")


def trial_line(trial: Trial, unit: str) -> str:
    """One form that was tried, in a line."""
    name = f"{trial.form.device}, {trial.form.precision}, {trial.hint}"
    if trial.dropped:
        return f"{name}: dropped: {trial.dropped}"
    batch, rate = max(trial.rates.items(), key=lambda one: one[1])
    others = "" if trial.verdicts is None else f", {_share(trial.verdicts)} verdicts changed"
    return f"{name}: {rate:.1f} {unit} in batches of {batch}{others}"


def as_json(tuned: Tuned, file: Path | None) -> dict[str, Any]:
    """In plain JSON values. file: where the choice is kept."""
    import msgspec

    return {
        "choice": msgspec.to_builtins(tuned.choice),
        "file": None if file is None else str(file),
        "images": tuned.images,
        "tried": [
            {
                "device": trial.form.device,
                "precision": trial.form.precision,
                "hint": trial.hint,
                "runs": trial.runs,
                "images_per_second": {str(batch): round(rate, 2) for batch, rate in trial.rates.items()},
                "largest_difference": _number(_largest(trial)),
                "verdicts": None if trial.verdicts is None else asdict(trial.verdicts),
                "outcome": _outcome(trial, tuned),
                "reason": trial.dropped or trial.too_much,
            }
            for trial in tuned.trials
        ],
        "absent": [asdict(one) for one in tuned.absent],
        "in_turn": [
            {
                "device": way.trial.form.device,
                "precision": way.trial.form.precision,
                "hint": way.trial.hint,
                "batch_size": way.batch,
                "images_per_second": [round(rate, 2) for rate in way.rates],
            }
            for way in tuned.finalists
        ],
    }


def _cells(trial: Trial, sizes: list[int], tuned: Tuned) -> list[str]:
    largest = _largest(trial)
    return [
        trial.form.device,
        trial.form.precision,
        trial.hint,
        *(f"{trial.rates[size]:.1f}" if size in trial.rates else "-" for size in sizes),
        "-" if largest is None else f"{largest:.2g}",
        "-" if trial.verdicts is None else _share(trial.verdicts),
        _outcome(trial, tuned),
    ]


def _outcome(trial: Trial, tuned: Tuned) -> str:
    if trial.dropped:
        return "dropped"
    choice = tuned.choice
    of_choice = (trial.form.device, trial.form.precision, trial.hint) == (choice.device, choice.precision, choice.hint)
    return "kept" if of_choice else "slower"


def _share(verdicts: Verdicts) -> str:
    return f"{verdicts.changed} of {verdicts.images}"


def _largest(trial: Trial) -> float | None:
    return None if trial.parity is None else max(level.maximum for level in trial.parity.levels.values())


def _number(value: float | None) -> float | None:
    """JSON has no infinity: a difference that is no number is null."""
    return value if value is not None and math.isfinite(value) else None


def _print_changes(trial: Trial) -> None:
    changes = () if trial.verdicts is None else trial.verdicts.changes
    for change in changes[:SHOWN]:
        now, f32 = change.now, change.f32
        click.echo(
            f"{trial.form.device}, {trial.form.precision}: {_word(now)} and not {_word(f32)}: {change.image} "
            f"(score {now.score:.4g}, threshold {now.threshold:.4g}; f32 {f32.score:.4g}, {f32.threshold:.4g})"
        )
    if len(changes) > SHOWN:
        click.echo(f"{trial.form.device}, {trial.form.precision}: and {len(changes) - SHOWN} more")


def _word(verdict: Verdict) -> str:
    return "NG" if verdict.is_anomaly else "OK"


def _compared_on(tuned: Tuned, bundle: Bundle) -> str:
    from uadx.plural import counted

    if tuned.images:
        return f"verdicts of those measured in turn compared with f32's on {counted(tuned.images, 'image')} of --data"
    costs = [form.own.cost for form in bundle.manifest.variants if form.own is not None and form.own.cost is not None]
    exported = f", of int8 also on {counted(costs[0].images, 'image')} when it was exported" if costs else ""
    golden = counted(len(bundle.golden.images), "golden image")
    return f"verdicts compared with f32's on {golden}{exported}; --data DIR compares the held-out images"
