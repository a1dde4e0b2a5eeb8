"""layer3 is trusted most, unless another level clearly finds pasted defects better."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.scoring.fusion import LevelScale, Scoring
from uadx.train.trust import LEAST, MOST, PRIOR, level_weights, pasted

SIDES = {"level1": 64, "level2": 32, "level3": 16}
SCORING = Scoring(levels={name: LevelScale(0.5, 1.0) for name in SIDES})


def maps(count: int, seed: int, seeing: str | None = None) -> dict[str, np.ndarray]:
    """Noise at every level; a spot in one where it sees a defect."""
    rng = np.random.default_rng(seed)
    found = {name: rng.normal(0, 0.2, (count, side, side)).astype(np.float32) for name, side in SIDES.items()}
    if seeing is not None:
        side = SIDES[seeing]
        found[seeing][:, side // 4 : side // 2, side // 4 : side // 2] += 1
    return found


@pytest.mark.parametrize("seeing", list(SIDES))
def test_the_only_level_that_sees_the_defects_is_trusted(seeing):
    good, spoilt = maps(30, 0), maps(40, 1, seeing)
    for part in (good, spoilt):
        part[seeing] *= 0.2  # what the others add is enough to hide it
    weights = level_weights(SCORING, good, spoilt, [(256, 256)] * 70, (256, 256))
    assert weights[seeing] == 1
    assert all(weight <= 0.5 for name, weight in weights.items() if name != seeing)
    assert set(weights) == set(SIDES)
    assert all(0 <= weight <= 1 for weight in weights.values())


def test_where_all_levels_see_the_defects_layer3_is_trusted_most():
    spoilt = {name: maps(40, 1, name)[name] for name in SIDES}
    assert level_weights(SCORING, maps(30, 0), spoilt, [(256, 256)] * 70, (256, 256)) == PRIOR


def test_a_level_that_is_noisy_on_good_images_is_left_out():
    good, spoilt = maps(30, 0), maps(40, 1, "level3")
    for part in (good, spoilt):
        part["level1"] *= 20
    weights = level_weights(SCORING, good, spoilt, [(256, 256)] * 70, (256, 256))
    assert weights["level1"] < 0.3
    assert weights["level3"] == 1


def test_beyond_the_picture_nothing_is_trusted():
    good, spoilt = maps(30, 0), maps(40, 1, "level3")
    good["level3"][:, 10:] += 5  # below the shown half, and out of reach of the smoothing
    weights = level_weights(SCORING, good, spoilt, [(128, 256)] * 70, (256, 256))
    assert weights["level3"] == 1


@pytest.mark.parametrize(("count", "expected"), [(2, LEAST), (100, 200), (500, MOST)])
def test_each_held_out_image_is_spoilt_about_as_often(count, expected):
    images = np.full((count, 32, 48, 3), 90, np.uint8)
    images += np.arange(count, dtype=np.uint8)[:, None, None, None] % 8
    spoilt, shown = pasted(images, [(32, 24)] * count, seed=0)
    assert spoilt.shape == (expected, 32, 48, 3)
    assert shown == [(32, 24)] * expected
    assert (spoilt[:, :, 24:] == spoilt[:, :1, 24:25]).all()  # nothing is drawn beyond the picture
    assert (spoilt[:, :, :24] != spoilt[:, :1, 24:25]).any(axis=(1, 2, 3)).mean() > 0.6
