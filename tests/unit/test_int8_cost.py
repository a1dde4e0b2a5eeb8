"""How two forms of a model are compared: by the order of their scores."""

import numpy as np
import pytest

from uadx.quantise.cost import rank_correlation


def test_the_same_order_is_one_and_the_opposite_minus_one():
    scores = np.array([0.1, 0.5, 0.3, 2.0])
    assert rank_correlation(scores, scores**3) == pytest.approx(1)
    assert rank_correlation(scores, -scores) == pytest.approx(-1)


def test_equal_scores_share_their_ranks():
    # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4
    assert rank_correlation(np.array([1.0, 2, 2, 3]), np.array([1.0, 3, 2, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_scores_that_are_all_equal_have_no_order_to_disturb():
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 1
