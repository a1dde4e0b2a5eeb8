"""The C++ example gives the scores of `uadx run`: built where CMake and the headers that it needs are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import default_path, open_bundle

QUARTER_TURN = (
    bytes.fromhex("ffe10022") + b"Exif\0\0MM\0*\0\0\0\x08" + bytes.fromhex("0001011200030000000100060000 00000000")
)
"""EXIF that holds orientation 6."""
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
    """Golden images at the model's size, parts of all kinds, pictures of other shapes and of other pixels: grey, of 16
    bits, with alpha, JPEG, turned by EXIF."""
    for number, image in enumerate(open_bundle().golden.images):
        cv2.imwrite(str(tmp_path / f"golden{number}.png"), image[..., ::-1])
    part = cv2.imread(str(product / "test" / "hole" / "000.png"))
    sizes = {"wide.png": (700, 200), "tall.png": (150, 400), "small.png": (120, 90), "some.jpg": (300, 300),
             "thin.png": (3000, 9), "twofold.png": (512, 512)}  # fmt: skip
    for name, size in sizes.items():
        cv2.imwrite(str(tmp_path / name), cv2.resize(part, size))
    deep = (part * np.float64(257) + np.random.default_rng(0).integers(-4000, 4000, part.shape)).clip(0, 65535)
    for name, image in {
        "deep": deep.astype(np.uint16),
        "grey": part[..., 0],
        "alpha": np.dstack([part, part[..., 0]]),
    }.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    cv2.imwrite(str(tmp_path / "deep_grey.tif"), deep[..., 0].astype(np.uint16))
    turned = (tmp_path / "some.jpg").read_bytes()
    (tmp_path / "turned.jpg").write_bytes(turned[:2] + QUARTER_TURN + turned[2:])
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


def test_what_uadx_run_refuses_is_refused_and_costs_no_other(program, pictures, tmp_path):
    part = cv2.imread(str(pictures[0]))
    (tmp_path / "notes.png").write_text("no picture")
    jpeg = (tmp_path / "some.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    cv2.imwrite(str(tmp_path / "tiny.png"), part[:7])
    cv2.imwrite(str(tmp_path / "floats.tif"), part.astype(np.float32))
    cv2.imwritemulti(str(tmp_path / "pages.tif"), [part, part])
    why = {
        "notes.png": "cannot be read", "half.jpg": "cut short", "tiny.png": "fewer than 8 pixels",
        "floats.tif": "neither 8 nor 16 bits", "pages.tif": "several pages", "nowhere.png": "cannot be read",
    }  # fmt: skip
    done = run(program, default_path(), *(tmp_path / name for name in why), pictures[0])
    assert done.returncode == 8
    *refused, good = map(json.loads, done.stdout.splitlines())
    for row, reason in zip(refused, why.values(), strict=True):
        assert reason in row["error"], row
        assert "score" not in row
    assert good["score"] is not None
    with create_pipeline(device="openvino:CPU") as pipeline:
        assert all(result.json["error"] for result in pipeline.predict([str(tmp_path / name) for name in why]))
    assert run(program, tmp_path / "nowhere", pictures[0]).returncode == 5


def test_pictures_of_one_name_have_a_heat_map_each_and_a_name_may_be_no_utf_8(program, pictures, tmp_path):
    other = tmp_path / "other" / pictures[0].name
    other.parent.mkdir()
    shutil.copy(pictures[1], other)
    strange = os.fsencode(tmp_path) + b"/\xff.png"
    shutil.copy(pictures[0], strange)
    done = run(
        program, default_path(), pictures[0], other, os.fsdecode(strange), "--heatmaps", tmp_path / "new" / "maps"
    )
    assert (done.returncode, done.stderr) == (0, "")
    maps = [json.loads(line)["heatmap"] for line in done.stdout.splitlines()]
    assert len(set(maps)) == len(os.listdir(tmp_path / "new" / "maps")) == 3


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("schema",), 3, "schema"),
        (("input", "height"), 1 << 30, "input"),
        (("input", "fit"), "stretch", "letterboxed"),
        (("scoring", "top_fraction"), 0, "top_fraction"),
        (("scoring", "levels", "level1", "high"), -1, "level1"),
        (("scoring", "levels", "level3", "weight"), -1, "level3"),
        (("scoring", "levels", "level2"), {}, "low"),
        (("calibration", "quantile"), [3, 2, 1], "quantile"),
        (("default_fpr",), 1, "default_fpr"),
        (("default_fpr",), 1e-9, "too few calibration images"),
    ],
)
def test_a_manifest_with_values_that_no_bundle_has_is_refused(program, pictures, tmp_path, place, value, named):
    manifest = json.loads((default_path() / "manifest.json").read_text("utf-8"))
    *fields, last = place
    part = manifest
    for field in fields:
        part = part[field]
    part[last] = value
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(manifest))
    done = run(program, tmp_path / "model", pictures[0])
    assert (done.returncode, done.stdout) == (5, "")
    assert named in done.stderr
