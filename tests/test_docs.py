"""What the documentation shows is run: every `sh` and `python` block, page by page, in a folder with pictures; and of
the pages for who comes from elsewhere, what their tables say of uadx."""

from __future__ import annotations

import doctest
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMING_FROM = [ROOT / "docs" / "paddlex.md", ROOT / "docs" / "anomalib.md"]
NEEDS_TORCH = {"train.md", "tiles.md", "zh.md", *(page.name for page in COMING_FROM)}
PADDLEX_ARGUMENTS = {
    "--install", "--no_deps", "--platform", "--yes", "--use_local_repos", "--deps_to_replace", "--pipeline", "--input",
    "--save_path", "--engine", "--device", "--use_hpip", "--hpi_config", "--get_pipeline_config", "--serve", "--host",
    "--port", "--paddle2onnx", "--paddle_model_dir", "--onnx_model_dir", "--opset_version",
}  # fmt: skip
"""Of PaddleX 3.7.2, paddlex/paddlex_cli.py."""
STFPM_YAML = {
    "Global": {"model", "mode", "dataset_dir", "device", "output"},
    "CheckDataset": {"convert.enable", "convert.src_dataset_type", "split.enable", "split.train_percent",
                     "split.val_percent"},
    "Train": {"epochs_iters", "num_classes", "batch_size", "learning_rate", "pretrain_weight_path", "warmup_steps",
              "resume_path", "log_interval", "eval_interval"},
    "Evaluate": {"weight_path", "log_interval"},
    "Predict": {"batch_size", "model_dir", "input", "kernel_option.run_mode"},
    "Export": {"weight_path"},
}  # fmt: skip
"""Of PaddleX 3.7.2, paddlex/configs/modules/image_anomaly_detection/STFPM.yaml."""


@pytest.fixture
def folder(product, tmp_path, monkeypatch):
    """A folder with `parts/` in MVTec layout, `products/` that holds it, `photos_to_inspect/`, `more_good_parts/`, the
    video `line.mp4`, a checkpoint of anomalib's where torch is installed, and a cache of its own."""
    (tmp_path / "parts").symlink_to(product)
    (tmp_path / "more_good_parts").symlink_to(product / "train" / "good")
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "mesh").symlink_to(product)
    (tmp_path / "photos_to_inspect").symlink_to(product / "test" / "good")
    pictures = [cv2.imread(str(path)) for path in sorted(product.glob("test/*/*.png"))]
    height, width = pictures[0].shape[:2]
    video = cv2.VideoWriter(str(tmp_path / "line.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 4, (width, height))
    for picture in pictures:
        video.write(picture)
    video.release()
    if find_spec("torch") is not None:
        import torch
        from stfpm_of_anomalib import checkpoint, drawn

        weights = tmp_path / "results" / "Stfpm" / "mesh" / "v0" / "weights" / "lightning"
        weights.mkdir(parents=True)
        torch.save(checkpoint(drawn()), weights / "model.ckpt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page_run(page, folder, uadx):
    if page.name in NEEDS_TORCH and find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'uadx[torch]'")
    if page.name == "scale.md" and find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'uadx[ray]'")
    names: dict[str, object] = {}
    for language, code in BLOCK.findall(page.read_text("utf-8")):
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            for line in code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "uadx", line
                    run_line(uadx, line)


def run_line(uadx, line):
    words = shlex.split(line, comments=True)
    if "serve" in words or "--serve" in words:
        serve_and_end(words)
        return
    run = uadx(*words[1:])
    assert run.code == 0, f"{line}\n{run.err}"


def serve_and_end(words):
    """Start a server, at a port that is free whatever the line says, and end it when it is there."""
    pytest.importorskip("starlette", reason="uadx serve needs the extra serve")
    at = words.index("--port") + 1
    command = [sys.executable, "-m", *words[:at], "0", *words[at + 1 :]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert "http://127.0.0.1:" in server.stdout.readline(), words
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()


def table(page, heading):
    """The rows of the table below a heading, cells as they are written."""
    (text,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text("utf-8"), re.M | re.S)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def codes(cell):
    return re.findall(r"`([^`]+)`", cell)


def options(*commands):
    """All that can be typed, PaddleX's `--serve` too."""
    import click

    from uadx.cli import app

    root = click.Context(app)
    found = [app.get_command(root, name) for name in commands]
    return {"--serve"} | {
        option for one in found for parameter in one.params for option in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("page", COMING_FROM, ids=lambda page: page.name)
def test_what_stands_for_anothers_commands_and_python_runs(page, folder, uadx):
    if find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'uadx[torch]'")
    lines = [code for row in table(page, "Commands") for code in codes(row[-1]) if code.startswith("uadx ")]
    assert len(lines) > 4
    for line in lines:
        if line not in {"uadx train", "uadx export --precision int8"}:  # named, with a page of their own
            run_line(uadx, line)
    names: dict[str, object] = {}
    rows = table(page, "Python")
    assert len(rows) > 8
    for row in rows:
        for code in codes(row[-1]):
            if code not in {"with", "res", "NAME.png.json", "NAME_res.json", "uadx train"}:
                exec(compile(code, page.name, "exec"), names)


def test_every_argument_of_paddlex_is_told(folder, uadx):
    rows = table(COMING_FROM[0], "Arguments of `paddlex`")
    assert {code for row in rows for code in codes(row[0])} == PADDLEX_ARGUMENTS
    known = options("run", "serve")
    for theirs, ours, said in rows:
        assert set(codes(ours)) <= known
        for refused in codes(theirs) if not ours else ():
            line = ["--pipeline", "anomaly_detection", "--input", "parts/test/good", refused, "paddle"]
            assert uadx(*line).code == 2, refused
        for code in codes(said):
            typed = [word for word in code.split() if word.startswith("--")]
            assert set(typed) <= known, code


def test_paddlexs_files_are_read_and_every_key_of_theirs_is_told(folder, uadx):
    from uadx.pipeline.config import ConfigFile, config_of

    page = COMING_FROM[0]
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    told: set[str] = set()
    for number, block in enumerate(blocks):
        (folder / "line.yaml").write_text(block)
        run_line(uadx, f"uadx --pipeline line.yaml --input parts/test/good --save_path {number}")
        told |= set(keys(yaml.safe_load(block)))
    newest, *_ = blocks
    changed = newest.replace("batch_size: 1", "batch_size: 7").replace("visualize: true", "visualize: false")
    found = config_of(yaml.safe_load(changed), "line.yaml")
    assert (found.Pipeline.batch_size, found.Serving.visualize) == (7, False)
    rows = table(page, "Keys of the pipeline's file")
    assert told <= {code for row in rows for cell in row[:2] for code in codes(cell)}
    for *_, ours, _ in rows:
        for code in codes(ours):
            section, key = code.split(".")
            assert hasattr(getattr(ConfigFile(), section), key)
    for refused in codes(rows[-1][0]):
        content = yaml.safe_load(newest)
        *above, last = refused.split(".")
        (content[above[0]] if above else content)[last] = "x"
        (folder / "line.yaml").write_text(yaml.safe_dump(content))
        run = uadx("run", "--pipeline", "line.yaml", "--input", "parts/test/good")
        assert run.code == 2
        assert f"unknown field `{last}`" in run.err


def keys(content, above=""):
    """Of nested mappings, with dots between."""
    for name, value in content.items():
        yield from keys(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]


def test_every_key_of_paddlexs_training_is_told():
    rows = table(COMING_FROM[0], "Keys of `STFPM.yaml`")
    told = {code for theirs, _ in rows for code in codes(theirs)}
    assert told == {f"{section}.{key}" for section, names in STFPM_YAML.items() for key in names}
    known = options("train", "eval", "run", "check")
    assert {code for _, ours in rows for code in codes(ours) if code.startswith("--")} <= known


def test_options_that_stand_for_anomalibs_arguments_are_there():
    rows = table(COMING_FROM[1], "Arguments")
    named = {code for _, ours in rows for code in codes(ours) if code.startswith("--")}
    assert named <= options("train", "eval", "run")
    assert len(named) > 5


def test_the_python_example_of_the_readme_runs(folder):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert len(list((folder / "overlays").rglob("*.png"))) == 4


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed: pip install 'uadx[docs]'")
def test_the_pages_become_a_site_that_asks_nobody_else(tmp_path):
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    built = subprocess.run([sys.executable, "-m", "zensical", "build"], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    for page in PAGES:
        name = "" if page.stem == "index" else page.stem
        text = (tmp_path / "site" / name / "index.html").read_text("utf-8")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?://", text), page


@pytest.mark.parametrize("module", ["uadx.pipeline.pipeline", "uadx.result", "uadx.bundle.reader", "uadx.errors"])
def test_examples_of_docstrings_run(module, folder):
    failed, tried = doctest.testmod(import_module(module), raise_on_error=True)
    assert (failed, tried > 0) == (0, True)


def test_the_python_reference_is_what_the_docstrings_say():
    pytest.importorskip("httpx", reason="the client is not installed: pip install 'uadx[client]'")
    written = runpy.run_path(str(ROOT / "docs" / "api.py"))["api"]()
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == written, "write it anew: python docs/api.py"


def test_the_reference_is_what_the_commands_say():
    # in a process of its own: click keeps the help option of a command as somebody else has asked for it
    program = f"import runpy; print(runpy.run_path({str(ROOT / 'docs' / 'reference.py')!r})['reference']())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf-8",
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"})  # fmt: skip
    said = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert said.split() == run.stdout.split(), "write it anew: python docs/reference.py"


def test_every_command_is_documented():
    from uadx.cli import COMMANDS

    text = "".join(page.read_text("utf-8") for page in [ROOT / "README.md", *PAGES])
    for name in COMMANDS:
        assert f"uadx {name}" in text, name
