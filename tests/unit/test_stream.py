"""Bounded, ordered stages."""

import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from uadx.pipeline.mapped import Ahead, mapped
from uadx.pipeline.stream import gathered, grouped, staged
from uadx.pipeline.stream import until as until_stopped

PATIENCE = 30.0


def until(true):
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def stages():
    """The threads of all stages."""
    return {thread for thread in threading.enumerate() if thread.name == "uadx-stage"}


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
        assert gate.wait(PATIENCE)
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
    before = stages()  # of results that another test did not take to their end

    def items():
        try:
            n = 0
            while True:
                yield (n := n + 1)
        finally:
            closed.append(True)

    first = mapped(items(), int, 2, Ahead(3))
    inner = staged(first, lambda n: pool.submit(int, n), 3)
    outer = staged(grouped(inner, 2), lambda group: pool.submit(sum, group), 2)
    last = mapped(outer, int, 2, Ahead(3))
    assert next(last) == 3
    last.close()
    until(lambda: not stages() - before)
    assert closed == [True]


def test_threads_give_results_in_the_order_of_the_items_and_side_by_side():
    together = threading.Barrier(2)

    def slow_first(n):
        if n < 2:
            together.wait(PATIENCE)  # would break if one thread did all
        time.sleep(0.05 if n == 0 else 0)
        return n * 10

    assert list(mapped(range(8), slow_first, 4, Ahead(4))) == [n * 10 for n in range(8)]


def test_a_single_item_gets_no_more_threads_than_find_the_end():
    before, counted = stages(), []
    assert list(mapped([1], lambda n: counted.append(len(stages() - before)), 16, Ahead(16))) == [None]
    assert counted[0] <= 2


@pytest.mark.parametrize(("weight", "most_drawn"), [(1, 12), (5, 4), (100, 2)])
def test_light_results_are_made_further_ahead_than_heavy_ones(weight, most_drawn):
    """At most 20 together, of those that are made; two are under way or wait in any case."""
    drawn = []
    results = mapped(iter(range(1000)), lambda n: drawn.append(n) or n, 1, Ahead(2, 12, 20, lambda n: weight))
    for n in range(40):
        assert next(results) == n
        time.sleep(0.01)
        assert len(drawn) <= n + 1 + most_drawn
    until(lambda: len(drawn) > 40)
    results.close()


def test_a_thread_that_had_to_stop_goes_on_when_half_is_taken():
    drawn, gate = [], threading.Event()

    def items():
        yield 0
        assert gate.wait(PATIENCE)
        yield from range(1, 1000)

    results = mapped(items(), lambda n: drawn.append(n) or n, 1, Ahead(1, 8, 100))
    assert next(results) == 0  # before there is a second one, so that eight wait from here on
    gate.set()
    until(lambda: len(drawn) == 9)
    for taken in (1, 2, 3):
        assert next(results) == taken
        time.sleep(0.05)
        assert len(drawn) == 9
    assert next(results) == 4
    until(lambda: len(drawn) == 13)
    results.close()


def test_a_result_of_a_thread_is_yielded_while_the_next_item_is_still_waited_for():
    gate = threading.Event()

    def items():
        yield 1
        assert gate.wait(PATIENCE)
        yield 2

    results = mapped(items(), int, 2, Ahead(8))
    assert next(results) == 1  # would hang if it first filled its room
    gate.set()
    assert list(results) == [2]


def test_an_exception_of_a_thread_reaches_the_consumer_at_its_place():
    results = mapped([2, 1, 0, 5], lambda n: 10 // n, 2, Ahead(2))
    assert [next(results), next(results)] == [5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_exception_of_the_items_of_threads_reaches_the_consumer_after_what_came_before_it():
    def items():
        yield 1
        raise KeyError("gone")

    results = mapped(items(), int, 2, Ahead(2))
    assert next(results) == 1
    with pytest.raises(KeyError, match="gone"):
        next(results)


def test_a_thread_that_cannot_be_started_is_raised_where_the_consumer_stands(monkeypatch):
    start, started = threading.Thread.start, []

    def only_two(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(mapped(range(100), int, 8, Ahead(8)))
    until(lambda: not any(thread.is_alive() for thread in started))


def test_what_was_stopped_draws_nothing_more_and_closes_its_items():
    closed = []

    def items():
        try:
            yield from range(10)
        finally:
            closed.append(True)

    stopped = threading.Event()
    drawn = until_stopped(stopped, items())
    assert [next(drawn), next(drawn)] == [0, 1]
    stopped.set()
    assert (list(drawn), closed) == ([], [True])


def test_a_program_may_end_while_threads_are_in_opencv():
    """A daemon thread that Python ends there takes the process down: "terminate called without an active exception"."""
    code = """
import cv2, numpy as np
from uadx.pipeline.mapped import Ahead, mapped
file = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8))[1]
kept = mapped([file] * 100, lambda data: cv2.imdecode(data, 1).shape, 2, Ahead(50))
print(next(kept))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2000, 3000, 3)\n", "")


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
    assert first.result(PATIENCE) == [1, 2]
