"""JPEG: its markers, and damage between them that OpenCV does not report.

libjpeg decodes what it can of a damaged file and says so on the standard error stream at most, and OpenCV passes
nothing on. Damage is found here by what it leaves: a marker that has no place inside a picture's data, restart
markers out of step, long runs of zeros (sectors that were never written), and data that end early. Other flipped
bits decode to wrong pixels and cannot be told from right ones without decoding every code once more.
Source: ITU T.81; libjpeg's jdhuff.c for what it does where data end early.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError
from uadx.images import tiff

_MARKER = re.compile(rb"\xff([\x01-\xfe])")
"""0xFF and neither a stuffed zero nor a fill byte."""

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_HUFFMAN, _RESTART, _START, _END, _SCAN, _INTERVAL, _EXIF = 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xDD, 0xE1
_AFTER_SCAN = frozenset({_HUFFMAN, 0xCC, _END, _SCAN, 0xDB, 0xDC, _INTERVAL, 0xFE, *range(0xE0, 0xF0)})
"""Tables, the next scan, the number of lines, comments, the end."""

_ZEROS = bytes(64)
_MORE = bytes(range(1, 128))
_GREY, _BLOCK = 128, 8


class Frame(NamedTuple):
    """width, height: pixels as stored. orientation: EXIF's, 1 to 8. end: where the end marker lies. components: 1 in
    grey, 3 in colour, 4 in the inks of a printer."""

    width: int
    height: int
    orientation: int
    end: int
    components: int


def read_frame(data: bytes) -> Frame | None:
    """Walk the file from marker to marker; None where its end is missing. Of several pictures the first is read.

    Raises InputError (unreadable) where the picture's data are damaged, struct.error past the end of the file.
    """
    at, orientation, interval = 2, 1, 0
    frame, shortest = b"", set[int]()
    sequential = scanned = False
    while marker := _MARKER.search(data, at):
        at, code = marker.end(), marker[1][0]
        if scanned and code not in _AFTER_SCAN:
            raise _damaged(f"a marker (0xff{code:02x}) that has no place there")
        if code == _END and frame:
            height, width = struct.unpack_from(">HH", frame, 1)
            return Frame(width, height, orientation, marker.start(), frame[5])
        if code == 0x01 or _RESTART <= code <= _END:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        body = data[at + 2 : at + length]
        at += length
        if code in _SOF and not frame:
            frame, sequential = body, code in _SEQUENTIAL
        elif code == _HUFFMAN:
            shortest |= _shortest_codes(body)
        elif code == _INTERVAL:
            (interval,) = struct.unpack_from(">H", body)
        elif code == _EXIF and body.startswith(b"Exif\0\0"):
            orientation = tiff.exif_orientation(body)
        elif code == _SCAN:
            end = _end_of_scan(data, at, interval)
            # all components in turn, one of which says "no more coefficients" with another code than zeros
            of_all = frame[5:6] == body[:1]
            if end and sequential and of_all and shortest - {0} and data.find(_ZEROS, at, end) >= 0:
                raise _damaged(f"{len(_ZEROS)} zeros or more in a row")
            at, scanned = end, True
            if not end:
                return None
    return None


def may_lack_data(image: NDArray[np.generic]) -> bool:
    """Whether a decoded picture, not yet turned, ends in the grey that libjpeg fills in where data are missing."""
    bottom, right = ((side - 1) // _BLOCK * _BLOCK for side in image.shape[:2])
    return bool((image[bottom:, right:] == _GREY).all())


def with_more_data(data: bytes) -> bytes:
    """The file with further data before its end marker: where the picture is complete they are left unread, and the
    file decodes to the same pixels."""
    frame = read_frame(data)
    assert frame is not None
    return data[: frame.end] + _MORE + data[frame.end :]


def _end_of_scan(data: bytes, start: int, interval: int) -> int:
    """Where the marker behind a scan's data lies, 0 where there is none. interval: blocks between restarts, or 0."""
    for restarts, marker in enumerate(_MARKER.finditer(data, start)):
        code = marker[1][0]
        if not _RESTART <= code < _START:
            return marker.start()
        if not interval or code != _RESTART + restarts % 8:
            raise _damaged("a restart marker that is out of step")
    return 0


def _shortest_codes(tables: bytes) -> set[int]:
    """What the code of nothing but zeros stands for in each Huffman table of AC coefficients; 0 is "no more"."""
    at, meanings = 0, set()
    while at + 17 < len(tables):
        if tables[at] >> 4:
            meanings.add(tables[at + 17])
        at += 17 + sum(tables[at + 1 : at + 17])
    return meanings


def _damaged(what: str) -> InputError:
    return InputError("unreadable", f"the JPEG is damaged within its picture: {what}")
