"""What requests under way may hold together: pixels of images, and fetches from slow hosts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from serve.conftest import PATIENCE, serving, until
from serve.limping import ON_CHIP

from uadx.errors import InputError
from uadx.pipeline.config import PipelineConfig
from uadx.serve import remote
from uadx.serve.body import source
from uadx.serve.refusals import Refusal
from uadx.serve.room import BODIES, IMAGES, Room, pixels_of
from uadx.serve.service import _FETCHES
from uadx.serve.settings import Settings

MEGAPIXEL = 1_000_000


def picture(width, height):
    return cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def test_pixels_are_held_until_the_request_is_answered():
    room = Room(Settings())
    first, second, third = room.enter(), room.enter(), room.enter()
    first.take_pixels(2 * MEGAPIXEL, MEGAPIXEL)
    second.take_pixels(1_999_000, MEGAPIXEL)
    with pytest.raises(Refusal, match="under way have 3,999,000 pixels, and may have 4,000,000") as full:
        third.take_pixels(1001, MEGAPIXEL)
    assert (full.value.status, full.value.headers) == (503, {"Retry-After": "1"})
    third.take_pixels(1000, MEGAPIXEL)
    first.leave()
    third.take_pixels(2 * MEGAPIXEL, MEGAPIXEL)
    for held in (second, third):
        held.leave()
    assert (room.bodies, room.bytes, room.pixels) == (0, 0, 0)


def test_an_image_that_is_decoded_is_held_though_its_client_has_left():
    room = Room(Settings())
    held = room.enter()
    held.take_bytes(7)
    held.take_pixels(MEGAPIXEL, MEGAPIXEL)
    held.keep()
    held.leave()  # the client is gone
    assert (room.bodies, room.bytes, room.pixels) == (1, 7, MEGAPIXEL)
    held.leave()  # the image is done with
    assert (room.bodies, room.bytes, room.pixels) == (0, 0, 0)


def test_clients_that_leave_get_no_more_images_in_than_others(chip, tmp_path, caplog):
    stuck = tmp_path / "stuck"
    stuck.touch()
    with serving(ON_CHIP.override(max_pixels=MEGAPIXEL)) as server:
        chip["hangs while"] = str(stuck)
        large = {"image": picture(1000, 1000)}
        leaving = httpx.Timeout(PATIENCE, read=0.2)
        for left in range(1, IMAGES + 1):
            with contextlib.suppress(httpx.ReadTimeout):
                httpx.post(f"{server.base_url}/v1/inspect", files=large, timeout=leaving)
            until(lambda left=left: server.service.room.pixels == left * MEGAPIXEL)
        refused = server.post("/v1/inspect", files=large)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "busy")
        stuck.unlink()
        until(lambda: server.service.room.pixels == 0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_what_is_refused_undecoded_has_no_pixels():
    def pixels(*images):
        return asyncio.run(pixels_of([source("x", image) for image in images], MEGAPIXEL))

    assert pixels(picture(1001, 1000), b"no image", b"", InputError("unreadable", "x")) == 0
    assert pixels(picture(1000, 1000), b"no image", picture(3, 5)) == MEGAPIXEL + 15
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)  # a file of more than a megabyte
    assert pixels(cv2.imencode(".png", noise)[1].tobytes()) == 490_000


def test_a_request_that_could_never_be_taken_is_told_so(good_image):
    files = [("image", (f"{at}.png", picture(1000, 1000))) for at in range(IMAGES + 1)]
    with serving(PipelineConfig(device="openvino:CPU", max_pixels=MEGAPIXEL)) as server:
        answer = server.post("/v1/inspect", files=files)
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == ("5,000,000 pixels in the images of a request, more than 4,000,000")
        assert server.post("/v1/inspect", files=files[:IMAGES]).status_code == 200
        room = server.service.room
        # an answer is with its client a moment before the server is done with the request
        until(lambda: room.pixels == room.bodies == 0)
        with ThreadPoolExecutor(8) as clients:
            headers = {"Accept": "image/png"}
            one = {"image": picture(1000, 1000)}
            asked = [clients.submit(server.post, "/v1/inspect", files=one, headers=headers) for _ in range(24)]
        assert {answer.result().status_code for answer in asked} <= {200, 503}
        until(lambda: room.pixels == room.bodies == 0)
        assert server.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200


def test_bodies_are_bounded_together():
    room = Room(Settings(max_body=10))
    held = room.enter()
    held.take_bytes(10 * BODIES)
    with pytest.raises(Refusal, match="too large together"):
        room.enter().take_bytes(1)


@pytest.fixture
def silent():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        taken = []

        def take():
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in taken:
            connection.close()


def test_slow_hosts_keep_nobody_else_waiting(silent, good_image, monkeypatch):
    monkeypatch.setattr(remote, "is_public", lambda address: True)
    slow = {"image": f"http://localhost:{silent}/part.png"}
    config = PipelineConfig(device="openvino:CPU", url_timeout=10.0)
    with serving(config, allow_url=(f"localhost:{silent}",)) as server, ThreadPoolExecutor(_FETCHES) as clients:
        server.post("/v1/inspect", content=good_image.read_bytes())
        asked = [clients.submit(server.post, "/v1/inspect", json=slow) for _ in range(_FETCHES)]
        until(lambda: server.service._fetches._value == 0)
        refused = server.post("/v1/inspect", json=slow)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["message"] == f"{_FETCHES} images are being fetched"
        overlay = server.post("/v1/inspect", content=good_image.read_bytes(), headers={"Accept": "image/png"})
        assert overlay.headers["content-type"] == "image/png"
        assert not any(answer.done() for answer in asked)
        for answer in asked:
            assert answer.result().json()["error"]["type"] == "timeout"
        until(lambda: server.service._fetches._value == _FETCHES)
