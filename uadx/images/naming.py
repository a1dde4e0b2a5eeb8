"""How inputs are named: in results, below the output directory, and when the user mistyped them."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import SplitResult

_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")


def is_address(text: str) -> bool:
    """Whether text is a URL of any scheme rather than a path ("C://" is one)."""
    return bool(re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE))


def place(written: str) -> PurePosixPath:
    """A path as it lies below the output directory: without its root, "__" for ".."."""
    path = PurePath(written)
    parts = ["__" if part == ".." else part for part in path.parts if part != path.anchor]
    return PurePosixPath(*filter(None, [path.drive.strip(":\\/")]), *parts)


def place_url(address: SplitResult) -> PurePosixPath:
    """An address as host/path below the output directory.

    Pictures that differ only in their query ("?camera=2") stay apart by its hash; as a name it may be too
    long.
    """
    *folders, name = [part for part in address.path.split("/") if part] or ["index"]
    query = [hashlib.sha256(address.query.encode()).hexdigest()[:8]] if address.query else []
    return place("/".join([address.netloc.replace(":", "_"), *folders, *query, name]))


def printable(path: str | os.PathLike[str]) -> str:
    """A path as one line of text that can be printed and written to JSON: bytes that are not UTF-8, newlines and other
    control characters are escaped."""
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def close_names(path: Path) -> list[Path]:
    """What a missing path may have been meant to be: neighbours of its first missing component."""
    missing = next((part for part in [*reversed(path.parents), path] if not os.path.lexists(part)), path)
    try:
        neighbours = [entry.name for entry in itertools.islice(missing.parent.iterdir(), 1000)]
    except OSError:  # nothing to suggest from
        return []
    return [missing.parent / name for name in difflib.get_close_matches(missing.name, neighbours)]


def without_password(text: str) -> str:
    """An address without its user and password; any other text as it is."""
    return re.sub(r"://[^/]*@", "://", text)
