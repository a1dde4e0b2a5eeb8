"""`run.thumbnails`: bounded however long a run watches, a line for each result, no picture of a report lost."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from uadx.output.thumbnails import NAME, Thumbnails
from uadx.report import bounds
from uadx.report.thumbnail import Thumbnail

PICTURE = "p" * 1000


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(bounds, "LARGE", 3)
    monkeypatch.setattr(bounds, "SMALL", 10)
    monkeypatch.setattr(bounds, "NEWEST", 40)


def line(number, score):
    picture = "" if score is None else f"{number}{PICTURE}"
    return msgspec.json.encode(Thumbnail(f"{number}.png", "", picture, picture, score))


def watched(root, scores, stop_every=None):
    """A run that watches, stopped and taken up again after so many results, and the largest that its file ever was."""
    largest, thumbnails = 0, Thumbnails(root, 0)
    for number, score in enumerate(scores):
        if stop_every and number % stop_every == 0:
            thumbnails.close()
            thumbnails = Thumbnails(root, number)
        thumbnails.add(line(number, score))
        largest = max(largest, (root / NAME).stat().st_size)
    return thumbnails, largest


@pytest.mark.parametrize("stop_every", [None, 7])
@pytest.mark.parametrize("order", ["rising", "falling", "mixed"])
def test_it_does_not_grow_with_the_run_and_keeps_what_a_report_shows(tmp_path, order, stop_every):
    scores = np.random.default_rng(0).permutation(1000).astype(float).tolist()
    scores = {"rising": sorted(scores), "falling": sorted(scores)[::-1], "mixed": scores}[order]
    scores[500] = None
    thumbnails, largest = watched(tmp_path, scores, stop_every)
    assert largest < (2 * 10 + 1) * 2 * 1100 + 1000 + 100 * (40 + 10 + 21)
    found = list(thumbnails.read())
    assert len(found) == 1000
    ranks = bounds.places(scores)
    for number, (rank, shown) in enumerate(zip(ranks, bounds.has_row(ranks), strict=True)):
        if shown:
            assert found[number].name == f"{number}.png"
        if rank < 3:
            assert found[number].large == f"{number}{PICTURE}"
        if rank < 10:
            assert found[number].small == f"{number}{PICTURE}"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_name_that_looks_like_no_picture_counts_as_one(tmp_path):
    thumbnails = Thumbnails(tmp_path, 0)
    for number in range(60):
        thumbnails.add(msgspec.json.encode(Thumbnail(f'{number}"small":"".png', "", PICTURE, PICTURE, float(number))))
    assert sum(bool(one.small) for one in thumbnails.read()) <= 20
