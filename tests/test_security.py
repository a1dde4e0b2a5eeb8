"""What docs/security.md promises and no other test holds: nothing that is looked at is run, and nobody is asked."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from uadx.bundle.manifest import Own, Variant, encode
from uadx.bundle.reader import GOLDEN, MODEL, default_path, open_bundle
from uadx.child import UADX, python
from uadx.errors import BundleError, UadxWarning

ROOT = Path(__file__).parents[1]

COMMANDS = {
    "devices": ["devices"],
    "bench": ["bench", "--device", "openvino:CPU", "--seconds", "0.01", "--rounds", "1"],
    "run --engine ray": ["run", "--engine", "ray", "--input", "pictures", "--output", "out"],
    "train --each": ["train", "--each", "--data", "products", "--output", "models", "--device", "cpu"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_python_files_among_the_pictures_are_not_run(command, good_image, tmp_path, monkeypatch):
    for word, package in {"--each": "torch", "ray": "ray"}.items():
        if word in command and find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'uadx[{package}]'")
    for name in ("json", "click", "numpy", "uadx", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('it was run', 'w')")
    (tmp_path / "products" / "empty").mkdir(parents=True)
    (tmp_path / "pictures").mkdir()
    shutil.copy(good_image, tmp_path / "pictures")
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    done = subprocess.run(python(UADX, *command), cwd=tmp_path, capture_output=True, text=True)
    assert "no image in" in done.stderr if "--each" in command else done.returncode == 0, done.stderr
    assert not (tmp_path / "it was run").exists()


def hostile(folder, files=(), **changes):
    """A bundle that is whole, sealed and meant ill: the one that ships, with other files and another manifest."""
    shutil.copytree(default_path(), folder)
    manifest = open_bundle(folder).manifest
    for name, data in dict(files).items():
        (folder / name).write_bytes(data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in dict(files).items()}
    files = {**manifest.files, **hashes}
    (folder / "manifest.json").write_bytes(encode(msgspec.structs.replace(manifest, files=files, **changes)))
    return folder


def test_another_form_of_the_model_points_to_no_outside_data_either(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'uadx[test]'")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor])).SerializeToString()
    form = Variant(file="other.onnx", format="onnx", files=("other.onnx",))
    with pytest.raises(BundleError, match=r"other\.onnx points to data outside itself"):
        open_bundle(hostile(tmp_path / "model", {"other.onnx": model}, variants=(form,)))


@pytest.mark.parametrize("place", ["model", "form"])
def test_golden_vectors_that_would_fill_the_memory_are_refused_unread(place, tmp_path, monkeypatch):
    monkeypatch.setattr("uadx.bundle.reader.MAX_UNPACKED", 1 << 24)  # so that the test is quick
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("image.npy", bytes((1 << 24) + 1))
    bomb = (tmp_path / "bomb").read_bytes()
    assert len(bomb) < 1 << 16
    if place == "model":
        bundle = open_bundle(hostile(tmp_path / "model", {GOLDEN: bomb}))
    else:
        own = open_bundle().manifest
        calibrated = Own(**{name: getattr(own, name) for name in ("scoring", "calibration", "pixel_calibration",
                                                                  "base_levels")}, golden="bomb.npz")  # fmt: skip
        form = Variant(file="int8.onnx", format="onnx", precision="int8", files=("int8.onnx", "bomb.npz"),
                       own=calibrated)  # fmt: skip
        files = {"int8.onnx": (default_path() / MODEL).read_bytes(), "bomb.npz": bomb}
        bundle = open_bundle(hostile(tmp_path / "model", files, variants=(form,))).running("int8")
    with pytest.raises(BundleError, match="more than 1 GiB"):
        _ = bundle.golden


def test_a_sealed_bundle_is_whole_and_may_still_lie(uadx, tmp_path):
    scores = dict.fromkeys(open_bundle().manifest.calibration, (1e6, 2e6))
    model = hostile(tmp_path / "model", calibration=scores, pixel_calibration={}, default_fpr=0.5)
    info = uadx("info", model)
    assert info.code == 0
    assert "intact" in info.out
    assert open_bundle(model).sha256 != open_bundle().sha256  # which every result names


@pytest.mark.parametrize("command", [["info"], ["verify", "--model"]], ids=lambda command: command[0])
def test_what_a_bundle_calls_itself_moves_no_cursor(uadx, command, tmp_path):
    done = uadx(*command, hostile(tmp_path / "model", name="\x1b]0;owned\x07\nerror: none"))
    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "\\x1b]0;owned\\x07\\nerror: none" in done.out


def test_a_file_name_is_no_formula_in_a_spreadsheet(uadx, good_image, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    shutil.copy(good_image, tmp_path / "pictures" / "=HYPERLINK(1).png")
    monkeypatch.chdir(tmp_path / "pictures")
    assert uadx("run", "--input", ".", "--output", tmp_path / "out", "--format", "csv").code == 0
    with open(tmp_path / "out" / "results.csv", encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["input_path"] == "./=HYPERLINK(1).png"


def test_names_are_text_on_pages_without_a_script(uadx, product, tmp_path):
    name, kind = "<img src=x onerror=alert(1)>.png", "<b>bent"
    for folder, source in {"train/good": "good", "test/good": "good", f"test/{kind}": "hole"}.items():
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(2):
            picture = product / "test" / source / f"00{number}.png"
            shutil.copy(picture, tmp_path / "data" / folder / f"{number}{name}")
    model = hostile(tmp_path / "model", name="<script>alert(1)</script>")
    checked = uadx("check", "--data", tmp_path / "data", "--output", tmp_path / "check", "--quick")
    assert checked.code == 9, checked.err  # the same good pictures teach and test
    measured = uadx("eval", "--model", model, "--data", tmp_path / "data", "--output", tmp_path / "eval")
    assert measured.code == 0, measured.err
    for page in ("check/index.html", "eval/index.html"):
        text = (tmp_path / page).read_text("utf-8")
        assert "onerror=alert(1)" in text
        assert not re.search(r"<script|<img src=x|<b>bent", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\n{url}\n#EXT-X-ENDLIST\n"),
        ("hls.ts", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\n{url}\n#EXT-X-ENDLIST\n"),
        ("concat.mkv", "ffconcat version 1.0\nfile '{url}'\n"),
        ("sdp.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_a_playlist_that_says_it_is_a_video_makes_no_connection(uadx, name, text, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/line.mp4"
        (tmp_path / name).write_text(text.format(url=url))
        run = uadx("run", "--input", tmp_path / name, "--output", tmp_path / "out")
        with pytest.raises(BlockingIOError):  # nobody stands in the queue
            server.accept()
    assert run.code == 8
    assert "finds no video in it" in run.err


def test_a_checkpoint_that_would_run_code_is_not_taken_up(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    from uadx.stfpm.network import Trunk
    from uadx.stfpm.training import Recipe, Trainer

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it was run",))

    torch.save({"version": Evil()}, tmp_path / "checkpoint")
    trainer = Trainer(np.zeros((4, 32, 32, 3), np.uint8), np.full((4, 2), 32), Trunk().folded(), Recipe(epochs=1))
    with pytest.warns(UadxWarning, match="is damaged and not taken up"):
        assert not trainer.restore(tmp_path / "checkpoint")
    assert not (tmp_path / "it was run").exists()


def test_inspecting_asks_nobody(uadx, product, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("socket.socket.connect", lambda self, address: asked.append(address))
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *more, **named: asked.append(host))
    formats = "jsonl,csv,json,overlay,heatmap,mask,html"
    assert uadx("run", "--input", product / "test", "--output", tmp_path / "out", "--format", formats).code == 0
    assert asked == []


def test_the_page_names_every_variable_of_the_environment():
    source = "".join(path.read_text("utf-8") for path in (ROOT / "uadx").rglob("*.py"))
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert set(re.findall(r"\bUADX_[A-Z_]+", source)) == set(re.findall(r"\bUADX_[A-Z_]+", page))


def test_a_torchscript_form_which_may_be_any_program_is_not_loaded_by_a_run(uadx, good_image, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    form = Variant(file="any.pt", format="torchscript", files=("any.pt",))
    model = hostile(tmp_path / "model", {"any.pt": b"whatever"}, variants=(form,))
    out = tmp_path / "out"
    run = uadx("run", "--model", model, "--device", "torch:cpu", "--input", good_image, "--output", out)
    assert run.code == 0, run.err
