"""uadx on arm64, emulated, beside uadx here: the same scores. The speed of an emulation says nothing.

sh tests/hw/arm64/root.sh /tmp/arm64 && UADX_ARM64=/tmp/arm64 python -m pytest -s tests/hw/arm64
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from uadx.bundle.reader import default_path, open_bundle

FOLDER = Path(os.environ.get("UADX_ARM64", "/nowhere"))

if shutil.which("qemu-aarch64-static") is None:
    pytest.skip("no qemu-aarch64-static here: Debian's qemu-user-static", allow_module_level=True)
if not (FOLDER / "venv" / "bin" / "uadx").exists():
    pytest.skip("UADX_ARM64 is no folder made by tests/hw/arm64/root.sh", allow_module_level=True)

DEVICES = ["openvino:CPU", "onnxruntime:CPUExecutionProvider"]
MAPS = {
    "onnxruntime": "session = sdk.InferenceSession(file, providers=['CPUExecutionProvider'])\n"
    "rows = [session.run(names, {'image': image[None]}) for image in images]",
    "openvino": "model = sdk.Core().compile_model(file, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})\n"
    "rows = [[model(image[None])[name] for name in names] for image in images]",
}


def emulated(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of the emulated environment: emulated("uadx", "verify") -> exit code and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [FOLDER / "venv" / "bin" / program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def pictures(product, tmp_path_factory):
    """Golden images at the model's size, parts of all kinds, a JPEG, and pictures of other shapes."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(open_bundle().golden.images):
        cv2.imwrite(str(folder / f"golden{number}.png"), image[..., ::-1])
    for path in sorted((product / "test").rglob("000.png")):
        shutil.copy(path, folder / f"{path.parent.name}.png")
    part = cv2.imread(str(product / "test" / "hole" / "000.png"))
    sizes = {"wide.png": (700, 200), "tall.png": (150, 400), "small.png": (120, 90), "some.jpg": (300, 300)}
    for name, size in sizes.items():
        cv2.imwrite(str(folder / name), cv2.resize(part, size))
    return folder


def rows(folder: Path) -> dict[str, dict]:
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    return {Path(row["input_path"]).name: row for row in map(json.loads, lines)}


def test_the_processor_is_an_arm_and_both_runtimes_see_it():
    done = emulated("uadx", "devices", "cpu", "--json", "--timeout", 600)
    assert done.returncode == 0, done.stderr
    assert "aarch64" in done.stdout or "arm" in done.stdout
    for device in DEVICES:
        assert device in done.stdout


@pytest.mark.parametrize("device", DEVICES)
def test_it_repeats_the_golden_vectors(device):
    done = emulated("uadx", "verify", "--device", device)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("device", DEVICES)
def test_scores_and_verdicts_are_those_of_this_processor(uadx, pictures, tmp_path, device):
    told = ("run", "--device", device, "--input", pictures, "--format", "jsonl", "--output")
    assert uadx(*told, tmp_path / "here").code == 0
    done = emulated("uadx", *told, tmp_path / "there")
    assert done.returncode == 0, done.stderr
    here, there = rows(tmp_path / "here"), rows(tmp_path / "there")
    assert len(here) > 10
    assert here.keys() == there.keys()
    apart = {name: abs(here[name]["score"] - there[name]["score"]) for name in here}
    print(f"{device}: {len(apart)} images, scores {max(apart.values()):.1e} apart at most")
    assert max(apart.values()) < 1e-4, apart
    assert [row["is_anomaly"] for row in here.values()] == [row["is_anomaly"] for row in there.values()]


@pytest.mark.parametrize(
    ("format_", "file", "sdk"),
    [("onnx", "stfpm.onnx", "onnxruntime"), ("ort", "stfpm.ort", "onnxruntime"),
     ("openvino", "stfpm.openvino.xml", "openvino")],
)  # fmt: skip
def test_a_form_that_was_exported_here_gives_the_model_s_numbers_there(uadx, tmp_path, format_, file, sdk):
    model = default_path()
    if format_ != "onnx":
        model = tmp_path / "edge"
        assert uadx("export", "--model", "default", "--format", format_, "--output", model).code == 0
    program = (
        f"import numpy, {sdk} as sdk\nfile, names = {str(model / file)!r}, ['level1', 'level2', 'level3']\n"
        f"images = numpy.load({str(tmp_path / 'images.npy')!r})\n{MAPS[sdk]}\n"
        f"numpy.savez({str(tmp_path / 'maps.npz')!r}, **{{n: numpy.concatenate(m) for n, m in zip(names, zip(*rows))}})"
    )
    golden = open_bundle().golden
    np.save(tmp_path / "images.npy", golden.images)
    done = emulated("python", "-c", program)
    assert done.returncode == 0, done.stderr
    maps = np.load(tmp_path / "maps.npz")
    apart = max(float(np.abs(maps[name] - expected).max()) for name, expected in golden.maps.items())
    print(f"{file}: {apart:.1e} apart from the float64 reference at most")
    assert apart < 5e-5


@pytest.mark.parametrize("format_", ["ort", "openvino"])
def test_it_exports_there_too(tmp_path, format_):
    done = emulated("uadx", "export", "--model", "default", "--format", format_, "--output", tmp_path / "edge")
    assert done.returncode == 0, done.stderr
    assert "repeats the golden vectors" in done.stdout
    print(done.stdout)


@pytest.mark.parametrize("device", DEVICES)
def test_the_conformance_kit_passes(device):
    done = emulated("uadx", "conformance", device)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
