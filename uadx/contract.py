"""Does a plugin keep to the interface where it is met? Whatever it does, what leaves here is a typed error.

A plugin is other people's code: it may raise anything, SystemExit too, and give values of any type. Each place that
calls it does so in `plugin_code`, and each value that it gives passes `misfit` before it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from uadx.errors import UadxError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@contextlib.contextmanager
def plugin_code(kind: type[UadxError], message: str, backend: str, stage: str) -> Iterator[None]:
    """Run a plugin's code: what it raises becomes `kind`, in its own words, unless it is an error of uadx already.

    KeyboardInterrupt passes: it is the user's.
    """
    try:
        yield
    except (UadxError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise kind(message, backend=backend, stage=stage, cause_text=words(error)) from error


def words(error: BaseException) -> str:
    """An exception in its own words, after its type; whatever its __str__ does."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"(its text cannot be had: {type(failure).__name__})"
    return f"{type(error).__name__.lstrip('_')}: {text}"


def misfit(value: DataclassInstance) -> str | None:
    """What is wrong with the types of a dataclass of uadx.api that a plugin filled, None where all is well.

    Such as "BackendSpec: Expected `array`, got `str` - at `$.kinds`".
    """
    kind: type[Any] = type(value)
    try:
        msgspec.convert(asdict(value), kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        return f"{kind.__name__}: {error}"
    return None
