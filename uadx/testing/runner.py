"""Runs the kit without pytest and keeps what came of each check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import SkipTest

from uadx import __version__
from uadx.contract import plugin_code, words
from uadx.errors import PluginError, UadxError
from uadx.plugins import Plugins
from uadx.testing.golden import small
from uadx.testing.kit import Kit
from uadx.testing.suite import GROUPS, BackendConformance

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """One check. sentence: what it proves. message: why it failed or was skipped."""

    group: str
    name: str
    sentence: str
    outcome: Outcome
    message: str
    seconds: float


def suite(device: str, devices_file: Path | None = None) -> BackendConformance:
    """The kit for a device string."""
    cls = type("Conformance", (BackendConformance,), {"device": device, "devices_file": devices_file})
    kit: BackendConformance = cls()
    return kit


def run(kit: BackendConformance) -> Iterator[Result]:
    """Run every check, one after the other, in the order of the groups."""
    for group in GROUPS:
        for name, check in vars(group).items():
            if name.startswith("test_"):
                yield _run(group, name, check, kit)


def _run(group: type[Kit], name: str, check: Callable[[Kit], None], kit: Kit) -> Result:
    start = time.perf_counter()
    outcome: Outcome = "passed"
    message = ""
    try:
        check(kit)
    except SkipTest as reason:
        outcome, message = "skipped", str(reason)
    except AssertionError as failure:
        outcome, message = "failed", str(failure)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a backend raises is a finding, and the other checks go on
        outcome, message = "failed", f"unexpected {words(error)}"
    seconds = round(time.perf_counter() - start, 3)
    return Result(group.__name__.lower(), name, (check.__doc__ or "").strip(), outcome, message, seconds)


def describe(kit: BackendConformance) -> dict[str, Any]:
    """What was tested: uadx, device, who provides the backend, SDK versions, and what runs there, in JSON values.

    Raises the errors of resolving the device string.
    """
    subject, plugins = kit.subject, Plugins()
    claim = plugins.claim(subject.spec.name) if subject.spec.name in plugins.names else None
    described: dict[str, Any] = {
        "uadx": __version__,
        "requested": kit.device,
        "device": subject.name,
        "backend": subject.spec.name,
        "distribution": claim and claim.distribution,
        "version": claim and claim.version,
        "maturity": subject.spec.maturity,
        "simulated": subject.spec.simulated,
        "sdk": {},
        "placement": None,
        "precision": None,
        "tolerance": None,
    }
    # what is wrong with it is for the checks to say, each in its own words
    with suppress(UadxError), plugin_code(PluginError, "it fails", subject.spec.name, "describing itself"):
        described["maturity"] = (subject.info and subject.info.maturity) or subject.spec.maturity
        described["sdk"] = {str(name): str(version) for name, version in subject.backend.versions().items()}
        with kit._compile(small("relu")) as model:
            placement = model.placement()
            described["placement"] = {"device": placement.device, "details": dict(placement.details)}
            described["precision"] = placement.precision
            described["tolerance"] = asdict(kit._allowed(model))
    return described
