"""What a person sees while a model is trained: one bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import contextlib
from types import TracebackType

import click

from uadx.cli.progress import shown_progress
from uadx.stfpm.training import Epoch
from uadx.train.build import Progress
from uadx.train.dataset import Dataset


class TerminalProgress(Progress):
    """Fetching, reading, epochs, calibration, one bar after the other."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._stack = contextlib.ExitStack()
        self._seen = self._total = 0
        self._note = ""
        self._fetching = False

    def __enter__(self) -> TerminalProgress:
        self._begin("reading")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def fetching(self, done: int, total: int) -> None:
        if not self._fetching:
            self._fetching = True
            self._begin("fetching the teacher")
        self._advance(done, total)
        if done == total:
            self._begin("reading")

    def reading(self, done: int, total: int) -> None:
        self._advance(done, total)

    def started(self, dataset: Dataset, epochs: int, resumed_at: int) -> None:
        if not self._quiet:
            if resumed_at:
                click.echo(f"going on after epoch {resumed_at} of {epochs}", err=True)
            for count, what in (
                (dataset.skipped, "could not be used"),
                (dataset.duplicates, "are duplicates"),
            ):
                if count:
                    click.echo(f"{count} files {what} and were left out", err=True)
        self._seen = resumed_at * len(dataset.train.windows)
        self._total = epochs * len(dataset.train.windows)
        self._begin("training")

    def step(self, images: int) -> None:
        self._seen += images
        self._advance(self._seen, self._total, self._note)

    def epoch(self, epoch: Epoch) -> None:
        self._note = f"epoch {epoch.number}/{epoch.epochs}, loss {epoch.loss:.4f}"

    def calibrating(self) -> None:
        self._begin("calibrating")

    def _begin(self, what: str) -> None:
        self._stack.close()
        self._advance = self._stack.enter_context(shown_progress(what, self._quiet))
