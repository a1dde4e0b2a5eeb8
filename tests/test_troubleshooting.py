"""docs/troubleshooting.md quotes what is really printed: the commonest errors are made to happen, every other one is
looked up in the source."""

from __future__ import annotations

import ast
import re
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from uadx.bundle.reader import default_path

ROOT = Path(__file__).parents[1]
HEADINGS = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)

PROVOKED = {
    "run --model my_model --input parts": ["no model bundle at …"],
    "run --model parts --input parts": ["… is not a model bundle: its manifest.json cannot be read"],
    "info damaged": ["… is corrupt or was changed: its sha256 is not the manifest's"],
    "info edited": ["manifest.json is not valid"],
    "run --fpr 0.0001 --input parts": ["… calibration images certify false-alarm rates of … and more, not …"],
    "run --tile 128 --input parts": ["the model is not calibrated for …"],
    "run --device gp --input parts": ["there is no device …"],
    "run --device openvino --input parts": ["… is a backend and needs a device of its own after the colon"],
    "run --device openvino:NPU.7 --input parts": ["… is not usable: … tried"],
    "run --device openvino:CPU --precision int8 --input parts": ["… was asked for …, but runs in …"],
    "run --input nowhere": ["… does not exist"],
    "run --input empty": ["no image in …"],
    "run --input parts/*.dat": ["no file matches …"],
    "run --input bad --max-pixels 100000": [
        "its content is not that of a known image format",
        "the file is cut short: its end is missing",
        "the PNG is damaged: a checksum (…) is wrong",
        "the JPEG is damaged within its picture: …",
        "a … of several frames or pages: one would hide the others, save each as a file",
        "… pixels, more than max_pixels allows (…)",
        "… pixels: no side may have fewer than 8",
        "… pixels: scale them to uint8 (0 to 255) or uint16 (0 to 65535) first",
        "no --model is given: this is the demo product's, which knows nothing but its mesh",
    ],
    "run --input bad/film.mp4": ["OpenCV's FFmpeg finds no video in it"],
    "run --input camera:77": ["… cannot be opened"],
    "run --input strangers --model default": [
        "… images look unlike what the model was calibrated on, all over and not in one place: another product, light, "
        "lens or distance? Their scores and verdicts mean little"
    ],
    "run --input mesh --threshold -9": [
        "… images are NG: where most of these parts are good, the model does not know them: another product, batch, "
        "light or place?"
    ],
    "run --input parts --threshold 7 --output done --resume": ["the run in … was made with …"],
    "run --input parts --output edited/manifest.json/x": ["… cannot be written to"],
    "run --input parts --pipeline wrong.yaml": ["…: not a valid configuration"],
    "serve --port 8080 --host 192.0.2.1": ["cannot listen at …, port …"],
}
PROVOKED_BY_TORCH = {
    "train --data empty --output new": ["no image in …"],
    "train --data few --output new": ["… different readable images; training needs at least …"],
    "train --data mvtec --output new": ["… looks like MVTec layout but has no train/good"],
    "train --data mesh/test --output new": ["… whose images would be taken for good"],
    "train --data mesh --output parts": ["… is there already and is no model bundle, or holds other files too"],
    "train --data mesh --output new --teacher pickled.pt": ["the teacher … cannot be read as plain weights"],
}


@pytest.fixture
def mishaps(product, tmp_path, monkeypatch, uadx):
    """A folder in which all can go wrong."""
    monkeypatch.chdir(tmp_path)
    good = sorted((product / "test" / "good").iterdir())
    (tmp_path / "mesh").symlink_to(product)
    (tmp_path / "parts").symlink_to(product / "test" / "good")
    for folder in ("empty", "few", "bad", "strangers", "mvtec/test"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(good[0], "few")
    shutil.copytree(default_path(), "damaged")
    shutil.copytree(default_path(), "edited")
    Path("damaged/stfpm.onnx").write_bytes(Path("damaged/stfpm.onnx").read_bytes() + b"x")
    manifest = Path("edited/manifest.json")
    manifest.write_text(manifest.read_text().replace('"seed": ', '"seed": 1', 1))
    Path("wrong.yaml").write_text("Pipeline: {threshhold: 2}\n")
    Path("pickled.pt").write_bytes(b"\x80\x04cposix\nsystem\n(S'true'\ntR.")
    _draw_bad_pictures(Path("bad"), good[0].read_bytes())
    for number in range(5):
        cv2.imwrite(f"strangers/{number}.png", _noise(number))
    return tmp_path


def _draw_bad_pictures(folder: Path, png: bytes) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    (folder / "page.png").write_bytes(b"<html>")
    (folder / "film.mp4").write_bytes(b"<html>")
    (folder / "cut.png").write_bytes(png[:-100])
    (folder / "changed.png").write_bytes(png[:2000] + bytes([png[2000] ^ 1]) + png[2001:])
    jpeg = bytearray(cv2.imencode(".jpg", _noise(0))[1].tobytes())
    jpeg[9000:9400] = bytes(400)
    (folder / "zeros.jpg").write_bytes(jpeg)
    pages = [Image.fromarray(np.full((64, 64), value, np.uint8)) for value in (0, 255)]
    pages[0].save(folder / "two.gif", save_all=True, append_images=pages[1:])
    cv2.imwrite(str(folder / "large.png"), np.zeros((400, 400), np.uint8))
    cv2.imwrite(str(folder / "small.png"), grey[:4, :4])
    cv2.imwrite(str(folder / "float.tiff"), grey.astype(np.float32))


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (256, 256, 3), np.uint8)


def said(heading: str, text: str) -> bool:
    return re.search(".+".join(map(re.escape, heading.split("…"))), text) is not None


@pytest.mark.parametrize("command", PROVOKED)
def test_an_error_is_quoted_as_it_is_printed(uadx, mishaps, command):
    if command.startswith("serve") and find_spec("starlette") is None:
        pytest.skip("the service is not installed: pip install 'uadx[serve]'")
    if "--resume" in command:
        assert uadx("run", "--input", "parts", "--output", "done").code == 0
    run = uadx(*command.split())
    for heading in PROVOKED[command]:
        assert said(heading, run.err), run.err


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install 'uadx[torch]'")
@pytest.mark.parametrize("command", PROVOKED_BY_TORCH)
def test_an_error_of_a_training_is_quoted_as_it_is_printed(uadx, mishaps, command):
    run = uadx(*command.split())
    assert run.code != 0
    for heading in PROVOKED_BY_TORCH[command]:
        assert said(heading, run.err), run.err


def test_what_is_made_to_happen_is_on_the_page():
    made = {heading for known in (PROVOKED, PROVOKED_BY_TORCH) for headings in known.values() for heading in headings}
    assert made <= set(HEADINGS)
    assert len(HEADINGS) == len(set(HEADINGS))


@cache
def messages() -> list[str]:
    """Every text of the source, with … for what it is filled with."""
    found = []
    for path in [*(ROOT / "uadx").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


@pytest.mark.parametrize("heading", HEADINGS)
def test_an_error_is_in_the_source(heading):
    made = {text for known in (PROVOKED, PROVOKED_BY_TORCH) for headings in known.values() for text in headings}
    if heading in made:
        return
    assert any(heading in message for message in messages()), "no error says that"
