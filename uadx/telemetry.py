"""OpenVINO and NNCF report to Google Analytics through `openvino_telemetry`; nothing leaves a factory unasked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_REPORTER = "openvino_telemetry"


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """What is imported within finds no telemetry package, and uses its own stub in its place.

    Else OpenVINO forks a process and connects to the network when it is imported.
    """
    hidden = _REPORTER not in sys.modules
    if hidden:
        sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[_REPORTER]
