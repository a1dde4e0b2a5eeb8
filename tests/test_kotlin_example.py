"""The Kotlin of docs/examples/android gives the pixels, scores and thresholds of uadx: run where kotlinc and java are.

Its call of ONNX Runtime is not run: Android's library is on Maven only. ONNX Runtime's Python takes its place.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import default_path
from uadx.images.decode import Limits, load
from uadx.images.preprocess import letterbox
from uadx.images.sources import Source

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
if missing := [name for name in ("kotlinc", "java") if shutil.which(name) is None]:
    pytest.skip(f"not on PATH: {', '.join(missing)}", allow_module_level=True)

ROOT = Path(__file__).parents[1]
SHAPES = [(256, 256), (512, 512), (768, 1024), (200, 700), (900, 31), (90, 120), (255, 253), (8, 8)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    jar = tmp_path_factory.mktemp("kotlin") / "check.jar"
    sources = [ROOT / "docs" / "examples" / "android" / "Inspection.kt", ROOT / "tests" / "kotlin" / "Check.kt"]
    built = subprocess.run(["kotlinc", "-include-runtime", "-d", jar, *sources], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "warning" not in built.stdout + built.stderr

    def run(*arguments: object) -> list[float]:
        done = subprocess.run(
            ["java", "-cp", jar, "uadx.CheckKt", *map(str, arguments)], capture_output=True, text=True, check=True
        )
        return [float(word) for word in done.stdout.split()]

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The shipped bundle's numbers as Check.kt reads them."""
    manifest = json.loads((default_path() / "manifest.json").read_text("utf-8"))
    scoring = manifest["scoring"]
    head = (manifest["input"]["height"], manifest["input"]["width"], scoring["smoothing"], scoring["top_fraction"])
    levels = [(name, level["low"], level["high"], level["weight"]) for name, level in scoring["levels"].items()]
    lines = [(*head, manifest["default_fpr"]), *levels, manifest["calibration"]["quantile"]]
    path = tmp_path_factory.mktemp("model") / "numbers.txt"
    path.write_text("\n".join(" ".join(map(str, line)) for line in lines))
    return path


def test_it_gives_the_scores_and_thresholds_of_uadx_run(program, model, product, tmp_path):
    part = cv2.imread(str(product / "test" / "hole" / "000.png"))
    pictures = {f"{height}x{width}": cv2.resize(part, (width, height)) for height, width in SHAPES}
    pictures |= {path.parent.name: cv2.imread(str(path)) for path in sorted((product / "test").rglob("000.png"))}
    with create_pipeline(device="onnxruntime:CPUExecutionProvider") as pipeline:
        expected = [result.json for result in pipeline.predict(list(pictures.values()))]
    session = onnxruntime.InferenceSession(str(default_path() / "stfpm.onnx"), providers=["CPUExecutionProvider"])
    for (name, picture), ours in zip(pictures.items(), expected, strict=True):
        argb = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)  # little endian: 0xAARRGGBB
        (tmp_path / "pixels").write_bytes(argb.tobytes())
        shown = program("fit", model, tmp_path / "pixels", *picture.shape[:2], 1, tmp_path / "fitted")
        fitted = np.fromfile(tmp_path / "fitted", np.uint8).reshape(1, 256, 256, 3)
        folder = tmp_path / name
        folder.mkdir()
        for level in ("level1", "level2", "level3"):
            (map_,) = session.run([level], {"image": fitted})
            map_.tofile(folder / f"{level}.{map_.shape[1]}.{map_.shape[2]}")
        score, threshold = program("score", model, folder, *map(int, shown))
        print(f"{name}: {abs(score - ours['score']):.1e} of {ours['score']:.4g}")
        assert score == pytest.approx(ours["score"], rel=1e-4, abs=1e-4), name
        assert threshold == ours["threshold"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_turns_a_picture_as_its_exif_says(program, model, tmp_path, orientation):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    exif = pillow.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    pillow.fromarray(noise).save(tmp_path / "turned.jpg", exif=exif)
    stored = cv2.imread(str(tmp_path / "turned.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    (tmp_path / "pixels").write_bytes(cv2.cvtColor(stored, cv2.COLOR_BGR2BGRA).tobytes())
    shown = program("fit", model, tmp_path / "pixels", *stored.shape[:2], orientation, tmp_path / "fitted")
    source = Source("turned", PurePosixPath("turned.jpg"), tmp_path / "turned.jpg")
    expected = letterbox(load(source, Limits()), 256, 256)
    assert tuple(shown) == expected.content
    np.testing.assert_array_equal(np.fromfile(tmp_path / "fitted", np.uint8).reshape(256, 256, 3), expected.pixels)
