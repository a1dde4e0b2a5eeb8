"""Damage inside a JPEG whose end is there: what is found, and that nothing whole is refused."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from uadx.demo.product import render_good
from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.source import Source

PART = render_good(np.random.default_rng(0))


def jpeg(pixels: np.ndarray = PART, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def middle(data: bytes) -> int:
    return len(data) // 2


def kind_of_error(data: bytes) -> str | None:
    try:
        load(Source("a.jpg", PurePosixPath("a.jpg"), data), Limits())
    except InputError as error:
        return error.kind
    return None


@pytest.mark.parametrize("lost", [512, 4096])
@pytest.mark.parametrize("quality", [75, 95])
def test_a_jpeg_with_a_gap_is_truncated(quality: int, lost: int):
    data = jpeg(quality=quality)
    assert kind_of_error(data[: middle(data)] + data[middle(data) + lost :]) == "truncated"


@pytest.mark.parametrize("size", [512, 4096])
def test_a_jpeg_with_a_sector_of_zeros_is_unreadable(size: int):
    data = jpeg()
    assert kind_of_error(data[: middle(data)] + bytes(size) + data[middle(data) + size :]) == "unreadable"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("marker", [b"\xff\x17", b"\xff\xd3", b"\xff\xf0", b"\xff\xc0", b"\xff\xd8"])
def test_a_marker_that_has_no_place_in_a_picture_s_data_is_unreadable(marker: bytes, progressive: bool):
    data = jpeg(progressive=progressive)
    assert kind_of_error(data[: middle(data)] + marker + data[middle(data) + 2 :]) == "unreadable"


def test_a_lost_restart_interval_is_unreadable():
    data = jpeg(restart_marker_blocks=19)
    start, end = data.index(b"\xff\xd2"), data.index(b"\xff\xd3")
    assert kind_of_error(data) is None
    assert kind_of_error(data[:start] + data[end:]) == "unreadable"


@pytest.mark.parametrize("colour", [(128, 128, 128), (0, 0, 0), (255, 255, 255), (37, 99, 200)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}, {"quality": 5}],
)
def test_whole_jpegs_of_one_colour_or_half_of_one_are_pictures(
    colour: tuple[int, int, int], mode: str, options: dict[str, Any]
):
    flat = np.full((301, 301, 3), colour, np.uint8)
    half = flat.copy()
    half[:150] = PART[:150, :1]
    for pixels in (flat, half):
        assert kind_of_error(jpeg(pixels, mode, **options)) is None
