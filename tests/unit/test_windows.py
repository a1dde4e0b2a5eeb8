"""Windows on their way through the model, and what becomes of their maps."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest

from uadx.errors import InputError
from uadx.images.framing import Cut, Framing, Tiling
from uadx.images.source import Source
from uadx.pipeline.stream import grouped
from uadx.pipeline.windows import Inferred, Item, regrouped, windows
from uadx.scoring.fusion import LevelScale, Scoring, image_scores
from uadx.scoring.windows import highest_scores, joined

SCORING = Scoring(levels={name: LevelScale(0, 1) for name in ("level1", "level2", "level3")})
SIZE = (64, 64)


def cut_of(height, width, overlap=0.25):
    return Framing(*SIZE, tiling=Tiling(64, overlap))(np.zeros((height, width, 3), np.uint8)).cut


def cells(whole, cut):
    """Windows [M, 16, 16] of a map at a quarter of the pixels."""
    return np.stack([whole[r // 4 : r // 4 + 16, c // 4 : c // 4 + 16] for r, c in cut.corners]).astype(np.float32)


def test_windows_that_agree_are_joined_to_what_they_were_cut_from():
    cut = cut_of(200, 312)
    whole = np.random.default_rng(0).random((50, 78))
    (found,) = joined(cells(whole, cut), [cut], SIZE)
    np.testing.assert_allclose(found, whole, rtol=1e-5)


def test_where_windows_disagree_the_one_whose_edge_is_farther_counts_more():
    cut = Cut((64, 112), ((0, 0), (0, 48)))  # the last 4 of 16 cells of the first are the first 4 of the second
    maps = np.stack([np.zeros((16, 16)), np.ones((16, 16))]).astype(np.float32)
    (found,) = joined(maps, [cut], SIZE)
    np.testing.assert_allclose(found[8, 11:17], [0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1], atol=1e-6)


def test_images_keep_their_own_maps_however_many_windows_each_has():
    cuts = [Cut((64, 40)), cut_of(200, 312), Cut((64, 64))]
    maps = np.concatenate([np.full((len(cut.corners), 16, 16), n, np.float32) for n, cut in enumerate(cuts)])
    found = joined(maps, cuts, SIZE)
    assert [one.shape for one in found] == [(16, 10), (50, 78), (16, 16)]
    assert [np.unique(one).tolist() for one in found] == [[0], [1], [2]]


@pytest.mark.parametrize("fusion", ["quantile", "product"])
def test_an_image_s_score_is_that_of_its_highest_window_and_does_not_thin_out_in_a_large_image(fusion):
    small, large = Cut((64, 64)), cut_of(640, 640)
    spot = np.zeros((160, 160), np.float32)
    spot[70:74, 70:74] = 1
    one = spot[64:80, 64:80]
    score, same = highest_scores([one, spot], [small, large], SIZE, SCORING, fusion)
    assert score == image_scores([one], SCORING, fusion)[0]
    assert same == pytest.approx(score)


def item(name, count):
    """count: of windows; 0 for an input that could not be read."""
    source = Source(name, PurePosixPath(name), b"")
    if not count:
        return Item(source, None, None, InputError("empty", "empty"), 0.0)
    framed = Framing(*SIZE, tiling=Tiling(64, 0.0))(np.full((64, 64 * count, 3), count, np.uint8))
    return Item(source, np.zeros((1, 1, 3), np.uint8), framed, None, 0.0)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 100])
def test_items_come_back_whole_and_in_order_whatever_the_batches(batch_size):
    counts = [1, 0, 3, 7, 0, 0, 1, 2]

    def items():
        yield from (item(f"{number}", count) for number, count in enumerate(counts))

    def inferred():
        for number, batch in enumerate(grouped(windows(items()), batch_size)):
            read = [window.pixels for window in batch if window.pixels is not None]
            maps = {"level1": np.array([pixels[0, 0, 0] for pixels in read], np.float32)} if read else {}
            yield Inferred(batch, maps, 1.0, {"used": f"device {number % 2}"})

    back = list(regrouped(inferred(), {"used": "both"}))
    together = [one for complete in back for one in complete.items]
    assert [one.source.label for one in together] == [f"{number}" for number in range(len(counts))]
    maps = np.concatenate([complete.maps["level1"] for complete in back if complete.maps])
    assert maps.tolist() == [count for count in counts for _ in range(count)]
    for complete in back:
        read = sum(len(one.cut.corners) for one in complete.items if one.cut is not None)
        assert read == (len(complete.maps["level1"]) if complete.maps else 0)
        for alone in complete.each():
            (one,) = alone.items
            count = counts[int(one.source.label)]
            assert (alone.maps["level1"].tolist() if alone.maps else []) == [count] * count
    assert [one.infer_ms for one in together] == counts
    devices = {one.device["used"] for one in together}
    assert devices == ({"device 0"} if batch_size == 100 else devices)
    if batch_size == 2:
        assert together[3].device == {"used": "both"}


def test_an_item_lets_go_of_its_windows_once_they_are_on_their_way():
    one = item("a", 3)
    list(windows(iter_of(one)))
    assert one.framed is None


def iter_of(one):
    yield one
