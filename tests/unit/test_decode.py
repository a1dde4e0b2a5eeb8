"""Decoding: what arrives as pixels, and what is refused and why."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.header import is_image, read_header
from uadx.images.source import Source
from uadx.images.sources import expand

DEFAULT = Limits(min_side=1)  # pictures whose every pixel can be written down
ROWS, COLUMNS = np.mgrid[:40, :60]
RGB = np.stack([COLUMNS * 4, ROWS * 6, (COLUMNS + ROWS) * 2], -1).astype(np.uint8)
BGR = np.ascontiguousarray(RGB[..., ::-1])
GREY = RGB[..., 0]
NOISE = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)


GIF = pytest.param(
    "GIF", marks=pytest.mark.skipif(not cv2.haveImageWriter("a.gif"), reason="OpenCV before 4.11 knows no GIF")
)


def encoded(pixels: Any, format: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def source(data: Any) -> Source:
    return Source("the label", PurePosixPath("a"), data)


def decode(data: Any, limits: Limits = DEFAULT) -> np.ndarray:
    image = load(source(data), limits)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    return image


def refusal(data: Any, limits: Limits = DEFAULT) -> InputError:
    with pytest.raises(InputError) as caught:
        load(source(data), limits)
    assert caught.value.message.startswith("the label: ")
    return caught.value


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


LOSSLESS = {
    "png": encoded(RGB, "PNG"),
    "bmp": encoded(RGB, "BMP"),
    "ppm": encoded(RGB, "PPM"),
    "tiff": encoded(RGB, "TIFF"),
    "tiff lzw": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "webp": encoded(RGB, "WEBP", lossless=True),
    "jpeg 2000": encoded(RGB, "JPEG2000"),
}
LOSSY = {
    "jpeg": encoded(RGB, "JPEG", quality=95),
    "progressive jpeg": encoded(RGB, "JPEG", quality=95, progressive=True),
    "jpeg with restarts": encoded(RGB, "JPEG", quality=95, restart_marker_blocks=1),
    "webp": encoded(RGB, "WEBP", quality=95),
}
FILES = {**LOSSLESS, **{f"lossy {name}": data for name, data in LOSSY.items()}}
each_file = pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())


@pytest.mark.parametrize("data", LOSSLESS.values(), ids=LOSSLESS.keys())
def test_a_lossless_file_decodes_to_its_pixels_in_bgr(data: bytes):
    np.testing.assert_array_equal(decode(data), BGR)


@pytest.mark.parametrize("data", LOSSY.values(), ids=LOSSY.keys())
def test_a_lossy_file_decodes_to_nearly_its_pixels(data: bytes):
    assert np.abs(decode(data).astype(int) - BGR).mean() < 3


@each_file
def test_the_header_agrees_with_pillow(data: bytes):
    header = read_header(data)
    with Image.open(io.BytesIO(data)) as image:
        assert (header.width, header.height) == image.size
        assert header.frames == getattr(image, "n_frames", 1)


@each_file
@pytest.mark.parametrize(
    "tail", [b"\n", b"\0" * 300, b"\xff\xd8\xff\xe0 junk \xff" * 50], ids=["newline", "zeros", "junk"]
)
def test_bytes_after_the_end_of_a_file_are_ignored(data: bytes, tail: bytes):
    np.testing.assert_array_equal(decode(data + tail), decode(data))


@each_file
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_truncated(data: bytes, part: float):
    assert refusal(data[: int(len(data) * part)]).kind == "truncated"


@each_file
def test_a_file_that_lacks_only_its_last_byte_is_truncated(data: bytes):
    assert refusal(data[:-1]).kind == "truncated"


@each_file
def test_a_file_cut_anywhere_is_never_shown_as_a_picture(data: bytes):
    for length in range(1, len(data), max(1, len(data) // 200)):
        assert refusal(data[:length]).kind in ("truncated", "not_an_image")


def test_a_jpeg_whose_rest_is_zeros_is_truncated():
    data = encoded(NOISE, "JPEG")
    assert refusal(data[: len(data) // 2] + bytes(len(data) // 2)).kind == "truncated"


def jpeg_with_thumbnail() -> bytes:
    """A JPEG whose EXIF holds another whole JPEG, its end marker included."""
    exif = b"Exif\0\0" + turned(6).tobytes().removeprefix(b"Exif\0\0") + encoded(GREY, "JPEG")
    data = encoded(NOISE, "JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def test_a_jpeg_with_a_thumbnail_is_decoded_and_turned():
    assert decode(jpeg_with_thumbnail()).shape == (90, 80, 3)


def test_the_end_of_the_thumbnail_is_not_the_end_of_the_jpeg():
    data = jpeg_with_thumbnail()
    assert data.count(b"\xff\xd9") == 2
    assert refusal(data[: data.index(b"\xff\xd9") + 2]).kind == "truncated"
    assert refusal(data[: len(data) // 2]).kind == "truncated"


def test_the_first_picture_of_a_multi_picture_jpeg_is_meant():
    several = encoded(RGB, "MPO", save_all=True, append_images=[Image.fromarray(NOISE)])
    assert decode(several).shape == BGR.shape


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(format: str, orientation: int):
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    data = encoded(RGB, format, exif=turned(orientation), **lossless)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))[..., ::-1]
    image = decode(data)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= (4 if format == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 40])
def test_a_damaged_exif_block_is_as_none(exif: bytes):
    np.testing.assert_array_equal(decode(encoded(RGB, "PNG", exif=exif)), BGR)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP", "BMP"])
def test_a_grey_picture_has_three_equal_channels(format: str):
    image = decode(encoded(GREY, format, **({"lossless": True} if format == "WEBP" else {})))
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    assert np.abs(image[..., 0].astype(int) - GREY).max() <= (3 if format == "JPEG" else 0)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG2000"])
def test_alpha_is_dropped_and_the_colours_below_it_are_kept(format: str):
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[:20] = 128
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(decode(encoded(np.dstack([RGB, alpha]), format, **options)), BGR)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_with_alpha_is_grey(format: str):
    image = decode(encoded(Image.fromarray(np.dstack([GREY, GREY // 2])), format))
    np.testing.assert_array_equal(image, np.dstack([GREY] * 3))


def test_a_16_bit_alpha_is_dropped():
    _, data = cv2.imencode(".png", np.dstack([BGR, GREY]).astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode(data.tobytes()), BGR)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm"])
def test_16_bits_are_divided_by_257_and_rounded(suffix: str):
    deep = np.random.default_rng(1).integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    deep[0, :4, 0] = [0, 128, 129, 65535]
    _, data = cv2.imencode(suffix, deep)
    np.testing.assert_array_equal(decode(data.tobytes()), np.rint(deep / 257).astype(np.uint8))


def test_a_16_bit_grey_picture_is_scaled():
    data = encoded(GREY.astype(np.uint16) * 257, "PNG")
    np.testing.assert_array_equal(decode(data), np.dstack([GREY] * 3))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", GIF])
def test_a_palette_is_looked_up(format: str):
    picture = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(decode(encoded(picture, format)), np.asarray(picture.convert("RGB"))[..., ::-1])


def test_the_transparent_entry_of_a_palette_keeps_its_colour():
    picture = Image.fromarray(RGB).quantize(16)
    data = encoded(picture, "PNG", transparency=3)
    np.testing.assert_array_equal(decode(data), np.asarray(picture.convert("RGB"))[..., ::-1])


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("BMP", {}), ("PPM", {}), ("TIFF", {}), ("TIFF", {"compression": "group4"})],
)
def test_a_bilevel_picture_is_black_and_white(format: str, options: dict[str, Any]):
    picture = Image.fromarray(RGB).convert("1")
    white = np.asarray(picture).astype(np.uint8) * 255
    np.testing.assert_array_equal(decode(encoded(picture, format, **options)), np.dstack([white] * 3))


def interlaced_png() -> bytes:
    """Adam7 by hand: seven passes of unfiltered rows, each a sub-grid of the picture."""
    rows = b"".join(
        b"\0" + line.tobytes()
        for top, left, down, right in [
            (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
        ]
        for line in RGB[top::down, left::right]
    )  # fmt: skip
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 60, 40, 8, 2, 0, 0, 1)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def test_an_interlaced_png_is_decoded():
    np.testing.assert_array_equal(decode(interlaced_png()), BGR)


def test_a_cmyk_jpeg_has_its_colours():
    data = encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(decode(data).astype(int) - BGR).max() < 8


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_single_pixel_is_a_picture(format: str):
    pixel = np.full((1, 1, 3), 200, np.uint8)
    assert np.abs(decode(encoded(pixel, format)).astype(int) - 200).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (7, 500), (500, 7)])
def test_a_picture_with_a_side_below_8_pixels_is_too_small(shape: tuple[int, int]):
    pixels = np.full((*shape, 3), 200, np.uint8)
    for data in (pixels, encoded(pixels, "PNG")):
        error = refusal(data, Limits())
        assert error.kind == "too_small"
        assert f"{shape[1]} x {shape[0]} pixels: no side may have fewer than 8" in error.message


def test_a_picture_of_8_by_8_pixels_is_large_enough():
    assert decode(np.zeros((8, 8, 3), np.uint8), Limits()).shape == (8, 8, 3)


def test_a_bmp_stored_from_the_top_down_is_complete():
    data = bytearray(encoded(RGB, "BMP"))
    struct.pack_into("<i", data, 22, -40)
    np.testing.assert_array_equal(decode(bytes(data)), BGR[::-1])


def test_a_wrong_image_size_in_the_header_of_a_plain_bmp_is_ignored():
    data = bytearray(encoded(RGB, "BMP"))
    struct.pack_into("<I", data, 34, 1_000_000)
    np.testing.assert_array_equal(decode(bytes(data)), BGR)


def test_a_run_length_bmp_is_as_long_as_its_runs():
    runs = bytes([200, 1, 0, 0, 200, 2, 0, 1])  # a row of 200 ones, a row of twos above it
    palette = bytes([0, 0, 0, 0, 10, 20, 30, 0, 40, 50, 60, 0]) + bytes(4 * 253)
    header = struct.pack("<IiiHHIIiiII", 40, 200, 2, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    data = b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs
    np.testing.assert_array_equal(decode(data)[:, 0], [[40, 50, 60], [10, 20, 30]])
    assert refusal(data[:-1]).kind == "truncated"


def test_an_end_marker_in_a_comment_of_a_jpeg_2000_is_not_its_end():
    data = encoded(NOISE, "JPEG2000", comment=b"\xff\xd9")
    assert data.count(b"\xff\xd9") == 2
    assert decode(data).shape == NOISE.shape
    assert refusal(data[: len(data) // 2]).kind == "truncated"


def test_numbers_as_text_in_a_ppm_with_comments_are_read():
    data = b"P3\n# made by hand\n2 1 # size\n255\n255 0 0\n0 0 255\n"
    assert decode(data).tolist() == [[[0, 0, 255], [255, 0, 0]]]


def test_an_empty_file_is_empty():
    assert refusal(b"").kind == "empty"


@pytest.mark.parametrize("data", [b"x", b"hello world\n" * 20, b"%PDF-1.7\n" + bytes(500), bytes(1000)])
def test_what_is_no_image_is_not_an_image(data: bytes):
    assert refusal(data).kind == "not_an_image"


def test_an_image_larger_than_the_limit_is_refused_before_it_is_decoded():
    image = refusal(encoded(Image.new("1", (20_000, 20_000)), "PNG"))
    assert image.kind == "too_large"
    assert "20000 x 20000" in image.message


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", GIF])
def test_the_pixel_limit_can_be_set_and_holds_for_each_format(format: str):
    data = encoded(GREY if format == "GIF" else RGB, format)
    assert decode(data, Limits(max_pixels=2400)).shape == (40, 60, 3)
    assert refusal(data, Limits(max_pixels=2399)).kind == "too_large"


def test_a_header_that_promises_a_huge_picture_costs_no_memory():
    data = bytearray(encoded(RGB, "PNG"))
    struct.pack_into(">II", data, 16, 1_000_000, 1_000_000)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    assert refusal(bytes(data)).kind == "too_large"


def test_opencv_s_own_limit_is_an_error_of_the_input():
    data = bytearray(encoded(RGB, "PNG"))
    struct.pack_into(">II", data, 16, 1_000_000, 1_000_000)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    assert refusal(bytes(data), Limits(max_pixels=10**13)).kind == "unsupported"


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_or_pages_are_refused_since_one_would_hide_the_others(format: str):
    frames = [Image.fromarray(np.roll(NOISE, 9 * step)) for step in range(3)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert refusal(data).kind == "animated"


@pytest.mark.parametrize("format", [GIF, "PNG", "WEBP", "TIFF"])
def test_an_animation_of_one_frame_is_a_picture(format: str):
    assert decode(encoded(NOISE, format, save_all=True)).shape == NOISE.shape


def test_a_thumbnail_page_of_a_tiff_hides_nothing():
    page, small = Image.fromarray(RGB), Image.fromarray(RGB[::4, ::4])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    data = encoded(page, "TIFF", save_all=True, append_images=[small])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        assert image.tag_v2.get(254) == 1
    np.testing.assert_array_equal(decode(data), BGR)


def test_a_png_with_a_wrong_checksum_is_damaged():
    data = bytearray(encoded(NOISE, "PNG"))
    data[len(data) // 2] ^= 0xFF
    error = refusal(bytes(data))
    assert error.kind == "unreadable"
    assert "damaged" in error.message


def test_a_wrong_checksum_of_a_comment_is_no_damage():
    comment = struct.pack(">I4s4sI", 4, b"tEXt", b"a\0b!", 12345)
    data = LOSSLESS["png"]
    np.testing.assert_array_equal(decode(data[:33] + comment + data[33:]), BGR)


def test_what_opencv_cannot_decode_is_unsupported():
    data = encoded(RGB, "JPEG").replace(b"\xff\xc0", b"\xff\xc3")  # lossless JPEG
    error = refusal(data)
    assert error.kind == "unsupported"
    assert "JPEG" in error.message


@pytest.mark.parametrize("suffix", [".hdr", ".tiff", ".pfm"])
def test_floating_point_files_are_unsupported(suffix: str):
    _, data = cv2.imencode(suffix, BGR.astype(np.float32) / 255)
    error = refusal(data.tobytes())
    assert error.kind == "unsupported"


def test_an_exr_is_known_and_unsupported():
    assert refusal(b"\x76\x2f\x31\x01" + bytes(200)).kind == "unsupported"


needs_avif = pytest.mark.skipif(not cv2.haveImageWriter("a.avif"), reason="this OpenCV was built without AVIF")


@needs_avif
def test_an_avif_is_decoded_measured_and_checked():
    _, encoded_avif = cv2.imencode(".avif", BGR, [cv2.IMWRITE_AVIF_QUALITY, 95])
    data = encoded_avif.tobytes()
    assert np.abs(decode(data + b"junk" * 9).astype(int) - BGR).mean() < 4
    assert refusal(data, Limits(max_pixels=2399)).kind == "too_large"
    for length in (len(data) - 1, len(data) // 2, 100):
        assert refusal(data[:length]).kind == "truncated"


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_avif_is_refused_where_opencv_would_show_it_unturned(orientation: int):
    assert refusal(encoded(RGB, "AVIF", exif=turned(orientation))).kind == "unsupported"


def test_an_avif_sequence_is_animated():
    data = b"\0\0\0\x14ftypavis\0\0\0\0avis" + b"\0\0\0\x08meta\0\0\0\x08mdat"
    assert refusal(data).kind == "animated"


# files


@pytest.mark.parametrize("name", ["части/изделие №1.png", "部品.PNG", "a b%20c#?.jpg", "photo", "photo.txt.bmp"])
def test_any_path_and_any_suffix_is_read_by_content(tmp_path: Path, name: str):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(LOSSLESS["png"])
    (only,) = expand(str(path))
    np.testing.assert_array_equal(load(only, DEFAULT), BGR)


def test_a_missing_file_is_not_found(tmp_path: Path):
    assert refusal(tmp_path / "missing.png").kind == "not_found"


def test_a_dangling_link_is_not_found_and_said_to_be_a_link(tmp_path: Path):
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "gone.png")
    error = refusal(link)
    assert error.kind == "not_found"
    assert "link" in error.message


def test_a_link_to_itself_is_unreadable(tmp_path: Path):
    link = tmp_path / "a.png"
    link.symlink_to(link)
    error = refusal(link)
    assert error.kind == "unreadable"
    assert error.cause_text == os.strerror(errno.ELOOP)


def test_a_directory_is_unreadable(tmp_path: Path):
    assert "directory" in refusal(tmp_path).message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    errors: list[InputError] = []
    thread = threading.Thread(target=lambda: errors.append(refusal(tmp_path / "pipe.png")), daemon=True)
    thread.start()
    thread.join(30)
    assert [error.kind for error in errors] == ["unreadable"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
def test_a_device_is_refused():
    assert refusal(Path("/dev/zero")).kind == "unreadable"


AS_NOBODY = """
import os
from pathlib import Path, PurePosixPath
from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.source import Source
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
for name in ("open.png", "closed.png"):
    try:
        print(load(Source(name, PurePosixPath(name), Path(name)), Limits()).shape)
    except InputError as error:
        print(error.kind, error.cause_text)
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_file_without_permission_is_unreadable_in_the_system_s_words(tmp_path: Path):
    for name in ("open.png", "closed.png"):
        (tmp_path / name).write_bytes(LOSSLESS["png"])
    (tmp_path / "closed.png").chmod(0)
    tmp_path.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", AS_NOBODY]  # root, as whom tests may run, may read everything
    run = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout == "(40, 60, 3)\nunreadable Permission denied\n"


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(LOSSLESS["png"])
    size = path.stat().st_size
    assert decode(path, Limits(max_bytes=size)).shape == BGR.shape
    assert refusal(path, Limits(max_bytes=size - 1)).kind == "too_large"


# arrays


@pytest.mark.parametrize(
    "array",
    [BGR, np.dstack([BGR, GREY]), BGR.astype(np.uint16) * 257, BGR.astype(">u2") * 257, BGR[:, ::-1][:, ::-1]],
    ids=["bgr", "bgra", "16-bit", "16-bit big-endian", "not contiguous"],
)
def test_an_array_of_colours_is_taken_as_bgr(array: np.ndarray):
    before = array.copy()
    np.testing.assert_array_equal(decode(array), BGR)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("array", [GREY, GREY[..., None], GREY.astype(np.uint16) * 257], ids=["2d", "3d", "16-bit"])
def test_a_grey_array_is_repeated_in_each_channel(array: np.ndarray):
    np.testing.assert_array_equal(decode(array), np.dstack([GREY] * 3))


def test_a_read_only_array_is_taken():
    array = BGR.copy()
    array.flags.writeable = False
    np.testing.assert_array_equal(decode(array), BGR)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.int32, np.int8])
def test_an_array_of_another_type_is_unsupported_and_told_what_to_do(dtype: type):
    error = refusal(BGR.astype(dtype))
    assert error.kind == "unsupported"
    assert "uint8" in error.message


@pytest.mark.parametrize("shape", [(5,), (3, 40, 60), (2, 40, 60, 3), (40, 60, 2)])
def test_an_array_of_another_shape_is_unsupported_and_told_which_are(shape: tuple[int, ...]):
    error = refusal(np.zeros(shape, np.uint8))
    assert error.kind == "unsupported"
    assert "[H, W, 3]" in error.message


def test_an_array_without_pixels_is_empty():
    assert refusal(np.zeros((0, 10, 3), np.uint8)).kind == "empty"


def test_an_array_above_the_limit_is_too_large():
    assert refusal(BGR, Limits(max_pixels=2399)).kind == "too_large"


def test_an_item_known_to_be_unusable_raises_its_own_error():
    known = InputError("unreadable", "the folder cannot be listed")
    with pytest.raises(InputError) as caught:
        load(source(known), DEFAULT)
    assert caught.value is known


# whatever else arrives


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    at=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=12),
    cut=st.floats(0.2, 1),
)
def test_damage_ends_in_a_picture_or_an_input_error(name: str, at: float, junk: bytes, cut: float):
    data = bytearray(FILES[name])
    place = int(at * len(data))
    data[place : place + len(junk)] = junk
    with contextlib.suppress(InputError):
        decode(bytes(data[: int(cut * len(data))]), Limits(max_pixels=1_000_000))


@settings(max_examples=300, deadline=None)
@given(magic=st.sampled_from([data[:size] for data in FILES.values() for size in (4, 12, 30)]), rest=st.binary())
def test_a_header_of_noise_is_read_or_refused(magic: bytes, rest: bytes):
    is_image(magic + rest)
    with contextlib.suppress(InputError):
        read_header(magic + rest)


def test_a_tiff_of_more_directories_entries_and_values_than_any_has_is_refused_at_once():
    def tiff(entries: int, entry: bytes, rest: bytes = b"") -> bytes:
        return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + entry * entries + bytes(4) + rest

    values = struct.pack("<HHII", 273, 4, 4_000_000, 0)
    assert refusal(tiff(2, values, bytes(16_000_000))).kind == "unreadable"
    assert refusal(tiff(60_000, struct.pack("<HHII", 256, 4, 1, 9))).kind == "unreadable"
    chain = b"".join(struct.pack("<HI", 0, 14 + 6 * page) for page in range(200_000))
    assert refusal(b"II*\0\x08\0\0\0" + chain + bytes(6)).kind in {"animated", "too_small", "unreadable"}
    assert refusal(b"II+\0\x08\0\0\0" + b"\xff" * 8).kind == "truncated"


def test_spaces_without_end_where_a_number_should_stand_cost_no_memory():
    tracemalloc.start()
    try:
        for data in (b"P6" + b" " * 1_000_000, b"P6 8 8" + b"#\n" * 500_000):
            assert refusal(data).kind in {"not_an_image", "truncated"}
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
