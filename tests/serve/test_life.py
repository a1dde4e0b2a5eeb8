"""How a server starts, holds under load and ends."""

from __future__ import annotations

import base64
import json
import signal
import socket
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serve.conftest import PATIENCE, serving, until
from serve.limping import ON_CHIP, held, server_post

from uadx.pipeline.config import PipelineConfig


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
    until(lambda: server.service.engine.waiting == 0)


def test_a_full_queue_answers_503_and_loses_nothing_that_it_took(chip, good_image, tmp_path):
    with serving(ON_CHIP, queue=4) as server, ThreadPoolExecutor(16) as pool:
        with held(chip, tmp_path / "held"):
            asked = [pool.submit(server_post, server, good_image) for _ in range(32)]
            until(lambda: sum(one.done() for one in asked) == 28)
        answers = [one.result() for one in asked]
        assert Counter(answer.status_code for answer in answers) == {200: 4, 503: 28}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["message"] in {
            "4 images are waiting, and 4 may", *(f"{count} requests are under way" for count in range(8, 17)),
        }  # fmt: skip
        until(lambda: server_post(server, good_image).status_code == 200)
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


def test_several_devices_share_the_images_of_all_clients(chip, good_image, tmp_path):
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {npu: {backends: [limping]}}\n")
    both = PipelineConfig(device="npu:0,1", devices_file=str(path), batch_size=1)
    with serving(both) as server:

        def used():
            with ThreadPoolExecutor(8) as pool:
                with held(chip, tmp_path / "held"):  # one after the other would all be the first one's
                    asked = [pool.submit(server_post, server, good_image) for _ in range(8)]
                    until(lambda: server.service.engine.waiting == 8)
                return {one.result().json()["results"][0]["device"]["used"] for one in asked}

        assert used() == {"limping:0", "limping:1"}
        assert server.get("/v1/model").json()["device"]["used"] == "limping:0,1"
        chip["broken"] = 1
        assert server_post(server, good_image).status_code == 500
        until(lambda: server_post(server, good_image).status_code == 200)
        assert used() == {"limping:0", "limping:1"}


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
    from uadx.bundle.reader import default_path

    server = start("--log-format", "json", "--admin-key", "boss", "--model-name", "line1")
    asked = {"path": str(default_path())}
    answer = httpx.post(f"{server.url}/v1/model", json=asked, headers={"X-API-Key": "boss"}, timeout=60)
    assert answer.status_code == 200
    server.process.send_signal(signal.SIGHUP)
    until(lambda: 'uadx_reloads_total{outcome="loaded"} 2.0' in httpx.get(f"{server.url}/metrics").text)
    assert httpx.get(f"{server.url}/v2/models/line1").json()["name"] == "line1"
    code, err = server.stop(signal.SIGTERM)
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]  # all of them, what was said at the start too
    reloads = [line for line in lines if line["event"] == "reloaded"]
    assert [line["path"] for line in reloads] == [str(default_path())] * 2


def test_a_port_in_use_and_an_empty_key_are_errors_with_advice(uadx):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = uadx("serve", "--port", port)
    assert done.code == 2
    assert done.err.startswith(f"error: cannot listen at 127.0.0.1, port {port}\n    Address already in use\n  fix: ")
    assert uadx("serve", "--api-key", " ").err.startswith("error: --api-key is empty")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", " secret", "secret\n", "schlüssel", "a\x7f"])
def test_a_key_that_http_cannot_carry_is_refused_at_the_start(uadx, key):
    for option in ("--api-key", "--admin-key"):
        done = uadx("serve", option, key)
        assert done.code == 2
        assert done.err == (
            f"error: {option} has blanks, line breaks or letters that are not ASCII\n"
            "  fix: give a long random one: openssl rand -hex 32\n"
        )


def test_an_empty_variable_is_no_key_that_nobody_meant(uadx, monkeypatch):
    monkeypatch.setenv("UADX_API_KEY", "")
    done = uadx("serve")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: UADX_API_KEY is empty")


@pytest.mark.parametrize("name", ["", "team/line", "a b"])
def test_a_model_name_that_no_address_can_have_is_refused(uadx, name):
    done = uadx("serve", "--model-name", name)
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: --model-name {name!r} cannot be part of an address")


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--allow-url", "*"), ("--allow-url", "https://images.example.com"), ("--allow-url", "images.example.com/part"),
        ("--allow-url", "ok.example.com,user@host"), ("--allow-url", "host:99999"), ("--allow-url", "*.example.com"),
        ("--allow-url", "host:0"),
        ("--allow-host", "line1.example.com:8080"), ("--allow-host", "http://line1"), ("--allow-host", "[::1"),
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused_at_the_start(uadx, option, given):
    done = uadx("serve", option, given)
    assert done.code == 2
    wrong = given.rpartition(",")[2]
    form = "HOST or HOST:PORT" if option == "--allow-url" else "a name without a port"
    assert done.err == f"error: {option}: {wrong!r} is no host\n  fix: give {form}, such as images.example.com\n"


def test_names_that_are_allowed_come_beside_those_of_loopback(start):
    server = start("--allow-host", "Line1.example.com, fe80::1", "--allow-url", "images.example.com:8443,[2606::1]:80")
    for name, status in {
        "line1.example.com": 200,
        "[fe80::1]": 200,
        "localhost": 200,
        "other.example.com": 400,
    }.items():
        assert httpx.get(f"{server.url}/v1/model", headers={"Host": name}).status_code == status
    assert httpx.get(f"{server.url}/v1/model").status_code == 200


def test_another_host_without_a_key_is_warned_of(start):
    server = start("--host", "0.0.0.0")
    _, err = server.stop(signal.SIGTERM)
    assert "warning whoever reaches 0.0.0.0 may use this server: it has no --api-key" in err
