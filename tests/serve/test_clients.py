"""PaddleX's API by the clients that its users have: Python's requests, Node's fetch, curl."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest

NODE = """
const [address, file] = process.argv.slice(1);
const image = require("fs").readFileSync(file).toString("base64");
const options = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({image})};
fetch(address, options)
  .then(async (answer) => ({status: answer.status, ...await answer.json()}))
  .then((answer) => console.log(JSON.stringify(answer)));
"""


@pytest.fixture
def hole(product):
    return product / "test" / "hole" / "000.png"


@pytest.fixture
def address(server):
    return f"{server.base_url}/image-anomaly-detection"


def is_as_documented(answer, picture):
    """Whether an answer has PaddleX's fields and types, and what it says of a picture with a defect is right."""
    assert (answer["errorCode"], answer["errorMsg"], len(answer["logId"])) == (0, "Success", 36)
    result = answer["result"]
    high, wide = result["size"]
    assert len(result["labelMap"]) == high * wide
    assert set(result["labelMap"]) == {0, 255}
    drawn = base64.b64decode(result["image"])
    assert drawn.startswith(b"\xff\xd8")  # JPEG
    assert cv2.imdecode(np.frombuffer(drawn, np.uint8), 1).shape == cv2.imread(str(picture)).shape


def test_requests(address, hole):
    requests = pytest.importorskip("requests", reason="requests comes with schemathesis, in the extra test")
    image = base64.b64encode(hole.read_bytes()).decode("ascii")
    response = requests.post(address, json={"image": image})
    assert response.status_code == 200
    is_as_documented(response.json(), hole)
    assert requests.post(address, json={"image": image, "visualize": False}).json()["result"].keys() >= {"labelMap"}
    refused = requests.post(address, json={"image": "no picture"})
    assert refused.status_code == refused.json()["errorCode"] == 400
    assert refused.json().keys() == {"logId", "errorCode", "errorMsg"}


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_node_s_fetch(address, hole):
    done = subprocess.run(["node", "-e", NODE, address, str(hole)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == 200
    is_as_documented(answer, hole)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_with_a_body_from_a_file(address, hole, tmp_path):
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"image": base64.b64encode(hole.read_bytes()).decode()}))
    command = [
        "curl",
        "--silent",
        "--fail",
        "--header",
        "Content-Type: application/json",
        "--data",
        f"@{body}",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    is_as_documented(json.loads(done.stdout), hole)
