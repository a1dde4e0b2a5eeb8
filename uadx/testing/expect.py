"""How a check says what is wrong: what was expected, what came, and what the backend's author can do."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from uadx.errors import UadxError
from uadx.parity import Tolerance, beside

E = TypeVar("E", bound=UadxError)
T = TypeVar("T")


def failure(expected: str, came: object, advice: str) -> AssertionError:
    """The failure of a check: what it expected, what came, and what to do."""
    return AssertionError(f"expected: {expected}\ngot: {came}\nfix: {advice}")


def require(holds: bool, expected: str, came: object, advice: str) -> None:
    """Fail where it does not hold."""
    if not holds:
        raise failure(expected, came, advice)


def refusal(kind: type[E], call: Callable[[], object], what: str, advice: str) -> E:
    """The typed error that the call must end in."""
    expected = f"{what} raises {kind.__name__}"
    try:
        answer = call()
    except kind as error:
        return error
    except Exception as error:
        raise failure(expected, _words(error), advice) from error
    raise failure(expected, _short(answer), advice)


def success(call: Callable[[], T], what: str, advice: str) -> T:
    """What the call returns, where it must not raise."""
    try:
        return call()
    except Exception as error:
        raise failure(f"{what} works", _words(error), advice) from error


def require_answer(
    outputs: Mapping[str, Any], expected: Mapping[str, NDArray[Any]], tolerance: Tolerance, what: str
) -> None:
    """Names, types, shapes and values of a model's outputs. A value must be within the tolerance, absolutely."""
    require(
        set(outputs) == set(expected),
        f"{what} gives exactly the model's outputs: {sorted(expected)}",
        sorted(outputs),
        "return one array for each name in CompiledModel.outputs",
    )
    for name, truth in expected.items():
        value = outputs[name]
        require(
            isinstance(value, np.ndarray) and value.dtype == np.float32,
            f"{what}: {name} is a float32 ndarray",
            f"{type(value).__name__} of {getattr(value, 'dtype', None)}",
            "copy the output to the host as float32, whatever the device computes in",
        )
        require(
            value.shape == truth.shape,
            f"{what}: {name} has shape {truth.shape}",
            value.shape,
            "outputs are matched by name, keep the model's axes, and have one row for each image",
        )
        require(
            bool(np.isfinite(value).all()),
            f"{what}: {name} is finite",
            f"{int((~np.isfinite(value)).sum())} values are not",
            "an overflow of the device's precision, or memory that was never written",
        )
        difference = np.abs(value.astype(np.float64) - truth)
        found = Tolerance(float(difference.max()), float(difference.mean()))
        require(
            found.maximum <= tolerance.maximum and found.mean <= tolerance.mean,
            f"{what}: {name} is within {tolerance.maximum:g} of float64, {tolerance.mean:g} in the mean",
            f"{beside(found.maximum, tolerance.maximum)} at most, {beside(found.mean, tolerance.mean)} in the mean",
            "look for outputs or axes that are swapped, rows of another image, or a lower precision than is claimed",
        )


@contextlib.contextmanager
def captured_stdout() -> Iterator[Callable[[], str]]:
    """Everything that reaches standard output meanwhile, from Python and from native code; read it with the yielded
    function afterwards."""
    with tempfile.TemporaryFile() as file, contextlib.redirect_stdout(io.StringIO()) as printed:
        text: list[str] = []
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lambda: "".join(text)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            text += [printed.getvalue(), file.read().decode(errors="replace")]


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _short(answer: object) -> str:
    if isinstance(answer, Mapping):
        return f"an answer with {', '.join(map(str, answer)) or 'no outputs'}"
    return f"no error, and a {type(answer).__name__}"
