"""Bounded, ordered stages."""

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from uadx.pipeline.stream import gathered, grouped, staged


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_results_come_in_the_order_of_the_items_whatever_finishes_first(pool):
    def slow_first(n):
        time.sleep(0.05 if n == 0 else 0)
        return n * 10

    assert list(staged(range(8), lambda n: pool.submit(slow_first, n), 4)) == [n * 10 for n in range(8)]


def test_no_more_items_are_drawn_than_the_depth_allows(pool):
    drawn = []

    def items():
        for n in range(100):
            drawn.append(n)
            yield n

    results = staged(items(), lambda n: pool.submit(int, n), 3)
    assert next(results) == 0
    time.sleep(0.1)
    assert len(drawn) <= 6  # one yielded, three queued, one in the feeder's hand, one to spare
    results.close()


def test_a_result_is_yielded_while_the_next_item_is_still_waited_for(pool):
    gate = threading.Event()

    def items():
        yield 1
        assert gate.wait(5)
        yield 2

    results = staged(items(), lambda n: pool.submit(int, n), 8)
    assert next(results) == 1  # would hang if the stage first filled its window
    gate.set()
    assert list(results) == [2]


def test_an_exception_of_the_work_reaches_the_consumer_at_its_place(pool):
    results = staged([2, 1, 0, 5], lambda n: pool.submit(lambda: 10 // n), 2)
    assert [next(results), next(results)] == [5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_exception_of_the_items_reaches_the_consumer_after_what_came_before_it(pool):
    def items():
        yield 1
        raise KeyError("gone")

    results = staged(items(), lambda n: pool.submit(int, n), 2)
    assert next(results) == 1
    with pytest.raises(KeyError, match="gone"):
        next(results)


def test_closing_a_chain_closes_every_stage_and_leaves_no_thread(pool):
    closed = []
    before = set(threading.enumerate())  # of results that another test did not take to their end

    def items():
        try:
            n = 0
            while True:
                yield (n := n + 1)
        finally:
            closed.append(True)

    inner = staged(items(), lambda n: pool.submit(int, n), 3)
    outer = staged(grouped(inner, 2), lambda group: pool.submit(sum, group), 2)
    assert next(outer) == 3
    outer.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(t.name == "uadx-stage" for t in set(threading.enumerate()) - before):
        time.sleep(0.01)
    assert closed == [True]
    assert not [t for t in set(threading.enumerate()) - before if t.name == "uadx-stage"]


def test_groups_are_consecutive_and_the_last_one_is_shorter():
    assert list(grouped((n for n in range(5)), 2)) == [[0, 1], [2, 3], [4]]


def test_what_arrives_while_the_consumer_is_busy_is_one_group_and_a_large_arrival_is_several():
    arriving = queue.SimpleQueue()
    groups = gathered(arriving, 3, patience=0.01)
    arriving.put([1])
    assert next(groups) == [1]  # would hang if it waited for a full group
    for some in ([2], [3], [4, 5, 6, 7]):
        arriving.put(some)
    assert [next(groups), next(groups)] == [[2, 3, 4], [5, 6, 7]]
    for some in ([8], None):
        arriving.put(some)
    assert list(groups) == [[8]]


def test_a_group_that_is_not_full_waits_for_its_next_item(pool):
    arriving = queue.SimpleQueue()
    arriving.put([1])
    first = pool.submit(next, gathered(arriving, 2, patience=60))
    arriving.put([2])
    assert first.result(5) == [1, 2]
