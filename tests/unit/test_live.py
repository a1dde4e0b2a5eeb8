"""Live streams: the newest frame and no other, whatever the stream does."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.errors import InputError, UadxWarning, UsageError
from uadx.images import live as live_module
from uadx.images.camera import Camera, find_camera
from uadx.images.live import Live

PATIENCE = 30.0
BROKEN = "broken"


class Capture:
    """Stands in for cv2.VideoCapture: gives what is put into it, and fails from BROKEN on."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[object] = queue.Queue()
        self.released = threading.Event()
        self.broken = False
        self._now: object = None

    def grab(self):
        while not self.broken and not self.released.is_set():
            try:
                self._now = self.waiting.get(timeout=0.05)
            except queue.Empty:
                return False
            self.broken = self._now is BROKEN
            return not self.broken
        return False

    def retrieve(self):
        if isinstance(self._now, Exception):
            raise self._now
        return True, self._now

    def release(self):
        self.released.set()


@dataclass(frozen=True)
class Fake(Camera):
    """A camera of Captures, one for each time that it is opened; unreachable when there is none left."""

    captures: list = field(default_factory=list)

    def open(self):
        if not self.captures:
            raise InputError("unreachable", f"{self.label} cannot be opened", cause_text="it was unplugged")
        return self.captures.pop(0)


def camera(*captures):
    return Fake("fake", PurePosixPath("fake"), 0, list(captures))


def picture(number):
    return np.full((16, 16, 3), number, np.uint8)


def until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(live_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(live_module, "TRIES", 10**9)


@pytest.fixture
def capture():
    return Capture()


def test_the_newest_frame_is_drawn_and_those_before_it_are_passed_over(capture):
    with Live(camera(capture), in_flight=9) as live:
        capture.waiting.put(picture(0))
        assert next(live).data[0, 0, 0] == 0
        for number in range(1, 8):
            capture.waiting.put(picture(number))
        until(lambda: live.seen == 8)
        source = next(live)
        assert source.data[0, 0, 0] == 7
        assert (source.frame.index, source.frame.dropped) == (7, 6)
        assert (live.seen, live.drawn, live.passed_over) == (8, 2, 6)
    assert capture.released.is_set()


def test_a_frame_has_the_time_of_its_capture_in_its_name(capture):
    with Live(camera(capture), in_flight=1) as live:
        capture.waiting.put(picture(0))
        source = next(live)
    assert source.label == f"fake#{source.frame.captured_at}"
    assert source.frame.captured_at.endswith("Z")
    digits = "".join(c for c in source.frame.captured_at if c.isdigit())
    assert "".join(c for c in source.output.name if c.isdigit()) == digits
    assert source.output.parent == PurePosixPath("fake")
    assert source.frame.time_s == 0


def test_no_more_frames_are_drawn_than_may_be_in_flight(capture):
    with Live(camera(capture), in_flight=2) as live:
        drawn = []
        drawing = threading.Thread(target=lambda: drawn.extend(live), daemon=True)
        drawing.start()
        for number in range(2):
            capture.waiting.put(picture(number))
            until(lambda n=number: live.drawn == n + 1)
        capture.waiting.put(picture(2))
        until(lambda: live.seen == 3)
        time.sleep(0.3)
        assert live.drawn == 2
        capture.waiting.put(picture(3))
        until(lambda: live.seen == 4)
        live.done()
        until(lambda: live.drawn == 3)
        live.close()
        drawing.join(PATIENCE)
    assert [source.frame.index for source in drawn] == [0, 1, 3]


def test_an_engine_that_is_slower_than_the_camera_gets_what_is_new_when_it_is_free(capture, good_image, monkeypatch):
    good = cv2.imread(str(good_image))
    with create_pipeline(device="cpu", batch_size=1) as pipeline:
        compiled = pipeline.inspector.opened.compiled
        free, submit = threading.Semaphore(0), compiled.submit
        monkeypatch.setattr(compiled, "submit", lambda batch: free.acquire() and submit(batch))
        with pipeline.live(camera(capture), pipeline.config, max_frames=12) as live:
            results = pipeline.inspect(live, pipeline.config)
            found = []
            taking = threading.Thread(target=lambda: [(found.append(r), live.done()) for r in results], daemon=True)
            taking.start()
            for inspected in range(12):
                seen = live.seen
                for _ in range(50):
                    capture.waiting.put(good)
                until(lambda seen=seen: live.seen == seen + 50)
                free.release()
                until(lambda n=inspected: len(found) == n + 1)
            taking.join(PATIENCE)
    indexes = [result["frame"]["index"] for result in found]
    in_flight = pipeline.inspector.opened.async_depth + 1
    # when result n is there, 50 (n + 1) frames have come: it never lags more than the frames in flight
    assert all(50 * (n + 1) - index <= 50 * (in_flight + 1) for n, index in enumerate(indexes))
    assert sum(result["frame"]["dropped"] for result in found) == indexes[-1] - len(found) + 1


def test_so_many_frames_a_second_and_no_more(capture):
    with Live(camera(capture), in_flight=99, fps=0.001) as live:
        capture.waiting.put(picture(0))
        next(live)
        capture.waiting.put(picture(1))
        until(lambda: live.seen == 2)
        threading.Timer(0.5, live.close).start()
        assert list(live) == []


def test_an_event_ends_it(capture):
    stop = threading.Event()
    with Live(camera(capture), in_flight=1, stop=stop) as live:
        threading.Timer(0.2, stop.set).start()
        assert list(live) == []


def test_so_many_frames_and_it_ends(capture):
    with Live(camera(capture), in_flight=9, max_frames=2) as live:
        sources = []
        for number in range(2):
            capture.waiting.put(picture(number))
            sources.append(next(live))
        assert [source.frame.index for source in sources] == [0, 1]
        assert list(live) == []


def test_a_stream_that_breaks_off_is_connected_to_again(monkeypatch):
    first, second = Capture(), Capture()
    with Live(camera(first, second), in_flight=9) as live:
        monkeypatch.setattr(live_module, "TRIES", 1000)  # of a broken one in no time; of one without a frame, 50 s
        first.waiting.put(picture(0))
        next(live)
        first.waiting.put(BROKEN)
        second.waiting.put(picture(1))
        with pytest.warns(UadxWarning) as said:
            assert next(live).frame.index == 1
        assert [str(one.message) for one in said] == [
            "fake broke off: connecting again, for 60 s",
            "fake is back",
        ]
        assert first.released.is_set()


def test_a_stream_that_stays_away_is_a_last_source_that_fails(capture, monkeypatch):
    monkeypatch.setattr(live_module, "TRIES", 3)
    monkeypatch.setattr(live_module, "GIVEN_UP", 1.5)
    with Live(camera(capture), in_flight=9) as live:
        capture.waiting.put(picture(0))
        capture.waiting.put(BROKEN)
        with pytest.warns(UadxWarning, match="broke off"):
            first, last = list(live)
    assert first.data[0, 0, 0] == 0
    assert last.data.kind == "unreachable"
    assert last.data.in_one_line == "fake broke off and was not back within 1.5 s: it was unplugged"
    assert last.frame.index == 1


def test_one_damaged_frame_is_no_break(capture):
    with Live(camera(capture), in_flight=9) as live:
        capture.waiting.put(cv2.error("damaged"))
        capture.waiting.put(picture(5))
        assert next(live).data[0, 0, 0] == 5


def test_what_goes_wrong_in_the_readers_thread_is_raised(capture):
    with Live(camera(capture), in_flight=9) as live:
        capture.waiting.put(MemoryError("no room"))
        with pytest.raises(MemoryError, match="no room"):
            next(live)
    assert capture.released.is_set()


def test_a_camera_nobody_asked_is_released_too(capture):
    Live(camera(capture), in_flight=1).close()
    assert capture.released.is_set()


@pytest.mark.parametrize("what", ["0", "camera:0", "Camera:0", "/dev/video0", 0])
def test_a_number_means_a_camera(what):
    found = find_camera(what)
    assert (found.label, str(found.output), found.target) == ("camera:0", "camera_0", 0)


@pytest.mark.parametrize(
    "what", ["video.mp4", "http://h/a.png", "camera:front", "1.png", "-1", "-", -1, True, None, b"0"]
)
def test_other_things_mean_none(what):
    assert find_camera(what) is None


def test_a_file_that_is_called_like_a_camera_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").touch()
    assert find_camera("7") is None
    assert find_camera("camera:7").target == 7


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("rtsp://host/line1", "rtsp://host/line1"),
        ("RTSPS://host:8554/line1?channel=2", "rtsps://host:8554/line1?channel=2"),
        ("rtsp://admin:s3cret@host/line1", "rtsp://host/line1"),
        ("rtsp://admin:s3c/ret@host/line1", "rtsp://host/line1"),
        ("rtsp://admin:s3c@ret@host/line1", "rtsp://host/line1"),
        ("rtsp://host/user=admin&password=s3cret&channel=1", "rtsp://host/user=admin&password=***&channel=1"),
        ("rtsp://host/live?pwd=s3cret", "rtsp://host/live?pwd=***"),
    ],
)
def test_an_address_keeps_its_password_to_itself(address, label):
    found = find_camera(address)
    assert found.label == label
    assert found.target == address
    assert "s3c" not in repr(found) + str(found.output)


@pytest.mark.parametrize("address", ["rtsp://", "rtsp://:s3cret@", "rtsp://user:s3cret@host:port/x", "rtsp://[::1/x"])
def test_a_broken_address_is_refused_without_its_password(address):
    with pytest.raises(UsageError) as refused:
        find_camera(address)
    assert "s3cret" not in str(refused.value)
