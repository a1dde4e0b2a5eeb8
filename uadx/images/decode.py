"""From a source to pixels: 8-bit BGR, upright, or an InputError that says why not."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError
from uadx.images import jpeg, stored, tiff
from uadx.images.fetch import fetch
from uadx.images.header import Header, read_header
from uadx.images.source import Source, Stored, Url


@dataclass(frozen=True)
class Limits:
    """How much one input may ask for.

    max_pixels: width x height, checked before decoding. min_side: the least width and height, in pixels: a
    smaller picture shows no part, and blown up to the model's size it would get a verdict all the same.
    max_bytes: of a file or standard input. url_timeout: seconds for a whole download. max_url_bytes: of a download.
    """

    max_pixels: int = 200_000_000
    min_side: int = 8
    max_bytes: int = 1 << 30
    url_timeout: float = 10.0
    max_url_bytes: int = 256 << 20


def load(source: Source, limits: Limits) -> NDArray[np.uint8]:
    """The image [H, W, 3], uint8, BGR, contiguous, EXIF orientation applied. Not to be written to.

    16-bit pixels are divided by 257 and rounded, grey is repeated in the three channels, alpha is dropped
    and the colours below it are kept as stored. An ndarray is BGR [H, W, 3], BGRA [H, W, 4] or grey [H, W]
    or [H, W, 1], uint8 or uint16; a uint8 BGR array may be returned itself (expand has copied the user's).
    Floating-point pixels are refused in files and arrays: nothing says which value is white. Of a
    multi-picture JPEG (previews, gain maps) the first is meant.

    Raises InputError, its message beginning with the source's label: not_found, empty, unreadable,
    not_an_image, truncated, too_large, too_small, animated, fetch_failed, timeout, unsupported.
    """
    if isinstance(source.data, InputError):
        raise source.data
    try:
        if isinstance(source.data, np.ndarray):
            image = _from_array(source.data, limits)
        else:
            image = _from_bytes(_encoded(source.data, limits), limits)
        height, width = image.shape[:2]
        if min(height, width) < limits.min_side:
            raise InputError("too_small", f"{width} x {height} pixels: no side may have fewer than {limits.min_side}")
        return image
    except InputError as error:
        message = f"{source.label}: {error.message}"
        raise InputError(error.kind, message, cause_text=error.cause_text) from error


def examine(source: Source, limits: Limits) -> tuple[bytes, tuple[int, int]]:
    """A file's bytes, and its picture's height and width as load() will give them, by its header alone.

    Raises InputError for what shows before a pixel is decoded.
    """
    assert isinstance(source.data, Path)
    try:
        data = _encoded(source.data, limits)
        header = _checked_header(data, limits)
    except InputError as error:
        raise InputError(error.kind, f"{source.label}: {error.message}", cause_text=error.cause_text) from error
    high, wide = (header.height, header.width)[:: -1 if header.orientation >= 5 else 1]
    return data, (high, wide)


def _encoded(data: Path | Url | Stored | bytes | io.BufferedReader, limits: Limits) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, Url):
        return fetch(data.address, timeout=limits.url_timeout, max_bytes=limits.max_url_bytes)
    if isinstance(data, Path):
        return _read_file(data, limits.max_bytes)
    if isinstance(data, Stored):
        return stored.read(data, limits.max_bytes)
    return _read_stream(data, limits.max_bytes)


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        status = os.stat(path)  # before opening: to open a pipe waits for its writer
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
            raise InputError("unreadable", f"{what}, not a file")
        _check_bytes(status.st_size, max_bytes)
        with open(path, "rb", buffering=0) as file:  # no buffer between: half of the system calls
            return file.readall()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "a link to a file that does not exist" if path.is_symlink() else "there is no such file"
        raise InputError("not_found", what, cause_text=error.strerror) from None
    except OSError as error:
        raise InputError("unreadable", "cannot be read", cause_text=error.strerror) from None


def _read_stream(stream: io.BufferedReader, max_bytes: int) -> bytes:
    data = bytearray()
    while piece := stream.read(1 << 20):  # not read(max_bytes), which would allocate as much at once
        data += piece
        _check_bytes(len(data), max_bytes)
    return bytes(data)


def _check_bytes(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise InputError("too_large", f"larger than the limit of {max_bytes:,} bytes")


def _checked_header(data: bytes, limits: Limits) -> Header:
    if not data:
        raise InputError("empty", "the file is empty")
    header = read_header(data)
    if header.frames > 1:
        raise InputError(
            "animated",
            f"a {header.format} of several frames or pages: one would hide the others, save each as a file",
        )
    _check_pixels(header.width, header.height, limits)
    return header


def _from_bytes(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    header = _checked_header(data, limits)
    if header.format == "TIFF":
        data = tiff.with_colours_as_stored(data)
    image = _decoded(data, header)
    if header.format == "JPEG" and jpeg.may_lack_data(image):
        more = _decoded(jpeg.with_more_data(data), header)
        if not np.array_equal(image, more):
            raise InputError("truncated", "the JPEG is damaged: its data end before its picture is complete")
    return _upright(_eight_bits(image), header.orientation)


def _decoded(data: bytes, header: Header) -> NDArray[Any]:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    message = f"OpenCV cannot decode this {header.format}: damaged, or of a kind that OpenCV does not know"
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError("unsupported", message, cause_text=str(error)) from None
    if image is None:
        raise InputError("unsupported", message)
    return image


def _from_array(array: NDArray[Any], limits: Limits) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(
            "unsupported",
            f"an array of shape {array.shape}: pass [H, W], BGR [H, W, 3] or BGRA [H, W, 4], many in a list",
        )
    if not array.size:
        raise InputError("empty", f"an array of shape {array.shape} has no pixel")
    _check_pixels(array.shape[1], array.shape[0], limits)
    image = np.ascontiguousarray(_eight_bits(array))
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR).astype(np.uint8, copy=False)
    return image


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise InputError("too_large", f"{width} x {height} pixels, more than max_pixels allows ({limits.max_pixels:,})")


_EIGHT_BITS = ((np.arange(1 << 16, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def _eight_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return np.take(_EIGHT_BITS, image)
    raise InputError(
        "unsupported", f"{image.dtype} pixels: scale them to uint8 (0 to 255) or uint16 (0 to 65535) first"
    )


_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""By EXIF orientation, what to flip once 5 to 8 have their axes swapped: 1 columns, 0 rows, -1 both."""


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    turned: NDArray[Any] = cv2.transpose(image) if orientation >= 5 else image
    if orientation in _FLIPS:
        turned = cv2.flip(turned, _FLIPS[orientation])
    return turned
