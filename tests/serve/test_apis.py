"""What the three APIs take and give."""

from __future__ import annotations

import base64
import json
import struct
from importlib.resources import files

import cv2
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from uadx import create_pipeline
from uadx.client import Client
from uadx.errors import UadxError
from uadx.scoring.fusion import upsample
from uadx.scoring.regions import find_regions


@pytest.fixture(scope="session")
def hole(product):
    return product / "test" / "hole" / "000.png"


def b64(path):
    return base64.b64encode(path.read_bytes()).decode("ascii")


def test_paddlex_s_own_client_code_runs(server, hole, tmp_path):
    import urllib.request

    # its page uses requests, and is otherwise word for word this
    api_url = f"{server.base_url}/image-anomaly-detection"
    image_path = str(hole)
    output_image_path = str(tmp_path / "out.jpg")
    with open(image_path, "rb") as file:
        image_bytes = file.read()
        image_data = base64.b64encode(image_bytes).decode("ascii")
    payload = {"image": image_data}
    request = urllib.request.Request(api_url, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
        result = json.load(response)["result"]
    with open(output_image_path, "wb") as file:
        file.write(base64.b64decode(result["image"]))
    assert cv2.imread(output_image_path).shape == cv2.imread(image_path).shape
    label_map = np.array(result["labelMap"]).reshape(result["size"])
    assert result["size"] == [256, 256]
    assert set(np.unique(label_map)) == {0, 255}
    assert result["isAnomaly"]
    assert result["score"] > result["threshold"]
    x, y, width, height = result["regions"][0]["bbox"]
    high, wide = result["imageSize"]
    inside = label_map[y * 256 // high : (y + height) * 256 // high, x * 256 // wide : (x + width) * 256 // wide]
    assert (inside == 255).mean() > 0.3


def test_paddlex_s_answer_has_its_fields_and_leaves_out_what_is_not_wanted(server, good_image):
    for path in ("/anomaly-detection", "/image-anomaly-detection"):
        answer = server.post(path, json={"image": b64(good_image)}).json()
        assert [*answer] == ["logId", "errorCode", "errorMsg", "result"]
        assert (answer["errorCode"], answer["errorMsg"]) == (0, "Success")
        assert [*answer["result"]][:3] == ["labelMap", "size", "image"]
    body = {"image": b64(good_image), "visualize": False}
    answer = server.post("/anomaly-detection?labelMap=false", json=body).json()
    assert {"labelMap", "image"}.isdisjoint(answer["result"])
    assert server.get("/health").json() | {"logId": ""} == {"logId": "", "errorCode": 0, "errorMsg": "Healthy"}
    broken = server.post("/anomaly-detection", json={"image": "%%%"})
    assert broken.status_code == 400
    assert [*broken.json()] == ["logId", "errorCode", "errorMsg"]
    assert broken.json()["errorCode"] == 400


def test_v1_gives_what_uadx_run_gives_whichever_way_the_image_comes(server, hole):
    with create_pipeline(device="openvino:CPU") as pipeline:
        (expected,) = pipeline.predict(hole)
    data = hole.read_bytes()
    answers = [
        server.post("/v1/inspect", files={"image": ("部品.png", data)}),
        server.post("/v1/inspect", content=data, headers={"Content-Type": "image/png"}),
        server.post("/v1/inspect", json={"image": b64(hole)}),
        server.post("/v1/inspect", json={"image": "data:image/png;base64," + base64.encodebytes(data).decode()}),
    ]
    for answer in answers:
        (row,) = answer.json()["results"]
        assert [*row] == [*expected.json]
        assert row["score"] == pytest.approx(expected["score"], abs=1e-4)
        assert [one["bbox"] for one in row["regions"]] == [one["bbox"] for one in expected["regions"]]
    assert answers[0].json()["results"][0]["input_path"] == "部品.png"
    with Client(str(server.base_url)) as client:
        assert client.inspect(hole)["is_anomaly"]
        assert not client.inspect(data, threshold=1e6)["is_anomaly"]
        with pytest.raises(UadxError, match="the server answered 415") as refused:
            client.inspect(b"no picture")
        assert "not that of a known image format" in refused.value.cause_text


def test_of_many_images_a_broken_one_is_a_row_of_its_own(server, hole, good_image):
    sent = [("f", ("a.png", good_image.read_bytes())), ("f", ("b.png", b"junk")), ("g", ("c.png", hole.read_bytes()))]
    rows = server.post("/v1/inspect", files=sent).json()["results"]
    assert [row["input_path"] for row in rows] == ["a.png", "b.png", "c.png"]
    assert [row["is_anomaly"] for row in rows] == [False, None, True]
    assert rows[1]["error"]["type"] == "not_an_image"
    rows = server.post("/v1/inspect", json={"images": ["!", b64(hole)]}).json()["results"]
    assert [row["error"] and row["error"]["type"] for row in rows] == ["unreadable", None]


def test_the_answer_is_a_picture_where_accept_says_so(server, hole, good_image):
    answer = server.post("/v1/inspect", content=hole.read_bytes(), headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-uadx-verdict"] == "NG"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).shape == cv2.imread(str(hole)).shape
    two = [("f", good_image.read_bytes())] * 2
    assert server.post("/v1/inspect", files=two, headers={"Accept": "image/png"}).status_code == 406


@pytest.mark.parametrize(
    ("accept", "picture"),
    [
        ("image/png", True), ("application/json, IMAGE/PNG;q=0.5", True), ("image/png;q=0", False), ("*/*", False),
        ("image/png; q=0.000, application/json", False), ("image/pngs", False), ("image/png;q=0.001", True),
    ],
)  # fmt: skip
def test_a_quality_of_nothing_asks_for_no_picture(server, good_image, accept, picture):
    answer = server.post("/v1/inspect", content=good_image.read_bytes(), headers={"Accept": accept})
    assert answer.headers["content-type"] == ("image/png" if picture else "application/json")


def test_a_request_has_its_own_threshold_or_rate(server, hole):
    def row(query):
        return server.post(f"/v1/inspect?{query}", files={"f": hole.read_bytes()}).json()["results"][0]

    assert row("threshold=1e6")["is_anomaly"] is False
    assert row("threshold=1e6")["regions"] == []
    assert row("fpr=0.2")["threshold"] < row("fpr=0.05")["threshold"]
    refused = server.post("/v1/inspect?fpr=0.0000001", files={"f": hole.read_bytes()})
    assert refused.status_code == 422
    assert "calibration images certify" in refused.json()["error"]["message"]


def test_a_threshold_that_is_misspelt_or_misplaced_is_no_verdict_by_another_one(server, hole):
    def refused(query, **form):
        answer = server.post(f"/v1/inspect?{query}", files={"f": hole.read_bytes()}, data=form)
        assert answer.status_code == 422
        return answer.json()["error"]

    assert refused("treshold=20") == {
        "type": "usage",
        "message": "there is no parameter `treshold`",
        "hint": "there are threshold, fpr, anomaly_map, picture",
    }
    assert refused("threshold=1&threshold=2")["message"] == "`threshold` is given 2 times"
    assert refused("", threshold="20")["message"] == "the form's field `threshold` is no file"
    assert refused("threshold=1e308")["message"] == "`threshold` must be a number from -1e30 to 1e30"


def test_the_other_apis_ignore_what_is_not_uadx_s_but_no_slip_of_the_pen(server, good_image):
    image = base64.b64encode(good_image.read_bytes()).decode()

    def paddlex(query="", **fields):
        return server.post(f"/anomaly-detection{query}", json={"image": image, "visualize": False, **fields})

    def v2(query="", **parameters):
        name = server.get("/v1/model").json()["name"]
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}
        return server.post(f"/v2/models/{name}/infer{query}", json={"inputs": [tensor], "parameters": parameters})

    assert paddlex(useDocPreprocessor=False, logId="x").status_code == 200
    assert v2(priority=1, sequence_id=3).status_code == 200
    for answer in (
        paddlex(treshold=1.0),
        paddlex(labelmap=True),
        paddlex("?threshold=1"),
        paddlex("?labelMap=true&x=1"),
    ):
        assert (answer.status_code, answer.json()["errorCode"]) == (422, 422)
    assert paddlex(treshold=1.0).json()["errorMsg"] == "there is no `treshold`"
    assert v2(treshold=1.0).json() == {"error": "there is no `treshold`"}
    assert v2("?treshold=1").status_code == 422
    said = "`threshold` stands in the request's own `parameters`, and in no other place"
    assert v2("?threshold=1").json() == {"error": said}


@pytest.mark.parametrize("threshold", [-1e30, -1e9, 0, 1e30])
def test_any_threshold_has_its_picture(server, hole, threshold):
    asked = {"params": {"threshold": threshold}, "headers": {"Accept": "image/png"}}
    assert server.post("/v1/inspect", content=hole.read_bytes(), **asked).status_code == 200


def test_a_row_has_its_anomaly_map_and_its_picture_where_the_query_asks_for_them(server, hole):
    plain = server.post("/v1/inspect", files={"f": hole.read_bytes()}).json()["results"][0]
    assert {"anomaly_map", "picture"}.isdisjoint(plain)
    files = [("f", hole.read_bytes()), ("f", b"junk")]
    row, broken = server.post("/v1/inspect?anomaly_map=true&picture=1", files=files).json()["results"]
    assert "anomaly_map" not in broken
    given = row["anomaly_map"]
    values = np.frombuffer(base64.b64decode(given["data"]), given["dtype"]).reshape(given["shape"])
    height, width = row["image_size"]
    region_threshold = row["pixel_threshold"] if values.max() > row["pixel_threshold"] else row["threshold"]
    found = find_regions(upsample(values, height, width), region_threshold)
    assert [region.as_json() for region in found] == row["regions"]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(row["picture"].partition(",")[2]), np.uint8), 1)
    assert abs(picture.astype(int) - cv2.imread(str(hole))).mean() < 4
    assert server.post("/v1/inspect?anomaly_map=2", files={"f": hole.read_bytes()}).status_code == 422


def test_the_open_inference_protocol_takes_base64_and_binary(server, hole, good_image):
    name = server.get("/v1/model").json()["name"]
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get(f"/v2/models/{name}").json()["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": [b64(good_image), b64(hole)]}
    answer = server.post(f"/v2/models/{name}/infer", json={"id": "7", "inputs": [tensor]}).json()
    assert answer["id"] == "7"
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["is_anomaly"] == {"name": "is_anomaly", "datatype": "BOOL", "shape": [2], "data": [False, True]}
    assert outputs["score"]["datatype"] == "FP64"
    data = b"".join(struct.pack("<I", len(raw)) + raw for raw in (good_image.read_bytes(), hole.read_bytes()))
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": "score"}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    binary = server.post(f"/v2/models/{name}/infer", content=head + data, headers=headers).json()
    assert binary["outputs"][0]["data"] == pytest.approx(outputs["score"]["data"], abs=1e-4)
    missing = server.post("/v2/models/nobody/infer", json={"inputs": []})
    assert (missing.status_code, [*missing.json()]) == (404, ["error"])


def test_metrics_are_prometheus_s(server, good_image):
    server.post("/v1/inspect", files={"f": good_image.read_bytes()})
    server.post("/v1/inspect", files={"f": b"junk"})
    families = {family.name: family for family in text_string_to_metric_families(server.get("/metrics").text)}
    assert {sample.labels["stage"] for sample in families["uadx_stage_seconds"].samples} == {
        "queue", "decode", "infer", "score",
    }  # fmt: skip
    counted = {
        sample.labels["kind"]: sample.value for sample in families["uadx_errors"].samples if "kind" in sample.labels
    }
    assert counted["not_an_image"] >= 1
    assert families["uadx_queue_images"].samples[0].value == 0
    assert families["uadx_ready"].samples[0].value == 1


def test_the_description_names_every_route(server):
    described = yaml.safe_load(files("uadx.serve").joinpath("openapi.yaml").read_text("utf-8"))
    assert server.get("/openapi.json").json()["paths"].keys() == described["paths"].keys()
    from uadx.serve.inference_protocol import InferenceProtocol
    from uadx.serve.inspection import Inspection
    from uadx.serve.operations import Operations
    from uadx.serve.paddlex import PaddleX

    kinds = (PaddleX, Inspection, InferenceProtocol, Operations)
    routes = {route.path for kind in kinds for route in kind(server.service).routes}
    assert routes == described["paths"].keys()
