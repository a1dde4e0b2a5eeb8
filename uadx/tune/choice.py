"""The fastest form of the model for a device: looked at one by one, then the leaders measured in turn.

All forms are looked at shortly with each batch size; those within half of the fastest, three at most, with the other
hint too; the fastest of these in turn, round by round, so that what disturbs the machine disturbs all of them alike.
Medians decide. Verdicts are compared of those, where there are images. No more than FINALISTS models are ever open.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from msgspec import Struct

from uadx.api import Hint, Precision
from uadx.bundle.reader import Bundle
from uadx.cores import busy
from uadx.devices.resolve import Resolver
from uadx.errors import UnavailableError
from uadx.limits import FEW_COMPARED
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.inspector import Inspector
from uadx.plural import counted
from uadx.tune.candidates import Absent, Form, groups
from uadx.tune.trial import Trial, first_look, measured
from uadx.tune.verdicts import Comparison, images_of, too_many, without_images

HINTS: tuple[Hint, ...] = ("throughput", "latency")
"""All forms are looked at with the first, the leaders with the others too."""
ROUNDS = 3
LEADERS, WITHIN_LEADERS = 3, 1 / 2
FINALISTS, WITHIN_FINALISTS = 4, 2 / 3
ALIKE = 0.97
"""The share of the fastest rate from which a form counts as fast as the fastest."""


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run. device: a backend's, as it can be typed after --device. rate: of the engine, in unit: a model that
    cuts images into tiles has tiles/s. measured: when, ISO 8601. busy: whether the machine was, with something else,
    just before. versions: the backend's then."""

    device: str
    precision: Precision
    hint: Hint
    batch_size: int
    rate: float
    measured: str
    unit: str = "img/s"
    busy: bool = False
    versions: dict[str, str] = {}

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}, batch {self.batch_size}, {self.hint}"


@dataclass
class Finalist:
    """A form with one hint and batch size. rates: images per second, one for each round."""

    trial: Trial
    batch: int
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)


@dataclass
class Tuned:
    """All that was tried. absent: backends that cannot be used here. images: what verdicts were compared on, 0 where
    no images were given. choice: what came of it."""

    trials: list[Trial]
    absent: list[Absent]
    finalists: list[Finalist]
    images: int
    choice: Choice


def tune(
    bundle: Bundle,
    config: PipelineConfig,
    seconds: float,
    data: Path | None = None,
    stage: Callable[[str], None] = lambda what: None,
    tried: Callable[[Trial], None] = lambda trial: None,
) -> Tuned:
    """Measure what is fastest within a configuration: its device, precision, batch size and hint, where given.

    seconds: of each measurement that decides; a first look takes a third. data: what the bundle was trained on, to
    compare verdicts on its held-out images. stage: is told what is being done. tried: is told of each form that was
    looked at, and again when its verdicts were compared on images.

    Raises UnavailableError with a reason for each form where none may run; UsageError for data, a device string or a
    simulator; ConfigError for the devices file; BundleError.
    """
    resolver = Resolver(config.device, None if config.devices_file is None else Path(config.devices_file))
    was_busy = busy()
    comparison = None
    if data is not None:
        stage("inspecting the images in f32, to compare with")
        comparison = Comparison(bundle, images_of(data, bundle))
    search = _Search(bundle, config, seconds, comparison, stage, tried)
    absent: list[Absent] = []
    for group in groups(resolver, bundle, config):
        absent += [one for one in group if isinstance(one, Absent)]
        if search.look(one for one in group if isinstance(one, Form)):
            break  # the next kinds of `auto` are for machines without this one
    while not (finalists := search.finals()) and any(not trial.dropped for trial in search.trials):
        pass  # all that were fastest changed verdicts: the next ones are due
    if not finalists:
        raise _nothing_may_run(resolver.requested, absent, search.trials, bundle)
    best = _chosen(finalists)
    choice = Choice(
        device=best.trial.form.device,
        precision=best.trial.form.precision,
        hint=best.trial.hint,
        batch_size=best.batch,
        rate=best.rate,
        measured=datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds"),
        unit=unit_of(bundle),
        busy=was_busy,
    )
    return Tuned(search.trials, absent, finalists, 0 if comparison is None else len(comparison.sources), choice)


def unit_of(bundle: Bundle) -> str:
    """Of the rates measured with a model."""
    return "tiles/s" if bundle.manifest.input.tiling else "img/s"


class _Search:
    """What has been tried so far."""

    def __init__(
        self,
        bundle: Bundle,
        config: PipelineConfig,
        seconds: float,
        comparison: Comparison | None,
        stage: Callable[[str], None],
        tried: Callable[[Trial], None],
    ) -> None:
        self.bundle, self.devices_file, self.stage, self.tried = bundle, config.devices_file, stage, tried
        self.seconds, self.comparison, self.asked = seconds, comparison, config.precision
        self.hints: tuple[Hint, ...] = HINTS if config.hint is None else (config.hint,)
        self.trials: list[Trial] = []
        self.fastest: dict[int, float] = {}

    def look(self, forms: Iterable[Form]) -> bool:
        """Try each form with the first hint; whether there is such a device at all."""
        tried = [self._try(form, self.hints[0]) for form in forms]
        return any(not trial.absent for trial in tried)

    def finals(self) -> list[Finalist]:
        """The fastest ways to run, their verdicts compared, measured in turn. What fails in that is dropped."""
        near = _nearest(self._leaders())
        with ExitStack() as opened:
            running = [(way, inspector) for way in near if (inspector := self._open(way, opened)) is not None]
            for number in range(ROUNDS):
                for way, inspector in running:
                    if way.trial.dropped:
                        continue
                    self.stage(f"{way.trial.form.device}, {way.trial.form.precision}: round {number + 1} of {ROUNDS}")
                    with way.trial.not_ended_by_it():
                        way.rates.append(measured(inspector, way.batch, self.seconds))
        return [way for way in near if way.rates and not way.trial.dropped]

    def _leaders(self) -> list[Trial]:
        """The fastest forms, with each hint."""
        ranked = sorted((one for one in self.trials if not one.dropped), key=lambda one: -one.best)
        near = [one.form for one in ranked if one.best >= WITHIN_LEADERS * ranked[0].best]
        forms = list(dict.fromkeys(near))[:LEADERS]
        tried = {(one.form, one.hint) for one in self.trials}
        for form in forms:
            for hint in self.hints:
                if (form, hint) not in tried:
                    self._try(form, hint)
        return [one for one in self.trials if one.form in forms and not one.dropped]

    def _open(self, way: Finalist, opened: ExitStack) -> Inspector | None:
        """As it will run, its verdicts compared once for all batch sizes; None where that failed or they are others."""
        trial, inspector = way.trial, None
        with trial.not_ended_by_it():
            inspector = trial.opened(self.bundle, self.devices_file, way.batch)
            opened.callback(self._close, trial, inspector)
            if self.comparison is not None and trial.verdicts is None:
                self.stage(f"{trial.form.device}, {trial.form.precision}: verdicts")
                trial.verdicts = self.comparison.of(inspector)
        if self.comparison is not None:
            self._judge(trial)
            self.tried(trial)
        return None if trial.dropped else inspector

    def _close(self, trial: Trial, inspector: Inspector) -> None:
        with trial.not_ended_by_it():
            inspector.close()

    def _try(self, form: Form, hint: Hint) -> Trial:
        self.stage(f"{form.device}, {form.precision}, {hint}")
        trial = first_look(form, hint, self.bundle, self.devices_file, self.seconds / 3, self.fastest)
        self.trials.append(trial)
        if trial.parity is not None and self.comparison is None and not trial.dropped:
            trial.verdicts = without_images(self.bundle, trial.parity)
            self._judge(trial)
        if not trial.dropped:
            for batch, rate in trial.rates.items():
                self.fastest[batch] = max(rate, self.fastest.get(batch, 0.0))
        self.tried(trial)
        return trial

    def _judge(self, trial: Trial) -> None:
        """Drop it where too many verdicts are others, or too little is known of them."""
        if trial.dropped:
            return
        # what was counted when an int8 form was made holds, whatever some of the same images say
        known = None if trial.parity is None else without_images(self.bundle, trial.parity)
        if trial.verdicts is None:
            trial.dropped = "the bundle does not say how many verdicts it changes: give --data"
        elif (found := too_many(trial.verdicts, known)) is not None:
            trial.dropped = f"{found.changed} of {found.images} verdicts changed, and 1 % may"
        elif trial.form.precision == "int8" and self.asked is None and (count := self._compared(trial)) < FEW_COMPARED:
            trial.dropped = (
                f"its verdicts were compared with f32's on {counted(count, 'image')}, and unasked int8 takes "
                f"{FEW_COMPARED}: more images below --data, or --precision int8"
            )

    def _compared(self, trial: Trial) -> int:
        """How many images a form's verdicts are known of, without the golden ones."""
        assert trial.verdicts is not None
        golden = trial.parity.images if trial.parity is not None and self.comparison is None else 0
        return trial.verdicts.images - golden


def _nearest(leaders: list[Trial]) -> list[Finalist]:
    """The best way of each leading form first, so that one that is as fast as the fastest is not crowded out by the
    fastest's own variants, and then those."""
    ways = [(rate, Finalist(trial, batch)) for trial in leaders for batch, rate in trial.rates.items()]
    ways.sort(key=lambda way: -way[0])
    firsts = {way.trial.form: (rate, way) for rate, way in reversed(ways)}.values()
    ranked = [*sorted(firsts, key=lambda way: -way[0]), *(way for way in ways if way not in firsts)]
    return [way for rate, way in ranked if rate >= WITHIN_FINALISTS * ways[0][0]][:FINALISTS]


def _chosen(finalists: list[Finalist]) -> Finalist:
    """The fastest. Of those that are as fast: float32 first, then the smaller batch, whose images wait less."""
    limit = ALIKE * max(way.rate for way in finalists)
    return min(
        (way for way in finalists if way.rate >= limit),
        key=lambda way: (way.trial.runs != "f32", way.batch, -way.rate),
    )


def _nothing_may_run(requested: str, absent: list[Absent], trials: list[Trial], bundle: Bundle) -> UnavailableError:
    reasons = [f"{one.backend}: {one.reason}" for one in absent]
    reasons += [f"{one.form.device} {one.form.precision} {one.hint}: {one.dropped}" for one in trials if one.dropped]
    hint = "see what there is, and why not the rest: `uadx devices`; and what a device computes: `uadx verify`"
    if trials and all(one.form.precision == "int8" for one in trials) and not bundle.has_int8:
        hint = "the bundle has no int8 form; make it: uadx export --precision int8 --model MODEL --data DIR"
    return UnavailableError(
        f"nothing may run on {requested}: all that was tried is dropped", cause_text="\n".join(reasons), hint=hint
    )
