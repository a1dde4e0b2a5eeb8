"""The charts of the pages: numbers that a person can read."""

import re

import pytest

from uadx.report.charts import histogram


@pytest.mark.parametrize(
    ("good", "ticks"),
    [
        ([-0.4984, -0.45, -0.3], ["-0.45", "-0.4", "-0.35"]),
        ([2017.0, 2031.0, 2052.0], ["2020", "2025", "2030", "2035", "2040", "2045", "2050"]),
        ([-3.0, 0.0, 20.0], ["-2", "-1", "0", "1", "5", "10"]),
    ],
)
def test_the_numbers_below_a_histogram_are_round(good, ticks):
    chart = histogram(good, [], good[-1])
    assert re.findall(r'text-anchor="middle">([^<]+)</text>', chart) == ticks
