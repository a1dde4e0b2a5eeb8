"""How a server starts, holds under load, fails, recovers and ends."""

from __future__ import annotations

import base64
import json
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from serve.conftest import PATIENCE, serving, until

from uadx.pipeline.config import PipelineConfig
from uadx.serve import engine, service

LIMPING = """
import os, time
from functools import partial
from uadx.api import Backend, BackendSpec, CompiledModel, DeviceInfo, DeviceRef, Placement, hookimpl
from uadx.plugins import Plugins

class Model(CompiledModel):
    def __init__(self, inner, selector):
        self.inner, self.selector = inner, selector
        self.inputs, self.outputs, self.capabilities = inner.inputs, inner.outputs, inner.capabilities

    def placement(self):
        return Placement(self.selector, self.inner.placement().precision)

    def infer(self, batch):
        if STATE.get("broken"):
            STATE["broken"] -= 1
            raise RuntimeError("the chip fell off")
        time.sleep(STATE.get("seconds", 0))
        while os.path.exists(STATE.get("hangs while", "")):
            time.sleep(0.01)
        maps = self.inner.infer(batch)
        for map in maps.values():
            map[batch["image"].min(axis=(1, 2, 3)) == 255] = float("nan")
        return maps

    def close(self):
        while STATE.get("does not close"):
            time.sleep(0.01)
        self.inner.close()

STATE = {"hangs while": os.environ.get("CHIP_HANGS_WHILE", "")}

class Limping(Backend):
    def __init__(self, spec, options, binding=None):
        super().__init__(spec, options, binding)
        self.openvino = Plugins().open("openvino", {})

    def devices(self):
        return [DeviceInfo(number, "chip", "acme", "npu", int(number)) for number in "01"]

    def compile(self, artifact, device, options):
        if STATE.get("unplugged"):
            raise RuntimeError("no chip in the slot")
        return Model(self.openvino.compile(artifact, DeviceRef("CPU"), options), device.selector)

@hookimpl
def uadx_backends():
    return [BackendSpec("limping", 1, "limping:Limping", ("npu",), summary="a slow one", install_hint="none")]
"""


@pytest.fixture
def chip(install):
    """The state of a backend that can be slow, break, be unplugged and hang, and finds no numbers for white pictures:
    chip["seconds"], ["broken"], ["unplugged"], ["hangs while"] a file is there, ["does not close"]."""
    install("acme", {"limping.py": LIMPING}, limping="limping")
    import limping

    yield limping.STATE
    limping.STATE.clear()


ON_CHIP = PipelineConfig(device="limping:0")


def test_sixteen_clients_good_and_bad_each_get_their_own_answer(server, product):
    good, hole = ((product / "test" / name / "000.png").read_bytes() for name in ("good", "hole"))
    kinds = [(good, 200, False), (hole, 200, True), (b"junk", 415, None), (good[:900], 422, None)]

    def client(number):
        answers = []
        with httpx.Client(base_url=server.base_url, timeout=PATIENCE) as own:
            for turn in range(8):
                data, status, verdict = kinds[(number + turn) % len(kinds)]
                answer = own.post("/v1/inspect", content=data, headers={"X-Request-ID": f"{number}-{turn}"})
                rows = answer.json().get("results", [{"is_anomaly": None}])
                answers.append((answer.status_code, rows[0]["is_anomaly"]) == (status, verdict))
                answers.append(answer.json()["request_id"] == f"{number}-{turn}")
        return answers

    with ThreadPoolExecutor(16) as pool:
        assert all(all(answers) for answers in pool.map(client, range(16)))
    assert server.service.engine.waiting == 0


def server_post(server, image):
    """A request on a connection of its own."""
    return httpx.post(f"{server.base_url}/v1/inspect", content=image.read_bytes(), timeout=PATIENCE)


def test_a_full_queue_answers_503_and_loses_nothing_that_it_took(chip, good_image):
    with serving(ON_CHIP, queue=4) as server:
        chip["seconds"] = 0.1

        def ask(_):
            return server_post(server, good_image)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(32)))
        assert {answer.status_code for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["message"] in {
            "4 images are waiting, and 4 may", *(f"{count} requests are under way" for count in range(8, 17)),
        }  # fmt: skip
        assert ask(0).status_code == 200
        many = server.post("/v1/inspect", files=[("f", b"x")] * 5)
        assert (many.status_code, many.json()["error"]["type"]) == (413, "too_many_images")


def test_one_client_may_not_take_the_whole_queue(chip, good_image):
    with serving(ON_CHIP, per_client=1) as server:
        answer = server.post("/v1/inspect", files=[("f", good_image.read_bytes())] * 2)
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "too_many_requests")


def test_while_the_device_is_busy_images_of_several_clients_make_one_batch(chip, good_image):
    with serving(ON_CHIP.override(batch_size=8), max_delay=0.05) as server:
        chip["seconds"] = 0.1
        body = {"images": [base64.b64encode(good_image.read_bytes()).decode()] * 2}
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: httpx.post(f"{server.base_url}/v1/inspect", json=body, timeout=60), range(8)))
        lines = server.get("/metrics").text.splitlines()
        batches = float(next(line for line in lines if line.startswith("uadx_batch_windows_count")).split()[-1])
        assert batches < 16


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


def test_who_had_nothing_to_do_with_the_failure_is_answered_by_the_device_that_comes_back(chip, good_image):
    with serving(ON_CHIP.override(batch_size=1)) as server:
        chip.update(broken=1, seconds=0.02)

        def ask(_):
            return server_post(server, good_image).status_code

        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(ask, range(8)))
        assert codes.count(500) == 1
        assert set(codes) <= {200, 500, 503}  # 503: came while there was no device
        assert codes.count(200) >= 1


def test_an_image_that_the_device_finds_no_numbers_for_fails_alone(chip, good_image):
    white = cv2.imencode(".png", np.full((300, 300, 3), 255, np.uint8))[1].tobytes()
    good = good_image.read_bytes()
    with serving(ON_CHIP.override(batch_size=4), max_delay=0.5) as server:

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


def test_ready_is_told_at_once_while_images_wait(chip, good_image):
    with serving(ON_CHIP.override(batch_size=1)) as server:
        chip["seconds"] = 0.1
        body = {"images": [base64.b64encode(good_image.read_bytes()).decode()] * 25}
        with ThreadPoolExecutor(1) as pool:
            many = pool.submit(httpx.post, f"{server.base_url}/v1/inspect", json=body, timeout=PATIENCE)
            until(lambda: server.service.engine.seconds_since_answer < 1)
            began = time.monotonic()
            assert server.get("/ready").status_code == 200
            assert time.monotonic() - began < 1
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
        assert server.get("/live").status_code == 200
        held.unlink()
        until(lambda: server.get("/ready").status_code == 200)


def test_several_devices_share_the_images_of_all_clients(chip, good_image, tmp_path):
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {npu: {backends: [limping]}}\n")
    both = PipelineConfig(device="npu:0,1", devices_file=str(path), batch_size=1)
    with serving(both) as server:
        chip["seconds"] = 0.05

        def used(_):
            return server_post(server, good_image).json()["results"][0]["device"]["used"]

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(used, range(16))) == {"limping:0", "limping:1"}
        assert server.get("/v1/model").json()["device"]["used"] == "limping:0,1"
        chip["broken"] = 1
        assert server_post(server, good_image).status_code == 500
        until(lambda: server_post(server, good_image).status_code == 200)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(used, range(16))) == {"limping:0", "limping:1"}


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


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch")
def test_sigterm_under_load_answers_every_request_that_was_accepted_and_ends_with_0(start, good_image):
    server = start("--log-format", "json")
    data, answered, began = good_image.read_bytes(), [], threading.Event()

    def client():
        with httpx.Client(timeout=PATIENCE) as own:
            while True:
                try:
                    answered.append(own.post(f"{server.url}/v1/inspect", content=data))
                except httpx.TransportError:
                    return
                began.set()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(client)
        assert began.wait(PATIENCE)
        code, err = server.stop(signal.SIGTERM)
    logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    taken = {line["request_id"] for line in logged if line["event"] == "request"}
    assert code == 0, err
    assert {answer.status_code for answer in answered} == {200}
    assert taken == {answer.headers["x-request-id"] for answer in answered}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP")
def test_sighup_reads_the_model_again(start):
    server = start("--log-format", "json")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: 'uadx_reloads_total{outcome="loaded"} 1.0' in httpx.get(f"{server.url}/metrics").text)
    assert server.stop(signal.SIGTERM)[0] == 0


def test_a_port_in_use_and_an_empty_key_are_errors_with_advice(uadx):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = uadx("serve", "--port", port)
    assert done.code == 2
    assert done.err.startswith(f"error: cannot listen at 127.0.0.1, port {port}\n    Address already in use\n  fix: ")
    assert uadx("serve", "--api-key", " ").err.startswith("error: --api-key is empty")


def test_another_host_without_a_key_is_warned_of(start):
    server = start("--host", "0.0.0.0")
    _, err = server.stop(signal.SIGTERM)
    assert "warning: whoever reaches 0.0.0.0 may use this server: it has no --api-key" in err
