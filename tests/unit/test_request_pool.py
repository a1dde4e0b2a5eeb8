"""The pool behind submit: side by side up to its depth, and no further."""

import threading
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest

from uadx.errors import InferenceError
from uadx.request_pool import RequestPool


@pytest.fixture
def pool():
    pool = RequestPool(2, "test")
    yield pool
    pool.close()


def test_as_many_requests_as_the_depth_run_side_by_side(pool):
    both = threading.Barrier(2)
    futures = [pool.submit(lambda: both.wait(10)) for _ in range(2)]
    assert sorted(future.result(10) for future in futures) == [0, 1]  # each waited for the other


def test_submit_blocks_while_all_requests_are_busy_and_one_waits(pool):
    gate = threading.Event()
    busy = [pool.submit(lambda: gate.wait(10)) for _ in range(2)]
    waiting = pool.submit(lambda: "third")
    with ThreadPoolExecutor(1) as caller:
        fourth = caller.submit(lambda: pool.submit(lambda: "fourth"))
        with pytest.raises(TimeoutError):
            fourth.result(timeout=0.1)
        assert not waiting.done()
        gate.set()
        assert [waiting.result(10), fourth.result(10).result(10)] == ["third", "fourth"]
    assert all(future.result(10) for future in busy)


def test_an_exception_goes_to_the_future_and_frees_the_request(pool):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result(10)


def test_closing_waits_for_what_runs_and_refuses_what_comes_after(pool):
    future = pool.submit(lambda: threading.Event().wait(0.1))
    pool.close()
    pool.close()
    assert future.done()
    for _ in range(3):
        with pytest.raises(InferenceError, match="the model is closed"):
            pool.submit(lambda: None)
