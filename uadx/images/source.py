"""One image to inspect: where it comes from, what results call it and where its outputs go."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from numpy.typing import NDArray

from uadx.errors import InputError
from uadx.images.frame import Frame


@dataclass(frozen=True)
class Url:
    """An http or https address."""

    address: str


@dataclass(frozen=True)
class Stored:
    """A file that fsspec reaches: `s3://bucket/part.png`. version: its size and what else its file system says that
    changes with the content; empty where nobody asked."""

    url: str
    version: str = ""


Data: TypeAlias = "Path | Url | Stored | bytes | NDArray[Any] | io.BufferedReader | InputError"
"""A file here or in storage, an address, the encoded bytes, the pixels, or standard input. An InputError stands for an
item of a list, or a sub-directory, that is known to be unusable; decoding it raises that error."""


@dataclass(frozen=True)
class Source:
    """One image to inspect.

    label: what results call it: the path or URL, "array[0]" and "bytes[0]" (numbered by kind), "stdin".
    output: where its outputs go below the output directory, before their suffix: "sub/a.png". Relative,
    without "..". An only input is placed relative to itself: a directory's files as they lie in it, a file
    by its name. In a list, paths keep their directories, so that like-named files of two directories stay
    apart. frame: which one of a video or a live stream it is, None for a still image.
    """

    label: str
    output: PurePosixPath
    data: Data
    frame: Frame | None = None
