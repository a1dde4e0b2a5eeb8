"""Which images are held out: drawn by the seed, and a part whole or not at all."""

from __future__ import annotations

import re

import pytest

from uadx.errors import UadxWarning, UsageError
from uadx.train.enough import fewest_parts
from uadx.train.split import by_seed

DIGESTS = [f"{number:064x}" for number in range(60)]
VIEWS = [f"part{number // 3:02d}_view{number % 3}.png" for number in range(60)]
PART = re.compile(r"part(\d+)")


def test_a_fifth_is_held_out_and_the_seed_draws_which():
    held_out = by_seed(0)(DIGESTS, VIEWS)
    assert held_out.sum() == 12
    assert (held_out != by_seed(1)(DIGESTS, VIEWS)).any()
    assert (held_out == by_seed(0)(DIGESTS, [f"renamed_{path}" for path in VIEWS])).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_part_is_held_out_whole_or_not_at_all(seed: int):
    held_out = by_seed(seed, PART)(DIGESTS, VIEWS)
    assert 12 <= held_out.sum() <= 14
    assert set(held_out.reshape(-1, 3).sum(axis=1).tolist()) == {0, 3}


def test_what_does_not_match_is_a_part_of_its_own():
    with pytest.warns(UadxWarning, match=r"--same-part 'part\(\\d\+\)' matches 2 of 60 pictures: .* such as 0, counts"):
        held_out = by_seed(0, PART)(DIGESTS, ["part00_view0.png", "part00_view1.png", *map(str, range(58))])
    assert held_out.sum() == 12
    assert held_out[0] == held_out[1]


def test_all_groups_together_name_the_part_and_without_one_the_match_does():
    paths = [f"{lot}/{number}_{view}.png" for lot in "ab" for number in range(10) for view in range(3)]
    both = by_seed(0, re.compile(r"(\w)/(\d+)_"))(DIGESTS, paths)
    assert (both == by_seed(0, re.compile(r"\w/\d+_"))(DIGESTS, paths)).all()
    assert set(both.reshape(-1, 3).sum(axis=1).tolist()) == {0, 3}


def test_a_part_that_most_pictures_show_teaches():
    paths = [f"part00_{number}.png" for number in range(40)] + VIEWS[40:]
    assert not by_seed(0, PART)(DIGESTS, paths)[:40].any()


def test_a_pattern_that_says_nothing_is_refused():
    with pytest.raises(UsageError, match=r"--same-part 'lot' matches no picture's path, such as part00_view0\.png"):
        by_seed(0, re.compile("lot"))(DIGESTS, VIEWS)
    with pytest.raises(UsageError, match="most of the 60 pictures show one part, by --same-part 'part'"):
        by_seed(0, re.compile("part"))(DIGESTS, VIEWS)


def test_parts_certify_and_not_their_pictures():
    with pytest.warns(UadxWarning, match=r"the 60 held-out pictures show 20 parts, which certify .* 4\.8 % and more"):
        assert fewest_parts(PART, VIEWS) == pytest.approx(1 / 21)
    assert fewest_parts(None, VIEWS) == 0
    assert fewest_parts(re.compile(r".*"), [str(number) for number in range(9)]) == 0
    assert fewest_parts(PART, ["of another kind.png"]) == 0  # none of those held out matches
    many = [f"part{number // 2}_{number % 2}.png" for number in range(198)]
    assert fewest_parts(PART, many) == pytest.approx(0.01)
