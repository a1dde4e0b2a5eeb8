"""What docs/serve.md shows is run against a server."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

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
