"""Progress and warnings for people: on a terminal only, on stderr, so that pipes and logs stay clean."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator

import click

from uadx.errors import UadxWarning

NO_MODEL = "no --model is given: this is the demo product's, which knows nothing but its mesh"


@contextlib.contextmanager
def shown_progress(what: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Yields `advance(done, total=None, note="")`; draws a bar where stderr is a terminal, else does nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total=None, note="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    # where stdout goes to a pipe, what is printed meanwhile must go there, and not above the bar
    screen = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=screen) as bar:
        task = bar.add_task(what, total=None, note="")

        def advance(done: int, total: int | None = None, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield advance


@contextlib.contextmanager
def shown_stages() -> Iterator[Callable[[str], None]]:
    """Yields `stage(what)`; says what is being done where stderr is a terminal, else does nothing."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda what: status.update(f"{what} ...")


@contextlib.contextmanager
def shown_warnings() -> Iterator[None]:
    """Print uadx's own warnings as one line each instead of Python's two with a file name."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UadxWarning)
        show = warnings.showwarning

        def line(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, UadxWarning):
                click.echo(f"warning: {message}", err=True)
            else:
                show(message, category, *rest)  # type: ignore[arg-type]

        warnings.showwarning = line  # type: ignore[assignment]
        yield
