"""What the documentation shows is run: every `sh` and `python` block, page by page, in a folder with pictures."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS_TORCH = {"train.md", "tiles.md", "zh.md"}


@pytest.fixture
def folder(product, tmp_path, monkeypatch):
    """A folder with `parts/` in MVTec layout, `products/` that holds it, `photos_to_inspect/`, the video `line.mp4` and
    a cache of its own."""
    (tmp_path / "parts").symlink_to(product)
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "mesh").symlink_to(product)
    (tmp_path / "photos_to_inspect").symlink_to(product / "test" / "good")
    pictures = [cv2.imread(str(path)) for path in sorted(product.glob("test/*/*.png"))]
    height, width = pictures[0].shape[:2]
    video = cv2.VideoWriter(str(tmp_path / "line.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 4, (width, height))
    for picture in pictures:
        video.write(picture)
    video.release()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page_run(page, folder, uadx):
    if page.name in NEEDS_TORCH and find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'uadx[torch]'")
    names: dict[str, object] = {}
    for language, code in BLOCK.findall(page.read_text("utf-8")):
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            for line in code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "uadx", line
                    run = uadx(*words[1:])
                    assert run.code == 0, f"{line}\n{run.err}"


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
