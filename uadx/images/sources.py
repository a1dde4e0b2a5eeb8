"""Which images an input means. Reads directory entries and list files, never an image."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError, UnavailableError, UsageError
from uadx.images.frame import VIDEO_SUFFIXES
from uadx.images.header import HEAD, is_image
from uadx.images.listing import Line, is_list_file, read_lines, read_list
from uadx.images.naming import close_names, is_address, place, place_url, printable, without_password
from uadx.images.source import Source, Url
from uadx.images.stored import WILD, find
from uadx.images.walk import matches, walk
from uadx.output.record import holds_pictures_of_a_run

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jp2", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pxm", ".exr", ".hdr", ".pic"}
)
"""By these, in any letter case, images are found in a directory, where other files lie too; content decides what they
are."""

ReadVideo: TypeAlias = Callable[[Path, PurePosixPath], Iterator[Source]]
"""What makes the frames of a video file, which is placed there, into sources."""


class Sources(Iterator[Source]):
    """The images that were asked for, one by one. skipped: the files so far that a directory held beside them, which
    by their names are no images."""

    def __init__(self, found: Iterator[Source], skipped: Counter[str]) -> None:
        self._found = found
        self._skipped = skipped

    def __next__(self) -> Source:
        return next(self._found)

    @property
    def skipped(self) -> int:
        return self._skipped.total()


def expand(inputs: object, *, recursive: bool = True, read_video: ReadVideo | None = None) -> Sources:
    """The images that inputs means, one by one and in a fixed order.

    inputs: a file, a directory, a glob ("dir/**/*.png", where no file has that very name), any of these at an address
    that fsspec knows ("s3://bucket/line1"), an http(s) URL, a list file (.txt, .list: one of the former on each line,
    relative to the list's directory), "-" for standard input (such lines, or one image), an ndarray, the bytes of an
    image file, {"img": x} or
    {"input": x}, or a list or tuple of any of these. In a directory, files with the suffix of an image are
    taken; files that are named, or matched by a glob, whatever their suffix. Pictures that a run of uadx drew
    are left out where a directory or a glob finds them. An array is copied, at once where it is the only input
    and as its turn comes in a list. recursive: look into a directory's sub-directories. read_video: for files with
    the suffix of a video that are named, or matched by a glob; None: they are no images.

    Raises UsageError at once where inputs as a whole means nothing: a missing path, a directory without
    images, a wrong type, in a list too. Any other unusable item of a list or list file becomes a Source that
    fails to decode instead.
    """
    expansion = _Expansion(recursive, read_video)
    try:
        _check_types(inputs, "")
        return Sources(expansion.resolve(inputs, in_list=False), expansion.skipped)
    except InputError as error:
        mistyped = error.kind == "not_found" and isinstance(inputs, (str, Path))
        near = " or ".join(map(printable, close_names(Path(str(inputs))))) if mistyped else ""
        hint = f"did you mean {near}?" if near else None
        if error.kind == "empty" and expansion.skipped:
            hint = "in a directory, images are found by their suffix; a quoted glob takes files of any name"
        raise UsageError(error.message, hint=hint, cause_text=error.cause_text) from None


def _check_types(item: object, where: str) -> None:
    """Raises InputError for what no item can be. where: its place in a list, such as "[3]"."""
    if isinstance(item, (list, tuple)):
        for index, inner in enumerate(item):
            _check_types(inner, f"{where}[{index}]")
    elif isinstance(item, Mapping):
        keys = [key for key in ("img", "input") if key in item]
        if len(keys) != 1:
            at = where and f"input{where}: "
            raise InputError("unsupported", f"{at}a mapping must have one of the keys 'img' and 'input'")
        _check_types(item[keys[0]], where)
    elif not isinstance(item, (str, Path, bytes, bytearray, memoryview, np.ndarray)):
        kind, at = type(item), where and f" as input{where}"
        raise InputError(
            "unsupported",
            f"cannot inspect a {kind.__module__}.{kind.__qualname__}{at}: pass a path, a URL, an ndarray "
            "(BGR, [H, W, 3]), the bytes of an image file, or a list of these",
        )


@dataclass(frozen=True)
class _Expansion:
    """One call of expand. The methods raise InputError at once and return an iterator that does the rest."""

    recursive: bool
    read_video: ReadVideo | None
    unnamed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def resolve(self, item: object, *, in_list: bool) -> Iterator[Source]:
        """The images of an item whose type was checked."""
        if isinstance(item, Mapping):
            return self.resolve(item["img" if "img" in item else "input"], in_list=in_list)
        if isinstance(item, (list, tuple)):
            return self._each(item, "the list of inputs is empty")
        if isinstance(item, np.ndarray):
            return self._without_name("array", item.copy())
        if isinstance(item, (bytes, bytearray, memoryview)):
            return self._without_name("bytes", bytes(item))
        return self._text(str(item), in_list)

    def _text(self, text: str, in_list: bool) -> Iterator[Source]:
        if text == "-":
            return self._standard_input()
        if is_list_file(path := Path(text)):
            return self._each(read_list(path), f"the list {printable(path)} names no image")
        return self._named(text, text if in_list else None)

    def _without_name(self, kind: str, data: bytes | NDArray[Any]) -> Iterator[Source]:
        number = self.unnamed[kind]
        self.unnamed[kind] += 1
        return iter([Source(f"{kind}[{number}]", PurePosixPath(f"{kind}_{number}"), data)])

    def _standard_input(self) -> Iterator[Source]:
        # not sys.stdin.buffer: Python aborts where it ends while a thread waits in a read of that
        stream = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
        if is_image(stream.peek(HEAD)):
            return iter([Source("stdin", PurePosixPath("stdin"), stream)])
        return self._each(read_lines(stream, Path(), "standard input"), "standard input names no image")

    def _each(self, items: Iterable[object], when_empty: str) -> Iterator[Source]:
        sources = (source for index, item in enumerate(items) for source in self._item(item, index))
        return _not_empty(sources, InputError("empty", when_empty))

    def _item(self, item: object, index: int) -> Iterator[Source]:
        try:
            try:
                if isinstance(item, Line):
                    yield from self._named(item.path, item.written)
                else:
                    yield from self.resolve(item, in_list=True)
            except UnavailableError as error:  # a package for such addresses; the others are inspected
                raise InputError("unsupported", error.message, cause_text=error.hint) from error
        except InputError as error:
            if isinstance(item, Line):
                error = InputError(error.kind, f"{item.where}: {error.message}", cause_text=error.cause_text)
            yield _unusable(item, index, error)

    def _named(self, text: str, written: str | None) -> Iterator[Source]:
        """A URL, directory, file or glob. written: how a list names it, None where it is the only input."""
        if is_address(text):
            return self._address(text, in_list=written is not None)
        if not text or "\0" in text:
            raise InputError("not_found", f"{text!r} is not a path")
        path = Path(text)
        if os.path.isdir(path):
            return self._folder(path, PurePosixPath() if written is None else place(written))
        try:
            os.lstat(path)
        except OSError as error:
            if WILD.search(text):
                return self._glob(path, written)
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            kind, what = ("not_found", "does not exist") if missing else ("unreadable", "cannot be reached")
            raise InputError(kind, f"{printable(path)} {what}", cause_text=error.strerror) from None
        output = PurePosixPath(path.name) if written is None else place(written)
        return self._file(path, output)

    def _address(self, text: str, *, in_list: bool) -> Iterator[Source]:
        address = _split(text)
        if address.scheme in ("http", "https"):
            return iter([Source(printable(text), place_url(address), Url(text))])
        folder, found = find(text, self._has_image_suffix, recursive=self.recursive)
        below = place(folder.partition("://")[2]) if in_list else PurePosixPath()
        sources = (Source(printable(one.url), below / inside, one) for inside, one in found)
        return _not_empty(sources, InputError("empty", f"no image in {printable(text)}"))

    def _file(self, path: Path, output: PurePosixPath) -> Iterator[Source]:
        if self.read_video is not None and path.suffix.lower() in VIDEO_SUFFIXES:
            return self.read_video(path, output)
        return iter([Source(printable(path), output, path)])

    def _folder(self, folder: Path, output: PurePosixPath) -> Iterator[Source]:
        depth = math.inf if self.recursive else 1
        found = walk(folder, self._has_image_suffix, depth=depth, leave_out=holds_pictures_of_a_run)
        unsearched = "" if self.recursive else " itself; its sub-directories were not searched"
        none = f"no image in {printable(folder)}{unsearched}"
        return _not_empty(self._below(folder, output, found), InputError("empty", none))

    def _has_image_suffix(self, inside: PurePosixPath) -> bool:
        suffix = inside.suffix.lower()
        known = suffix in IMAGE_SUFFIXES
        if not known:
            self.skipped[suffix] += 1
        return known

    def _glob(self, pattern: Path, written: str | None) -> Iterator[Source]:
        folder, wild = Path(), list(pattern.parts)
        while len(wild) > 1 and not (WILD.search(wild[0]) and not os.path.lexists(folder / wild[0])):
            folder /= wild.pop(0)
        output = PurePosixPath()
        if written is not None:
            output = place(str(PurePath(*PurePath(written).parts[: -len(wild)])))
        found = walk(
            folder,
            lambda inside: matches(inside.parts, wild),
            depth=math.inf if "**" in wild else len(wild),
            leave_out=holds_pictures_of_a_run,
        )
        none = InputError(
            "not_found", f"no file matches {printable(pattern)} (a directory's files are matched by '**')"
        )
        return _not_empty(self._below(folder, output, found) if os.path.isdir(folder) else iter(()), none)

    def _below(
        self, folder: Path, output: PurePosixPath, found: Iterable[tuple[PurePosixPath, OSError | None]]
    ) -> Iterator[Source]:
        for inside, failure in found:
            path = folder / inside
            if failure is None:
                yield from self._file(path, output / inside)
                continue
            error = InputError("unreadable", f"{printable(path)} cannot be listed", cause_text=failure.strerror)
            if not inside.parts:
                raise error
            yield Source(printable(path), output / inside, error)


def _split(text: str) -> SplitResult:
    """An address in its parts, where it may be that of images."""
    try:
        address = urlsplit(text)
    except ValueError as error:
        raise InputError("unsupported", f"{printable(text)} is not an address", cause_text=str(error)) from None
    if address.scheme in ("rtsp", "rtsps"):
        raise InputError(
            "unsupported",
            f"{address.hostname}: a live stream must be the only input of a run; images come by http or https",
        )
    if "@" in address.netloc:
        raise InputError("unsupported", f"{address.hostname}: addresses with a user name are not supported")
    return address


def _unusable(item: object, index: int, error: InputError) -> Source:
    """A list's item as a source that raises error. No password of an address goes into its label."""
    text = item.path if isinstance(item, Line) else str(item) if isinstance(item, (str, Path)) else ""
    label = printable(without_password(text)) or f"input[{index}]"
    output = place(item.written if isinstance(item, Line) else text)
    return Source(label, PurePosixPath(f"input_{index}") if is_address(text) or not output.parts else output, error)


def _not_empty(sources: Iterator[Source], otherwise: InputError) -> Iterator[Source]:
    first = next(sources, None)
    if first is None:
        raise otherwise
    return itertools.chain([first], sources)
