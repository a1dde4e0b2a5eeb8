"""A device that fails, hangs, answers nonsense or does not close: who is told what, and how the service goes on."""

from __future__ import annotations

import base64
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from serve.conftest import PATIENCE, serving, until
from serve.limping import LIMPING, ON_CHIP, held, server_post

from uadx.serve import engine, service


def test_a_device_that_fails_answers_with_its_words_and_serves_again(chip, good_image):
    with serving(ON_CHIP.override(batch_size=1)) as server:
        chip.update(broken=1, unplugged=True)
        answer = server.post("/v1/inspect", content=good_image.read_bytes())
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == (
            "limping:0 failed while it ran the model: RuntimeError: the chip fell off"
        )
        until(lambda: server.get("/ready").status_code == 503)
        until(lambda: "cannot be opened again" in server.get("/ready").json()["error"]["message"])
        refused = server.post("/v1/inspect", content=good_image.read_bytes())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "no chip in the slot" in refused.json()["error"]["message"]
        chip["unplugged"] = False
        until(lambda: server.get("/ready").status_code == 200)
        assert server.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200


def test_who_had_nothing_to_do_with_the_failure_is_answered_by_the_device_that_comes_back(chip, good_image, tmp_path):
    with serving(ON_CHIP.override(batch_size=1)) as server, ThreadPoolExecutor(8) as pool:
        chip["broken"] = 1
        with held(chip, tmp_path / "held"):
            asked = [pool.submit(server_post, server, good_image) for _ in range(8)]
            until(lambda: server.service.engine.waiting == 8)
        assert sorted(one.result().status_code for one in asked) == [200] * 7 + [500]


def test_an_image_that_the_device_finds_no_numbers_for_fails_alone(chip, good_image):
    white = cv2.imencode(".png", np.full((300, 300, 3), 255, np.uint8))[1].tobytes()
    good = good_image.read_bytes()
    with serving(ON_CHIP.override(batch_size=4), max_delay=PATIENCE) as server:

        def ask(data):
            return httpx.post(f"{server.base_url}/v1/inspect", content=data, timeout=PATIENCE)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, [good, white, good, b"junk"]))
        assert [answer.status_code for answer in answers] == [200, 500, 200, 415]
        assert "level maps that are not numbers" in answers[1].json()["error"]["message"]
        metrics = server.get("/metrics").text
        assert "uadx_batch_windows_count 1.0" in metrics  # they did share a batch
        assert "uadx_device_failures_total 0.0" in metrics


def test_a_failed_device_that_does_not_close_is_opened_again_all_the_same(chip, good_image, monkeypatch):
    monkeypatch.setattr(engine, "CLOSING", 0.2)
    with serving(ON_CHIP) as server:
        chip.update({"broken": 1, "does not close": True})
        assert server_post(server, good_image).status_code == 500
        until(lambda: server_post(server, good_image).status_code == 200)
        assert not server.service.engine.close()
        chip["does not close"] = False
        until(server.service.engine.close)


def test_ready_is_told_at_once_while_images_wait(chip, good_image, monkeypatch, tmp_path):
    monkeypatch.setattr(service, "_PROBED_FOR", PATIENCE)
    with serving(ON_CHIP.override(batch_size=1)) as server, ThreadPoolExecutor(1) as pool:
        body = {"images": [base64.b64encode(good_image.read_bytes()).decode()] * 25}
        assert server_post(server, good_image).status_code == 200
        with held(chip, tmp_path / "held"):
            many = pool.submit(httpx.post, f"{server.base_url}/v1/inspect", json=body, timeout=PATIENCE)
            until(lambda: server.service.engine.waiting == 25)
            assert server.get("/ready").status_code == 200  # a probe would stand behind them
            assert not many.done()
        assert many.result().status_code == 200


def test_a_device_that_hangs_is_not_ready(chip, monkeypatch, tmp_path):
    held = tmp_path / "held"
    with serving(ON_CHIP) as server:
        assert server.get("/ready").status_code == 200
        monkeypatch.setattr(service, "_PROBE_WITHIN", 0.2)
        held.touch()
        chip["hangs while"] = str(held)
        until(lambda: server.get("/ready").status_code == 503)
        assert server.get("/ready").json()["error"]["message"] == "the device has not answered for 0.2 s"
        assert server.get("/live").status_code == server.get("/v2/health/live").status_code == 200
        monkeypatch.setattr(service, "_HANGS_AFTER", 0.3)
        until(lambda: server.get("/live").status_code == 503)
        assert server.get("/v2/health/live").json() == {
            "error": "the device has not answered for 0.3 s: the server must be started anew"
        }
        held.unlink()
        until(lambda: server.get("/ready").status_code == 200)
        assert server.get("/live").status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch")
def test_a_server_ends_in_time_though_its_device_hangs(install, start, good_image, tmp_path):
    install("acme", {"limping.py": LIMPING}, limping="limping")
    held = tmp_path / "held"
    server = start("--device", "limping:0", "--drain", 1, CHIP_HANGS_WHILE=str(held))
    held.touch()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{server.url}/v1/inspect", content=good_image.read_bytes(), timeout=PATIENCE)
        until(lambda: "uadx_queue_images 1.0" in httpx.get(f"{server.url}/metrics").text)
        code, err = server.stop(signal.SIGTERM)
        assert answer.result().status_code == 503
    assert code == 7
    assert "beside a device that hangs" in err
