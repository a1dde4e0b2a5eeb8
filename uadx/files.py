"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from uadx.errors import OutputError

TEMPORARY = ".uadx-"
"""How the names of files begin that are being written; a kill leaves them behind."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write under a temporary name beside path, renamed at the end: a reader never meets half a file.

    Raises OutputError where the system refuses.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written", cause_text=str(error), hint="make room there, or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make sure that files can be written into a folder, which need not be there: before work that takes minutes.

    Leaves nothing behind. Raises OutputError.
    """
    places = (folder.absolute(), *folder.absolute().parents)
    try:
        tempfile.TemporaryFile(dir=next(place for place in places if os.path.exists(place))).close()
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written", cause_text=str(error), hint="choose another place: --output DIR"
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write data to path whole or not at all."""
    with whole_file(path) as file:
        file.write(data)
