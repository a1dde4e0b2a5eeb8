"""What a server refuses, and what it never does."""

from __future__ import annotations

import base64
import http.server
import logging
import os
import threading
import zlib

import cv2
import numpy as np
import pytest
from serve.conftest import lines_of, serving, until

from uadx.errors import BundleError
from uadx.pipeline.config import PipelineConfig
from uadx.serve import remote

JSON = {"Content-Type": "application/json"}


def huge_png():
    """A PNG that says it has 40 billion pixels."""
    _, data = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    data = bytearray(data.tobytes())
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def threshold_of(number):
    """A request that is right but for its threshold."""
    tensor = '{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["aGk="]}'
    return f'{{"inputs": [{tensor}], "parameters": {{"threshold": {number}}}}}'.encode()


def broken_bodies(good):
    """name: (path, content, headers, the status)."""
    raw, png = {"Content-Type": "application/octet-stream"}, {"Content-Type": "image/png"}
    return [
        ("/v1/inspect", b"", png, 400),
        ("/v1/inspect", good[: len(good) // 2], png, 422),
        ("/v1/inspect", huge_png(), png, 413),
        ("/v1/inspect", b"GIF89a", raw, None),
        ("/v1/inspect", b"\x00" * 1000, raw, 415),
        ("/v1/inspect", good, {"Content-Type": "text/html"}, 415),
        ("/v1/inspect", b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, None),
        ("/v1/inspect", good, {"Content-Type": "multipart/form-data"}, 400),
        ("/v1/inspect", b"{", JSON, 400),
        ("/v1/inspect", b"[" * 100_000, JSON, None),
        ("/v1/inspect", b'{"image": "\xff"}', JSON, 400),
        ("/v1/inspect", b'{"image": 1}', JSON, 422),
        ("/v1/inspect", b'{"image": "", "images": []}', JSON, 422),
        ("/v1/inspect", b'{"image": "/etc/passwd"}', JSON, None),
        ("/v1/inspect", b'{"image": "file:///etc/passwd"}', JSON, 400),
        ("/v1/inspect", b'{"image": "http://127.0.0.1/"}', JSON, 422),
        ("/v1/inspect?threshold=nan", good, png, 422),
        ("/v1/inspect?threshold=1&fpr=0.1", good, png, 422),
        ("/v1/inspect?fpr=5e-324", good, png, 422),
        ("/anomaly-detection", b'{"visualize": true}', JSON, 422),
        ("/anomaly-detection", b'{"image": null}', JSON, 422),
        ("/v2/models/default/infer", b'{"inputs": []}', {}, 422),
        ("/v2/models/default/infer", b"{}", {"Inference-Header-Content-Length": "99"}, 400),
        ("/v2/models/default/infer", b"{}", {"Inference-Header-Content-Length": "9" * 5000}, 400),
        ("/v2/models/default/infer", threshold_of("1" + "0" * 400), {}, 422),
        ("/v2/models/default/infer", threshold_of("NaN"), {}, 400),
        ("/v1/inspect", b'{"images": [' + b'"",' * 1000 + b'""]}', JSON, 413),
    ]


def test_broken_bodies_are_the_client_s_fault_and_the_next_good_one_works(server, good_image):
    good = good_image.read_bytes()
    for path, content, headers, status in broken_bodies(good):
        answer = server.post(path, content=content, headers=headers)
        assert 400 <= answer.status_code < 500, (path, content[:40], answer.text)
        assert status in (None, answer.status_code), (path, content[:40], answer.text)
        assert "Traceback" not in answer.text
        assert answer.headers["content-type"] == "application/json"
    assert server.post("/v1/inspect", content=good).status_code == 200


def test_an_error_that_nobody_foresaw_is_500_in_the_api_s_words_and_its_traceback_is_in_the_log(monkeypatch, caplog):
    with serving() as server:
        monkeypatch.setattr(server.service.engine, "accept", None)
        for path in ("/v1/inspect", "/anomaly-detection"):
            caplog.clear()
            answer = server.post(path, json={"image": "aGk="})
            assert answer.status_code == 500
            assert "unexpected TypeError; the server's log says more" in answer.text
            assert answer.headers["content-type"] == "application/json"
            assert [record.message for record in caplog.records if record.exc_info] == ["unexpected"]


def test_a_body_over_the_limit_is_refused_while_it_comes_whether_it_says_its_length_or_not():
    with serving(max_body=10_000) as server:

        def pieces():
            for _ in range(40):
                yield b"x" * 1000

        for content in (b"x" * 20_000, pieces()):
            answer = server.post("/v1/inspect", content=content)
            assert answer.status_code == 413
            assert answer.json()["error"]["message"] == "the body is larger than the limit of 10,000 bytes"


def test_a_key_is_asked_for_and_probes_need_none(good_image):
    with serving(api_key="secret", admin_key="boss") as server:
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer secre"}):
            answer = server.post("/v1/inspect", content=good_image.read_bytes(), headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorised")
        assert server.get("/metrics").status_code == 401
        for headers in ({"X-API-Key": "secret"}, {"Authorization": "Bearer secret"}):
            assert server.post("/v1/inspect", content=good_image.read_bytes(), headers=headers).status_code == 200
        assert [server.get(path).status_code for path in ("/live", "/ready", "/health")] == [200, 200, 200]
        assert server.post("/v1/model", json={}, headers={"X-API-Key": "secret"}).status_code == 401
        for address in ("/v1/model%0A", "/v1/model%0a", "/v1%2Fmodel", "//v1/model", "/v1/./model", "/V1/model"):
            answer = server.post(address, json={}, headers={"X-API-Key": "secret"})
            assert answer.status_code in {401, 404}, address


def test_another_site_s_page_and_a_foreign_name_are_refused(good_image):
    with serving(allow_hosts=("127.0.0.1",)) as server:
        data = good_image.read_bytes()
        assert server.post("/v1/inspect", content=data, headers={"Host": "evil.example"}).status_code == 400
        assert server.post("/v1/inspect", content=data, headers={"Origin": "http://evil.example"}).status_code == 403
        own = {"Origin": str(server.base_url).rstrip("/")}
        assert server.post("/v1/inspect", content=data, headers=own).status_code == 200
        for probe in ("/live", "/ready", "/health"):  # Kubernetes calls a pod by its address
            assert server.get(probe, headers={"Host": "10.1.2.3:8080"}).status_code == 200


def test_a_request_is_called_by_its_id_in_answer_and_log(server, caplog):
    caplog.set_level(logging.INFO, "uadx.serve")
    assert server.get("/live", headers={"X-Request-ID": "line-1.42"}).headers["x-request-id"] == "line-1.42"
    assert len(lines_of(caplog, "line-1.42")) == 1
    assert len(server.get("/live", headers={"X-Request-ID": "a b"}).headers["x-request-id"]) == 36


def test_a_form_that_was_cut_is_said_to_be_cut(server, good_image):
    start = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + good_image.read_bytes()
    whole = start + b"\r\n" + start + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert len(server.post("/v1/inspect", content=whole, headers=headers).json()["results"]) == 2
    for cut in (whole[:-5], whole[:-100], start + b"\r\n--x\r\n", b"--x\r\nContent-Disposi"):
        answer = server.post("/v1/inspect", content=cut, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "the form ends before its last boundary: the body was cut"


@pytest.fixture
def elsewhere(good_image):
    """A web server: /part.png, and /away, which leads to another host."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/part.png")
            self.end_headers()
            self.wfile.write(good_image.read_bytes())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever).start()
        yield web.server_port
        web.shutdown()


def test_urls_are_fetched_from_named_public_hosts_only(elsewhere, monkeypatch):
    named = f"localhost:{elsewhere}"
    with serving(allow_url=(named,)) as server:

        def refused(url):
            answer = server.post("/v1/inspect", json={"image": url})
            assert answer.status_code == 422
            return answer.json()["error"]["message"]

        assert "localhost is in a private network" in refused(f"http://{named}/part.png")
        monkeypatch.setattr(remote, "is_public", lambda address: True)
        assert server.post("/v1/inspect", json={"image": f"http://{named}/part.png"}).status_code == 200
        assert "fetches nothing from 127.0.0.1" in refused(f"http://127.0.0.1:{elsewhere}/part.png")
        assert "fetches nothing from 127.0.0.1" in refused(f"http://{named}/away")
        assert "fetches nothing from localhost:80" in refused("http://localhost/part.png")
        assert "fetches nothing from localhost@evil.example" in refused("http://localhost@evil.example/part.png")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("10.0.0.1", False), ("169.254.169.254", False), ("127.0.0.1", False), ("::1", False),
        ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False), ("fe80::1%eth0", False), ("224.0.0.1", False),
        ("2606:4700::1111", True), ("0.0.0.0", False), ("fec0::1", False), ("64:ff9b:1::a00:1", False),
        ("64:ff9b::5db8:d822", True), ("192.88.99.1", False), ("::a00:1", False), ("::ffff:93.184.216.34", True),
        ("2002:a00:1::1", False), ("2002:5db8:d822::1", True), ("2001:db8::1", False), ("3fff::1", False),
        ("fc00::1", False), ("100.64.0.1", False), ("ff02::1", False), ("5f00::1", False),
    ],
)  # fmt: skip
def test_an_address_is_public_or_not(address, public):
    assert remote.is_public(address) is public


def test_a_model_is_swapped_and_a_bad_one_is_refused_while_the_old_one_serves(good_image, tmp_path):
    from uadx.bundle.reader import default_path

    (tmp_path / "bad").mkdir()
    (tmp_path / "other").symlink_to(default_path())
    admin = {"X-API-Key": "boss"}
    with serving(PipelineConfig(model=None, device="openvino:CPU"), admin_key="boss") as server:
        before = server.service.engine.pipeline
        answer = server.post("/v1/model", json={"path": str(tmp_path / "bad")}, headers=admin)
        assert (answer.status_code, answer.json()["error"]["type"]) == (422, "model_refused")
        assert server.service.engine.pipeline is before
        assert server.post("/v1/model", json={"path": str(tmp_path / "other")}, headers=admin).status_code == 200
        assert server.service.engine.pipeline is not before
        assert server.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200
        with pytest.raises(BundleError):
            server.service.engine.reload(str(tmp_path / "nowhere"))
        os.mkfifo(tmp_path / "pipe")
        for path in ("\0", "/dev/zero", str(tmp_path / "pipe"), "x" * 5000, "../" * 2000, "/etc/passwd", ""):
            answer = server.post("/v1/model", json={"path": path}, headers=admin)
            assert (answer.status_code, answer.json()["error"]["type"]) == (422, "model_refused"), path
    with serving() as server:
        assert server.post("/v1/model", json={}).status_code == 403


def test_a_client_that_left_costs_no_inspection(server, good_image):
    import httpx

    body = {"images": [base64.b64encode(good_image.read_bytes()).decode()] * 40}
    with pytest.raises(httpx.ReadTimeout):
        server.post("/v1/inspect", json=body, timeout=httpx.Timeout(10, read=0.05))
    until(lambda: server.service.engine.waiting == 0)
    assert server.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200
