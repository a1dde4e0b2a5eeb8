"""TIFF directories: a file format of their own, and how EXIF is written inside JPEG, PNG and WebP.

Source: TIFF 6.0 (Adobe, 1992); BigTIFF as libtiff describes it. Reading past the end raises struct.error or
OverflowError. What a file may make this package read is bounded: its directories may overlap and repeat each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from uadx.errors import InputError

SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, EXTRA_SAMPLES = 254, 256, 257, 258, 262, 274, 338
OFFSETS, COUNTS = (273, 324), (279, 325)
"""Where the pixels lie and how many bytes they take: strips, tiles."""

_TAGS = frozenset({SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, EXTRA_SAMPLES, *OFFSETS, *COUNTS})
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES, _MOST_VALUES = 4096, 1 << 18
"""Of a directory, where some dozens are usual; of an entry: a strip for each row of the tallest pictures."""
_UNASSOCIATED, _ASSOCIATED = 2, 1
_SEPARATED = 5


class Field(NamedTuple):
    """The values of a tag and where the first one lies in the file."""

    values: tuple[int, ...]
    at: int


def directories(data: bytes) -> Iterator[dict[int, Field]]:
    """The fields of each directory, of those tags that this package needs. Raises InputError, unreadable."""
    order = _order(data)
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    word, many, entry_size = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at)
        (entries,) = struct.unpack_from(order + many, data, at)
        _check("entries", entries, _MOST_ENTRIES)
        first = at + struct.calcsize(many)
        fields = {}
        for entry in range(first, first + entries * entry_size, entry_size):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if tag in _TAGS and kind in _CODES and tag not in fields:
                (count,) = struct.unpack_from(order + word, data, entry + 4)
                _check("values", count, _MOST_VALUES)
                where = entry + 4 + struct.calcsize(word)
                if count * struct.calcsize(_CODES[kind]) > struct.calcsize(word):
                    (where,) = struct.unpack_from(order + word, data, where)
                fields[tag] = Field(struct.unpack_from(f"{order}{count}{_CODES[kind]}", data, where), where)
        yield fields
        (at,) = struct.unpack_from(order + word, data, first + entries * entry_size)


def _check(what: str, count: int, most: int) -> None:
    if count > most:
        raise InputError("unreadable", f"the TIFF is damaged: {count:,} {what} where {most:,} may be")


def end_of_pixels(fields: dict[int, Field]) -> int:
    """The byte behind the last strip or tile of a directory; 0 where it does not say."""
    return max(
        (
            start + size
            for offsets, counts in zip(OFFSETS, COUNTS, strict=True)
            if offsets in fields and counts in fields
            for start, size in zip(fields[offsets].values, fields[counts].values, strict=False)
        ),
        default=0,
    )


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block asks for; 1 where it does not say or is damaged."""
    try:
        fields = next(directories(exif.removeprefix(b"Exif\0\0")), {})
    except (struct.error, OverflowError, InputError):
        return 1
    value = fields[ORIENTATION].values[:1] if ORIENTATION in fields else ()
    return value[0] if value and 1 <= value[0] <= 8 else 1


def in_inks(data: bytes) -> bool:
    """Whether the first picture's colours are those of a printer (CMYK)."""
    kind = next(directories(data), {}).get(PHOTOMETRIC)
    return kind is not None and kind.values[:1] == (_SEPARATED,)


def with_colours_as_stored(data: bytes) -> bytes:
    """The file with its unassociated alpha declared as associated.

    libtiff multiplies 8-bit colours by an unassociated alpha while it decodes, which would blacken what is
    transparent; associated alpha means that this was done, and the colours are left alone.
    """
    extra = next(directories(data)).get(EXTRA_SAMPLES)
    if extra is None or extra.values[:1] != (_UNASSOCIATED,):
        return data
    return data[: extra.at] + struct.pack(_order(data) + "H", _ASSOCIATED) + data[extra.at + 2 :]


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"
