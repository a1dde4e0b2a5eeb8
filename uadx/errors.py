"""Every error that a user can meet: what failed, why in the SDK's own words, how to fix it, and an exit code.

Errors are raised where the cause is known and worded once. The command line prints `render()` and exits with
`exit_code`; the Python API raises the same objects.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_INPUTS_FAILED = 8
"""The run finished, but some inputs could not be read."""

EXIT_FINDINGS = 9
"""`uadx check` found an error in the data."""

EXIT_ANOMALIES = 10
"""The run finished, anomalies were found and `--fail-on-anomaly` was given."""


class UadxError(Exception):
    """Base of all errors of uadx.

    message: what failed, one sentence without a final full stop.
    hint: what to type or change, or None where there is nothing to advise.
    backend, stage: the backend's name and the step ("import", "compile", "infer", ...) where one is concerned.
    cause_text: the words of the SDK or the operating system, verbatim.

    >>> from uadx import create_pipeline
    >>> from uadx.errors import UadxError
    >>> try:
    ...     create_pipeline(model="nowhere")
    ... except UadxError as error:
    ...     print(error.exit_code, error.message)
    ...     print(error.hint)
    5 no model bundle at nowhere
    train one: uadx train --data DIR --output MODEL
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        backend: str | None = None,
        stage: str | None = None,
        cause_text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.backend = backend
        self.stage = stage
        self.cause_text = cause_text

    def render(self) -> str:
        """The text that the command line prints: the message, the cause indented below it, the fix."""
        lines = [f"error: {self.message}"]
        where = " ".join(
            part for part in (self.backend, f"while {self.stage}" if self.stage else None) if part is not None
        )
        if where:
            lines.append(f"  {where}")
        if self.cause_text:
            lines += [f"    {line}" for line in self.cause_text.strip().splitlines()]
        if self.hint:
            lines.append(f"  fix: {self.hint}")
        return "\n".join(lines)

    @property
    def in_one_line(self) -> str:
        """The message and the cause, for a log line or a field of a result."""
        cause = " ".join((self.cause_text or "").split())
        return f"{self.message}: {cause}" if cause else self.message

    def __str__(self) -> str:
        return self.render().removeprefix("error: ")


class UsageError(UadxError):
    """A wrong argument, or a combination of arguments that has no meaning."""

    exit_code = 2


class DeviceSyntaxError(UsageError):
    """A device string that the grammar does not know."""


class ConfigError(UsageError):
    """A configuration file (pipeline or devices) that does not fit its schema; the message names the field."""


class PluginError(UadxError):
    """A backend plugin that is broken, claimed twice or written for another API version."""

    exit_code = 3


class UnavailableError(UadxError):
    """A backend or a device that cannot be used on this machine, or a missing optional package."""

    exit_code = 4


class BundleError(UadxError):
    """A model bundle that is missing, corrupt, foreign or of another schema version."""

    exit_code = 5


class CompileError(UadxError):
    """A model that the device's compiler did not accept."""

    exit_code = 5


class PlacementError(UadxError):
    """A model that ended up on another device or in another precision than was asked for."""

    exit_code = 6


class InferenceError(UadxError):
    """A compiled model that failed while it ran."""

    exit_code = 7


class InputError(UadxError):
    """One input that cannot be inspected. It becomes a result with `error` and never ends a run; it is raised where
    a live stream, which is the whole input, cannot be opened.

    kind: a stable snake_case word for programs: not_found, empty, unreadable, not_an_image, truncated,
    too_large, too_small, animated, fetch_failed, timeout, unsupported, not_a_video, unreachable, url_refused.
    """

    exit_code = EXIT_INPUTS_FAILED

    def __init__(self, kind: str, message: str, *, cause_text: str | None = None) -> None:
        super().__init__(message, cause_text=cause_text)
        self.args = (kind, message)  # what unpickling calls it with
        self.kind = kind


class OutputError(UadxError):
    """Results that cannot be written: a full disk, a missing permission."""


class UadxWarning(UserWarning):
    """What uadx warns of: a plugin that could not be loaded, a fallback that was asked for."""
