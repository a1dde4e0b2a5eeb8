"""Images in object stores and on other file systems, found and read by fsspec: `s3://bucket/line1`, `gs://`, `file://`.

Credentials and endpoints are fsspec's own matter: https://filesystem-spec.readthedocs.io, "Configuration".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from uadx.contract import words
from uadx.errors import InputError, UnavailableError
from uadx.images.naming import printable
from uadx.images.source import Stored
from uadx.images.walk import natural_order
from uadx.output.record import PICTURE_FOLDERS, RECORD, is_record

WILD = re.compile(r"[*?[]")
_VERSIONS = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "created")
"""What file systems call the thing that changes with a file's content."""


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path there.

    Raises UnavailableError where a package is missing, InputError where nobody knows such addresses.
    """
    scheme = url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UnavailableError(
            f"{scheme}:// takes the package 'fsspec', which is not installed",
            hint="python -m pip install 'uadx[storage]'",
            cause_text=str(error),
        ) from error
    try:
        fs, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UnavailableError(
            f"a package for {scheme}:// is not installed",
            hint="install what fsspec names: s3fs for s3://, gcsfs for gs://, adlfs for abfs://",
            cause_text=str(error),
        ) from error
    except ValueError as error:
        raise InputError(
            "unsupported", f"{printable(url)}: no address that fsspec knows", cause_text=words(error)
        ) from error
    return fs, path


def read(stored: Stored, max_bytes: int) -> bytes:
    """The file's bytes. Raises InputError: not_found, unreadable, too_large."""
    fs, path = file_system(stored.url)
    try:
        if (size := fs.info(path)["size"]) > max_bytes:
            raise InputError("too_large", f"{size:,} bytes, more than the limit of {max_bytes:,}")
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        raise InputError("not_found", "there is no such file") from None
    except InputError:
        raise
    except Exception as error:  # every file system has exceptions of its own
        raise InputError("unreadable", "cannot be read", cause_text=words(error)) from error
    return data


def find(
    url: str, accept: Callable[[PurePosixPath], bool], *, recursive: bool
) -> tuple[str, Iterator[tuple[PurePosixPath, Stored]]]:
    """What an address means: a file, the files of a folder that accept takes, or those that a glob matches.

    Returns the folder's address, and each file with its path from there, in `walk`'s order; one folder's entries are in
    memory at a time. Raises InputError where there is nothing, and what file_system does.
    """
    fs, path = file_system(url)
    try:
        info = fs.info(path)
    except FileNotFoundError:
        wild = WILD.search(url)
        if wild is None:
            raise InputError("not_found", f"{printable(url)} does not exist") from None
        return url[: wild.start()].rpartition("/")[0], _matches(fs, path, url)
    except Exception as error:
        raise InputError("unreadable", f"{printable(url)} cannot be reached", cause_text=words(error)) from error
    if info["type"] == "directory":
        return url, _below(fs, path.rstrip("/"), accept, recursive)
    return url.rpartition("/")[0], iter([(PurePosixPath(_last(path)), _stored(fs, info))])


def _below(
    fs: Any, root: str, accept: Callable[[PurePosixPath], bool], recursive: bool
) -> Iterator[tuple[PurePosixPath, Stored]]:
    pending = [root]
    while pending:
        folder = pending.pop()
        if folder != root and _holds_pictures_of_a_run(fs, folder):
            continue
        folders = []
        for name, entry in _entries(fs, folder):
            if entry["type"] == "directory":
                folders.append(name)
            elif accept(inside := PurePosixPath(name[len(root) :].lstrip("/"))):
                yield inside, _stored(fs, entry)
        if recursive:
            pending += reversed(folders)


def _entries(fs: Any, folder: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        listed = fs.ls(folder, detail=True)
    except Exception as error:
        url = fs.unstrip_protocol(folder)
        raise InputError("unreadable", f"{printable(url)} cannot be listed", cause_text=words(error)) from error
    named = [(entry["name"].rstrip("/"), entry) for entry in listed]
    visible = [(name, entry) for name, entry in named if name != folder and not _last(name).startswith(".")]
    return sorted(visible, key=lambda each: natural_order(_last(each[0])))


def _matches(fs: Any, pattern: str, url: str) -> Iterator[tuple[PurePosixPath, Stored]]:
    fixed = pattern[: WILD.search(pattern).start()].rpartition("/")[0]  # type: ignore[union-attr]
    found = [(name, entry) for name, entry in fs.glob(pattern, detail=True).items() if entry["type"] != "directory"]
    if not found:
        raise InputError("not_found", f"no file matches {printable(url)}")
    for name, entry in sorted(found, key=lambda each: natural_order(each[0])):
        yield PurePosixPath(name[len(fixed) :].lstrip("/")), _stored(fs, entry)


def _holds_pictures_of_a_run(fs: Any, folder: str) -> bool:
    parent, _, name = folder.rpartition("/")
    if name not in PICTURE_FOLDERS:
        return False
    try:
        return is_record(fs.cat_file(f"{parent}/{RECORD}"))
    except FileNotFoundError:
        return False


def _stored(fs: Any, info: dict[str, Any]) -> Stored:
    facts = [str(info[key]) for key in ("size", *_VERSIONS) if key in info]
    return Stored(fs.unstrip_protocol(info["name"]), " ".join(facts))


def _last(name: str) -> str:
    return name.rpartition("/")[2]
