"""What an image file says of itself before a pixel is decoded, and whether it is all there.

Decoders differ in what they make of a file cut short (OpenCV 4 returns a JPEG's missing part in grey),
allocate before they look, and show the first of many frames. So each format's own structure is walked here,
from its magic number to its end marker or to the last byte that its sizes promise; what follows that is
ignored. Sources: ITU T.81 (JPEG), W3C PNG 3rd edition, RFC 9649 (WebP), GIF89a, ISO 15444-1 (JPEG 2000),
ISO 23000-22 (AVIF), Netpbm's manual pages.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from itertools import islice

from uadx.errors import InputError
from uadx.images import jpeg, tiff

HEAD = 64
"""So many bytes from the start of a file tell whether it is an image."""
_LONGEST_HEAD = 4096
"""Bytes of magic number, or of a text header; a pattern's memory grows with what it may match."""
_MOST_PAGES = 64
"""So many directories of a TIFF are read."""


@dataclass(frozen=True)
class Header:
    """width, height: pixels as stored. orientation: EXIF's 1 to 8, for the caller to apply.

    frames: pages, or frames of an animation; above 1 they may not have been counted to the end.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    orientation: int = 1


def is_image(head: bytes) -> bool:
    """Whether the first HEAD bytes of a file are those of an image in a known format."""
    return any(re.match(magic, head, re.DOTALL) for magic, _ in _FORMATS)


def read_header(data: bytes) -> Header:
    """Read the header of an image file and check that the file is complete.

    Raises InputError: not_an_image, truncated, unreadable (a checksum is wrong), unsupported.
    """
    for magic, read in _FORMATS:
        if re.match(magic, data[:_LONGEST_HEAD], re.DOTALL):
            try:
                return read(data)
            except (struct.error, IndexError, OverflowError):  # a header that goes on past the end of the file
                raise _cut_short() from None
    raise InputError("not_an_image", "its content is not that of a known image format")


def _cut_short() -> InputError:
    return InputError("truncated", "the file is cut short: its end is missing")


def _must_reach(data: bytes, end: int) -> None:
    if end > len(data):
        raise _cut_short()


def _jpeg(data: bytes) -> Header:
    frame = jpeg.read_frame(data)
    if frame is None:
        raise _cut_short()
    return Header("JPEG", frame.width, frame.height, orientation=frame.orientation)


def _png(data: bytes) -> Header:
    at, frames, orientation = 8, 1, 1
    view = memoryview(data)
    width, height = struct.unpack_from(">II", data, 16)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        _must_reach(data, end)
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise InputError("unreadable", f"the PNG is damaged: a checksum ({kind!r}) is wrong")
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
        elif kind == b"eXIf":
            orientation = tiff.exif_orientation(data[at + 8 : end - 4])
        elif kind == b"IEND":
            return Header("PNG", width, height, frames, orientation)
        at = end


def _webp(data: bytes) -> Header:
    at, frames, orientation = 12, 0, 1
    width = height = 0
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    _must_reach(data, end)
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = at + 8
        _must_reach(data, body + length)
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(data[body + i : body + i + 3], "little") for i in (4, 7))
        elif kind == b"VP8 " and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, body + 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", data, body + 1)
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF":
            orientation = tiff.exif_orientation(data[body : body + length])
        at = body + length + length % 2
    return Header("WebP", width, height, max(frames, 1), orientation)


def _bmp(data: bytes) -> Header:
    start, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        run_length_size = 0
    else:
        width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", data, 18)
        run_length_size = size if compression not in (0, 3, 6) else 0
    _must_reach(data, start + (run_length_size or (width * bits + 31) // 32 * 4 * abs(height)))
    return Header("BMP", width, abs(height))


def _tiff(data: bytes) -> Header:
    directories = list(islice(tiff.directories(data), _MOST_PAGES))
    first, others = directories[0], directories[1:]
    _must_reach(data, tiff.end_of_pixels(first))
    width, height = (first[tag].values[0] if tag in first else 0 for tag in (tiff.WIDTH, tiff.HEIGHT))
    # thumbnails (bit 0) and masks (bit 2) belong to the page before them
    pages = [page for page in others if not (tiff.SUBFILE in page and page[tiff.SUBFILE].values[0] & 0b101)]
    return Header("TIFF", width, height, 1 + len(pages))  # OpenCV applies the orientation of a TIFF itself


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _gif_colours(flags), 0
    while data[at] != 0x3B and frames < 2:
        if data[at] == 0x2C:
            frames += 1
            at += 11 + _gif_colours(data[at + 9])
        else:
            at += 2
        while data[at]:  # blocks of up to 255 bytes, then an empty one
            at += 1 + data[at]
        at += 1
    return Header("GIF", width, height, frames)


def _gif_colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_PNM_MAXIMUM = re.compile(rb"(?:\s|#[^\n]*\n)+(\d{1,9})")
_PNM = re.compile(rb"P([1-6])" + 2 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})")


def _pnm(data: bytes) -> Header:
    if not (header := _PNM.match(data, 0, _LONGEST_HEAD)):
        raise _cut_short()
    variant, width, height = (int(number) for number in header.groups())
    at, depth = header.end() + 1, 1
    if variant not in (1, 4):
        if not (maximum := _PNM_MAXIMUM.match(data, header.end(), header.end() + _LONGEST_HEAD)):
            raise _cut_short()
        at, depth = maximum.end() + 1, 1 if int(maximum[1]) < 256 else 2
    samples = width * height * (3 if variant in (3, 6) else 1)
    # numbers as text take a digit and a space at least
    least = {1: samples, 4: (width + 7) // 8 * height, 5: samples * depth, 6: samples * depth}
    _must_reach(data, at + least.get(variant, 2 * samples - 1))
    return Header("PNM", width, height)


def _jpeg2000(data: bytes) -> Header:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise _cut_short()
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    # compressed data holds no code above 0xFF8F, so that the first end marker behind its start is the end
    if data.find(b"\xff\xd9", data.find(b"\xff\x93", start)) < 0:
        raise _cut_short()
    return Header("JPEG 2000", right - left, bottom - top)


def _avif(data: bytes) -> Header:
    at, missing, properties = 0, {b"meta", b"mdat"}, b""
    while missing:
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        end = at + length if length else len(data)
        _must_reach(data, max(end, at + 8))
        if kind == b"meta":
            properties = data[at:end]
        missing.discard(kind)
        at = max(end, at + 8)
    if re.search(rb"\0\0\0\x09irot[^\0]|\0\0\0\x09imir", properties, re.DOTALL):
        raise InputError("unsupported", "OpenCV ignores the rotation of this AVIF: save it as PNG")
    sizes = [
        struct.unpack(">II", match[1]) for match in re.finditer(rb"\0\0\0\x14ispe\0{4}(.{8})", properties, re.DOTALL)
    ]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return Header("AVIF", width, height, 2 if data[8:12] == b"avis" else 1)


def _floating(data: bytes) -> Header:
    raise InputError("unsupported", "floating-point pixels have no fixed white: save the image with 8 or 16 bits")


_FORMATS = (
    (rb"\xff\xd8\xff", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", _bmp),
    (rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", _tiff),
    (rb"RIFF.{4}WEBP", _webp),
    (rb"GIF8[79]a", _gif),
    (rb"P[1-6](\s|#[^\n]*\n)+\d", _pnm),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _jpeg2000),
    (rb".{4}ftyp.{0,40}avi[fs]", _avif),
    (rb"\x76\x2f\x31\x01|#\?RADIANCE|#\?RGBE|P[Ff]\s", _floating),
)
