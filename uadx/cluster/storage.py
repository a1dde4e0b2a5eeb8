"""Where a run of many machines writes: a folder that they share, or an address that fsspec knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from uadx.contract import words
from uadx.errors import OutputError
from uadx.files import write_whole
from uadx.images.naming import is_address
from uadx.images.stored import file_system


class Storage(ABC):
    """Files by their path below one root. Every method raises OutputError where the storage refuses."""

    folder: Path | None = None
    """Where it is one of this machine."""

    def __init__(self, root: str) -> None:
        self.root = root

    @abstractmethod
    def write(self, place: PurePath, data: bytes) -> None:
        """Write one file whole; its folders are made."""

    @abstractmethod
    def read(self, place: PurePath) -> bytes | None:
        """A file's bytes; None where there is none."""

    @abstractmethod
    def names(self, folder: PurePath) -> set[str]:
        """The files in a folder; none where there is no such folder."""

    @abstractmethod
    def remove(self, place: PurePath) -> None:
        """Delete one file."""


def storage(where: str) -> Storage:
    """The storage at a path or an address. Raises UnavailableError, InputError for an address that nobody knows."""
    address = urlsplit(where)
    if is_address(where) and address.scheme != "file":
        return _Remote(where)
    return _Folder(where.partition("://")[2] if address.scheme == "file" else where)


class _Folder(Storage):
    def __init__(self, root: str) -> None:
        self._path = self.folder = Path(root).absolute()
        super().__init__(str(self._path))

    def write(self, place: PurePath, data: bytes) -> None:
        write_whole(self._path / place, data)

    def read(self, place: PurePath) -> bytes | None:
        try:
            return (self._path / place).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(place, "read", str(error)) from error

    def names(self, folder: PurePath) -> set[str]:
        try:
            return {entry.name for entry in (self._path / folder).iterdir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise self._refused(folder, "listed", str(error)) from error

    def remove(self, place: PurePath) -> None:
        try:
            (self._path / place).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(place, "deleted", str(error)) from error

    def _refused(self, place: PurePath, what: str, cause: str) -> OutputError:
        return OutputError(f"{self._path / place} cannot be {what}", cause_text=cause)


class _Remote(Storage):
    """An object store puts an object whole or not at all, and that is what is meant here."""

    def __init__(self, root: str) -> None:
        super().__init__(root.rstrip("/"))
        self._fs, path = file_system(root)
        self._path = path.rstrip("/")
        self._made: set[str] = set()
        bucket = self._path.partition("/")[0]
        try:  # some file systems would make a mistyped one
            there = not bucket or self._fs.exists(bucket)
        except Exception as error:
            raise self._refused(PurePath(), "reached", error) from error
        if not there:
            name = self._fs.unstrip_protocol(bucket)
            raise OutputError(f"there is no {name}", hint="make it, or choose another place: --output")

    def write(self, place: PurePath, data: bytes) -> None:
        path = self._at(place)
        try:
            if (folder := path.rpartition("/")[0]) not in self._made:  # a request each time, at some
                self._fs.makedirs(folder, exist_ok=True)
                self._made.add(folder)
            self._fs.pipe_file(path, data)
        except Exception as error:  # every file system has exceptions of its own
            raise self._refused(place, "written", error) from error

    def read(self, place: PurePath) -> bytes | None:
        try:
            data: bytes = self._fs.cat_file(self._at(place))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._refused(place, "read", error) from error
        return data

    def names(self, folder: PurePath) -> set[str]:
        try:
            return {name.rstrip("/").rpartition("/")[2] for name in self._fs.ls(self._at(folder), detail=False)}
        except FileNotFoundError:
            return set()
        except Exception as error:
            raise self._refused(folder, "listed", error) from error

    def remove(self, place: PurePath) -> None:
        try:
            self._fs.rm_file(self._at(place))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._refused(place, "deleted", error) from error

    def _at(self, place: PurePath) -> Any:
        return f"{self._path}/{place.as_posix()}"

    def _refused(self, place: PurePath, what: str, error: Exception) -> OutputError:
        return OutputError(
            f"{self.root}/{place.as_posix()} cannot be {what}",
            cause_text=words(error),
            hint="keys and endpoint are fsspec's, such as AWS_ENDPOINT_URL, in the environment of every machine",
        )
