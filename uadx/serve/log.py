"""The server's log on stderr: one line an event, for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Literal

from uadx.errors import UadxWarning

_log = logging.getLogger("uadx.serve")
Format = Literal["text", "json"]
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def log_to_stderr(form: Format) -> None:
    """Let the loggers of the server and its libraries write to stderr, and nowhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    levels = {
        "uadx.serve": logging.INFO,
        "uvicorn": logging.WARNING,
        "python_multipart": logging.ERROR,
        "asyncio": logging.ERROR,
    }
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


@contextmanager
def warnings_logged() -> Iterator[None]:
    """Python's warnings are lines of the log too; those of others say where they come from."""

    def log(message: Warning | str, category: type[Warning], file: str, line: int, *rest: object) -> None:
        _log.warning(str(message), extra={} if issubclass(category, UadxWarning) else {"from": f"{file}:{line}"})

    with warnings.catch_warnings():
        warnings.simplefilter("always", UadxWarning)
        warnings.showwarning = log  # type: ignore[assignment]
        yield


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        line |= _fields(record)  # type: ignore[arg-type]
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        words = [f"{name}={json.dumps(value, default=str)}" for name, value in fields.items() if value is not None]
        line = " ".join([_time(record), record.levelname.lower(), record.getMessage(), *words])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
