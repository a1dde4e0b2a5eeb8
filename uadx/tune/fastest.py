"""What a pipeline with `enable_hpi` runs: the choice that is remembered for this machine, or one measured now."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from uadx.bundle.reader import Bundle
from uadx.contract import plugin_code
from uadx.devices.resolve import Resolver, locate
from uadx.errors import OutputError, UadxError, UadxWarning, UnavailableError
from uadx.pipeline.config import PipelineConfig
from uadx.tune.choice import Choice, Tuned, tune
from uadx.tune.machine_key import circumstances
from uadx.tune.remembered import recall, remember
from uadx.tune.trial import Trial

SECONDS = 1.0
"""Of each measurement that decides, where nobody says otherwise."""


@dataclass(frozen=True)
class Fastest:
    """requested: the device string that was asked for. config: all that was, with the choice in it. remembered:
    whether it was measured before."""

    choice: Choice
    requested: str
    config: PipelineConfig
    remembered: bool

    def __str__(self) -> str:
        when = f"remembered from {self.choice.measured[:16].replace('T', ' ')}" if self.remembered else "measured now"
        busy = " while the machine was busy: `uadx tune` measures again" if self.choice.busy else ""
        return f"{self.choice}: {self.choice.rate:.1f} {self.choice.unit}, {when}{busy}"


def fastest(bundle: Bundle, config: PipelineConfig, stage: Callable[[str], None] = lambda what: None) -> Fastest:
    """The choice for a configuration. Raises what `tune` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UadxWarning)  # of the devices file: opening the choice says it again
        requested = _resolver(config).requested
        found = _recalled(bundle, config)
    if found is not None:
        return Fastest(found, requested, _applied(config, found), True)
    choice = tune_and_remember(bundle, config, SECONDS, stage=stage)[0].choice
    return Fastest(choice, requested, _applied(config, choice), False)


def tune_and_remember(
    bundle: Bundle,
    config: PipelineConfig,
    seconds: float,
    data: Path | None = None,
    stage: Callable[[str], None] = lambda what: None,
    tried: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Tuned, Path | None]:
    """Measure anew and keep the choice; the file it is kept in, None where it cannot be written, which is warned of."""
    tuned = tune(bundle, config, seconds, data, stage, tried)
    tuned.choice = msgspec.structs.replace(tuned.choice, versions=_versions(tuned.choice.device, config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UadxWarning)
        known = circumstances(bundle, config, _resolver(config))
    try:
        return tuned, remember(tuned.choice, known)
    except OutputError as error:
        warnings.warn(f"what was measured cannot be remembered: {error.in_one_line}", UadxWarning, stacklevel=2)
        return tuned, None


def _recalled(bundle: Bundle, config: PipelineConfig) -> Choice | None:
    """A choice from before that is within what is asked for, and whose backend is still the same: drivers change
    without any package."""
    choice = recall(circumstances(bundle, config, _resolver(config)))
    asked = (config.precision, config.batch_size, config.hint)
    if choice is None or any(
        want not in (None, had)
        for want, had in zip(asked, (choice.precision, choice.batch_size, choice.hint), strict=True)
    ):
        return None
    try:
        return choice if choice.versions == _versions(choice.device, config) else None
    except UadxError:  # it has gone, and something else may serve: measuring says what
        return None


def _versions(device: str, config: PipelineConfig) -> dict[str, str]:
    located = locate(device, None if config.devices_file is None else Path(config.devices_file))
    with plugin_code(UnavailableError, "it cannot say its versions", located.name, "asking for versions"):
        return {str(part): str(version) for part, version in located.backend.versions().items()}


def _resolver(config: PipelineConfig) -> Resolver:
    return Resolver(config.device, None if config.devices_file is None else Path(config.devices_file))


def _applied(config: PipelineConfig, choice: Choice) -> PipelineConfig:
    return config.override(
        device=choice.device, precision=choice.precision, batch_size=choice.batch_size, hint=choice.hint
    )
