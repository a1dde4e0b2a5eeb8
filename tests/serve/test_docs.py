"""What docs/serve.md and the client show is run, and the fields that docs/paddlex.md names are looked for."""

from __future__ import annotations

import base64
import doctest
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from serve.conftest import serving

import uadx.client
from uadx.pipeline.config import PipelineConfig

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_lines_of_the_page_run(server, good_image, tmp_path):
    shutil.copy(good_image, tmp_path / "part.png")
    (code,) = blocks("shell")
    for line in code.replace("http://127.0.0.1:8080", str(server.base_url)).splitlines():
        done = subprocess.run([*shlex.split(line), "--silent", "--fail"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "overlay.png").read_bytes().startswith(b"\x89PNG")


def test_the_python_lines_of_the_page_run(server, good_image, tmp_path, monkeypatch, capsys):
    shutil.copy(good_image, tmp_path / "part.png")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("py")
    exec(compile(code.replace("http://127.0.0.1:8080", str(server.base_url)), PAGE.name, "exec"), {})
    assert capsys.readouterr().out.split()[1] == "OK"


def test_the_fields_that_the_page_for_paddlex_names_are_there(server, product):
    text = PAGE.with_name("paddlex.md").read_text("utf-8").partition("## HTTP")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    fields = {
        place: {name for cell, where, _ in rows if where == place for name in re.findall(r"`(\w+)`", cell)}
        for place in ("request", "answer", "result")
    }
    image = base64.b64encode((product / "test" / "hole" / "000.png").read_bytes()).decode()
    sent = {"image": image, "visualize": True, "labelMap": True, "threshold": 0.5}
    assert fields["request"] == {*sent, "fpr"}
    answer = server.post("/image-anomaly-detection", json=sent).json()
    assert fields["answer"] == answer.keys() - {"result"}
    assert fields["result"] == answer["result"].keys()
    assert len(answer["result"]["labelMap"]) == 65536
    broken = server.post("/anomaly-detection", json={"image": ""})
    assert fields["answer"] == broken.json().keys()
    assert server.get("/health").json().keys() == fields["answer"]
    without = server.post("/anomaly-detection", json={"image": image, "fpr": 0.4, "visualize": False})
    assert fields["result"] - without.json()["result"].keys() == {"image"}


def test_the_picture_is_left_out_where_the_file_says_so_and_the_request_does_not(good_image):
    body = {"image": base64.b64encode(good_image.read_bytes()).decode()}
    with serving(PipelineConfig(device="openvino:CPU"), visualize=False) as server:
        assert "image" not in server.post("/anomaly-detection", json=body).json()["result"]
        assert "image" in server.post("/anomaly-detection", json={**body, "visualize": True}).json()["result"]


def test_the_example_of_the_client_s_docstring_runs(server, product, tmp_path, monkeypatch):
    (tmp_path / "parts").symlink_to(product)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(uadx.client, extraglobs={"url": str(server.base_url)}, raise_on_error=True)
    assert (failed, tried > 0) == (0, True)
