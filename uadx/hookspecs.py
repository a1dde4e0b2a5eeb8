"""The two hooks that a plugin may implement, found through the entry-point group `uadx.backends`."""

from __future__ import annotations

from collections.abc import Iterable

from uadx.api import BackendSpec, hookspec


@hookspec
def uadx_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Describe the backends of this plugin. Imports no SDK."""


@hookspec(firstresult=True)
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    """One line of advice on an error of one of this plugin's backends, or None. Imports no SDK."""
