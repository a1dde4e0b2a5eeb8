"""What runs behind the service: models for tiles, what is fastest here, the list of devices."""

from __future__ import annotations

import base64
import json
import signal
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from serve.conftest import PATIENCE, serving

from uadx import create_pipeline
from uadx.bundle.reader import open_bundle
from uadx.images.framing import Tiling
from uadx.pipeline.config import PipelineConfig
from uadx.train.recalibrate import recalibrate
from uadx.tune import choice, fastest


def picture(path):
    return cv2.imread(str(path))


@pytest.fixture(scope="module")
def parts_of(product):
    """Good parts, and one with a hole, as pixels."""
    good = [picture(path) for path in sorted((product / "train" / "good").iterdir())]
    return good, picture(product / "test" / "hole" / "000.png")


@pytest.fixture(scope="module")
def tiled(parts_of, tmp_path_factory):
    """The shipped model, calibrated for tiles of 300 pixels on six trays of two parts."""
    good, _ = parts_of
    folder = tmp_path_factory.mktemp("trays")
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), np.hstack(good[2 * number : 2 * number + 2]))
    model = tmp_path_factory.mktemp("tiled") / "model"
    recalibrate(open_bundle(), folder, model, Tiling(300))
    return model


@pytest.fixture(scope="module")
def server(tiled):
    with serving(PipelineConfig(model=str(tiled), device="openvino:CPU", fpr=0.2, batch_size=4)) as client:
        yield client


def encoded(image):
    return cv2.imencode(".png", image)[1].tobytes()


def test_images_of_several_sizes_are_cut_into_tiles_and_each_has_the_answer_of_uadx_run(server, tiled, parts_of):
    good, hole = parts_of
    images = [
        np.hstack([good[0], hole]), good[1], np.vstack([np.hstack([good[2], good[3]]), np.hstack([hole, good[4]])]),
        np.hstack(good[5:8]),
    ]  # fmt: skip
    with create_pipeline(model=tiled, device="openvino:CPU", fpr=0.2) as pipeline:
        expected = [result.json for result in pipeline.predict(images)]

    def ask(image):
        answer = httpx.post(f"{server.base_url}/v1/inspect", content=encoded(image), timeout=PATIENCE)
        return answer.json()["results"][0]

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(ask, images * 2))
    for row, wanted in zip(rows, expected * 2, strict=True):
        assert row["windows"] == wanted["windows"]
        assert row["score"] == pytest.approx(wanted["score"], abs=1e-4)
        assert row["is_anomaly"] == wanted["is_anomaly"]
        assert [region["bbox"] for region in row["regions"]] == [region["bbox"] for region in wanted["regions"]]
    assert [row["windows"] for row in rows[:2]] == [3, 1]
    assert rows[0]["is_anomaly"]


def test_a_model_for_tiles_says_so_and_a_broken_image_among_large_ones_is_a_row_of_its_own(server, parts_of):
    good, hole = parts_of
    assert server.get("/v1/model").json()["tiles"] == {"size": 300, "overlap": 0.25}
    assert server.get("/ready").status_code == 200
    sent = [encoded(np.hstack([good[0], hole])), b"junk", encoded(np.hstack(good[:3]))]
    rows = server.post("/v1/inspect", files=[("f", data) for data in sent]).json()["results"]
    assert [row["error"] and row["error"]["type"] for row in rows] == [None, "not_an_image", None]
    assert [row["is_anomaly"] for row in rows] == [True, None, False]


def test_paddlex_s_label_map_of_a_tiled_picture_is_of_the_whole_picture(server, parts_of):
    good, hole = parts_of
    data = base64.b64encode(encoded(np.hstack([good[0], hole]))).decode()
    result = server.post("/image-anomaly-detection", json={"image": data}).json()["result"]
    label_map = np.array(result["labelMap"]).reshape(result["size"])
    assert label_map[:, : result["size"][1] // 2].max() == 0  # the left part is the good one
    assert label_map[:, result["size"][1] // 2 :].max() == 255
    assert cv2.imdecode(np.frombuffer(base64.b64decode(result["image"]), np.uint8), 1).shape == (300, 600, 3)


@pytest.fixture
def quickly(tmp_path, monkeypatch):
    """A cache of the test's own, and short measurements; counts them."""
    measured, tune = [], fastest.tune

    def counting(bundle, config, seconds, *more):
        measured.append(bundle.sha256)
        return tune(bundle, config, 0.05, *more)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(choice, "ROUNDS", 1)
    monkeypatch.setattr(choice, "HINTS", choice.HINTS[:1])
    monkeypatch.setattr(fastest, "tune", counting)
    return measured


FASTEST = {"device": "openvino:CPU", "precision": "f32", "batch_size": 1}


def test_what_is_fastest_here_serves_and_is_measured_once_for_reloads_too(quickly, good_image):
    with serving(PipelineConfig(**FASTEST, enable_hpi=True)) as server:
        row = server.post("/v1/inspect", content=good_image.read_bytes()).json()["results"][0]
        assert (row["device"]["used"], row["device"]["precision"], row["is_anomaly"]) == ("openvino:CPU", "f32", False)
        server.service.engine.reload()
        assert server.post("/v1/inspect", content=good_image.read_bytes()).status_code == 200
    assert len(quickly) == 1


def test_a_server_says_what_it_found_fastest(quickly, start, tmp_path):
    with create_pipeline(**FASTEST, enable_hpi=True):
        pass  # measured shortly, for the server to remember
    server = start("--precision", "f32", "--max-batch", 1, "--hpi", XDG_CACHE_HOME=str(tmp_path / "cache"))
    code, err = server.stop(signal.SIGTERM)
    assert code == 0
    assert "hpi: openvino:CPU, f32, batch 1, " in err
    assert " img/s, remembered from 20" in err


def test_devices_are_listed_as_uadx_devices_lists_them_and_no_path_is(uadx):
    with serving(api_key="secret") as server:
        assert server.get("/v1/devices").status_code == 401
        answer = server.get("/v1/devices", headers={"X-API-Key": "secret"})
    listed = json.loads(uadx("devices", "--json", "--no-probe").out)
    found = answer.json()["devices"]
    assert {device["backend"] for device in found} == {device["backend"] for device in listed["devices"]}
    assert next(device["status"] for device in found if device["device"] == "openvino:CPU") == "ok"
    assert "devices_files" in listed
    assert "devices_files" not in answer.json()
