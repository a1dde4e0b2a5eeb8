"""docs/edge.md's steps for another language, done in NumPy from the manifest alone, give the scores of `uadx run`."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import default_path
from uadx.images.preprocess import letterbox

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

SCRIPT = Path(__file__).parents[1] / "docs" / "examples" / "steps.py"
SHRUNK = [(512, 512), (768, 1024), (300, 400), (200, 700), (900, 31), (9, 2400)]
SHAPES = [(256, 256), *SHRUNK, (90, 120), (255, 253), (8, 8)]
"""Height and width: the model's own, shrunk twofold, fourfold and by odd shares, and grown."""


@pytest.fixture
def pictures(product, tmp_path):
    """Parts of all kinds, a part at every shape, and one of 16 bits."""
    part = cv2.imread(str(product / "test" / "hole" / "000.png"))
    for height, width in SHAPES:
        cv2.imwrite(str(tmp_path / f"{height}x{width}.png"), cv2.resize(part, (width, height)))
    cv2.imwrite(str(tmp_path / "deep.png"), part.astype(np.uint16) * 257 + 100)
    return [*sorted(tmp_path.glob("*.png")), *sorted((product / "test").rglob("000.png"))]


@pytest.mark.parametrize("form", ["onnx", "ort"])
def test_the_steps_give_the_scores_and_verdicts_of_uadx_run(uadx, pictures, tmp_path, form):
    assert uadx("export", "--model", "default", "--format", "ort", "--output", tmp_path / "edge").code == 0
    if form == "onnx":
        (tmp_path / "edge" / "stfpm.ort").unlink()
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "edge", *pictures], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    with create_pipeline(device="openvino:CPU") as pipeline:
        expected = [result.json for result in pipeline.predict([str(path) for path in pictures])]
    for mine, ours in zip(found, expected, strict=True):
        assert mine["score"] == pytest.approx(ours["score"], rel=1e-4, abs=1e-4), mine["input_path"]
        assert mine["threshold"] == ours["threshold"]
        assert mine["is_anomaly"] == ours["is_anomaly"]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_the_steps_give_the_pixels_of_uadx(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    pixels, shown = runpy.run_path(str(SCRIPT))["letterboxed"](picture, 256, 256)
    expected = letterbox(picture[..., ::-1].copy(), 256, 256)
    assert shown == expected.content
    apart = np.abs(pixels.astype(int) - expected.pixels)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3  # OpenCV averages in float32: a half may fall to either side


def test_a_file_that_is_no_picture_is_said(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    done = subprocess.run(
        [sys.executable, SCRIPT, default_path(), tmp_path / "notes.png"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("notes.png cannot be read as a picture of 8 or 16 bits")
