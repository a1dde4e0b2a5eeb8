"""The C++ example gives the scores of `uadx run`: built where CMake and the headers that it needs are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import openvino
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import default_path, open_bundle

SOURCE = Path(__file__).parents[1] / "docs" / "examples" / "cpp"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("cmake") is None:
        pytest.skip("no CMake here")
    build = tmp_path_factory.mktemp("cpp")
    cmake = Path(openvino.__file__).parent / "cmake"
    configured = subprocess.run(
        ["cmake", "-S", SOURCE, "-B", build, f"-DOpenVINO_DIR={cmake}", "-DCMAKE_BUILD_TYPE=Release"],
        capture_output=True, text=True,
    )  # fmt: skip
    if configured.returncode:
        pytest.skip(f"its packages are not all here: {' '.join(configured.stderr.split())[:200]}")
    built = subprocess.run(["cmake", "--build", build], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "warning:" not in built.stdout + built.stderr
    return build / "uadx_inspect"


@pytest.fixture
def pictures(product, tmp_path):
    """Golden images at the model's size, parts of all kinds, a JPEG, and pictures of other shapes."""
    for number, image in enumerate(open_bundle().golden.images):
        cv2.imwrite(str(tmp_path / f"golden{number}.png"), image[..., ::-1])
    part = cv2.imread(str(product / "test" / "hole" / "000.png"))
    sizes = {"wide.png": (700, 200), "tall.png": (150, 400), "small.png": (120, 90), "some.jpg": (300, 300)}
    for name, size in sizes.items():
        cv2.imwrite(str(tmp_path / name), cv2.resize(part, size))
    return [*sorted(tmp_path.iterdir()), *sorted((product / "test").rglob("000.png"))]


def run(program, *arguments):
    libraries = Path(openvino.__file__).parent / "libs"
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
    )  # fmt: skip


def test_it_gives_the_scores_and_verdicts_of_uadx_run(program, pictures, tmp_path):
    done = run(program, default_path(), *pictures, "--heatmaps", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    with create_pipeline(device="openvino:CPU") as pipeline:
        expected = [result.json for result in pipeline.predict([str(path) for path in pictures])]
    for mine, ours in zip(found, expected, strict=True):
        assert mine["score"] == pytest.approx(ours["score"], rel=1e-4, abs=1e-4), mine["input_path"]
        assert mine["threshold"] == ours["threshold"]
        assert mine["is_anomaly"] == ours["is_anomaly"]
    assert cv2.imread(str(tmp_path / "wide_heatmap.png")).shape == (200, 700, 3)


def test_a_file_that_is_no_picture_costs_no_other(program, pictures, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    done = run(program, default_path(), tmp_path / "notes.png", pictures[0])
    assert done.returncode == 8
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["error"] == "cannot be read as a picture"
    assert second["score"] is not None
    assert run(program, tmp_path / "nowhere", pictures[0]).returncode == 5
