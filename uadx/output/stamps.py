"""`run.inputs`: what each input of a run was when it was inspected, so that a file that has changed since is noticed.

One stamp a line, in the order of the results: a digest of the input's name and, for a file, of its size and time of
change. Each is written before its result, so that after a kill there are never fewer stamps than results. The file
is locked while a run writes into its folder, and stays when the run is done.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from uadx.errors import OutputError, UsageError
from uadx.images.source import Source, Stored
from uadx.lock import try_lock

NAME = "run.inputs"
LENGTH = 33
"""Bytes of a line."""


def stamp(source: Source) -> bytes:
    """One line: 32 hexadecimal digits. A video's file counts for each of its frames. Of a URL, an array, standard input
    or a live stream only the name is known beforehand."""
    digest = hashlib.sha256(source.label.encode("utf-8", "surrogatepass"))
    video = source.frame.video if source.frame is not None else None
    file = source.data if isinstance(source.data, Path) else video
    if file is not None:
        try:
            status = os.stat(file)
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
        except OSError:
            digest.update(b"\0cannot be looked at")  # its result is an error, which holds until the file is there
    elif isinstance(source.data, Stored):
        digest.update(f"\0{source.data.version}".encode())
    return digest.hexdigest()[:32].encode() + b"\n"


class Stamps:
    """The opened, locked file. Raises OSError, and BlockingIOError where another run has it."""

    def __init__(self, root: Path) -> None:
        self._file = open(root / NAME, "a+b")  # noqa: SIM115  (held, and locked, for the whole run)
        if not try_lock(self._file):
            self._file.close()
            raise BlockingIOError

    def __len__(self) -> int:
        return os.fstat(self._file.fileno()).st_size // LENGTH

    def first(self, count: int) -> Iterator[bytes]:
        """The first `count` stamps."""
        with open(self._file.name, "rb") as file:
            for _ in range(count):
                yield file.read(LENGTH)

    def keep(self, count: int) -> None:
        """Cut off all but the first `count` stamps; what is added comes behind them."""
        self._file.truncate(count * LENGTH)

    def add(self, line: bytes) -> None:
        """Write one stamp and hand it to the operating system."""
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Close the file and give the lock back."""
        self._file.close()


def lock_folder(root: Path) -> Stamps:
    """Make the folder of a run, for this run alone.

    Raises UsageError where another run writes to it, OutputError where it cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Stamps(root)
    except BlockingIOError:
        raise UsageError(
            f"another uadx run is writing to {root}",
            hint="wait until it ends, or choose another folder (--output DIR on the command line)",
        ) from None
    except OSError as error:
        raise unwritable(root, error) from error


def unwritable(root: Path, error: OSError) -> OutputError:
    """What to say of a folder that a run cannot write to."""
    return OutputError(
        f"{root} cannot be written to",
        cause_text=str(error),
        hint="choose another place: --output DIR on the command line",
    )
