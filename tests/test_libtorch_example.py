"""The C++ program of docs/edge.md gives the levels of an exported TorchScript file, without Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from uadx.bundle.reader import open_bundle

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")

PAGE = (Path(__file__).parents[1] / "docs" / "edge.md").read_text("utf-8")
HOME = Path(torch.__file__).parent


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
def test_the_program_of_the_page_prints_the_levels_of_a_golden_image(uadx, tmp_path):
    assert uadx("export", "-m", "default", "-f", "torchscript", "-o", tmp_path / "edge").code == 0
    (source,) = re.findall(r"^```cpp\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "levels.cpp").write_text(source)
    (line,) = re.findall(r"^ +(g\+\+ (?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
    command = line.replace("\\\n", " ").replace("$T", str(HOME)).split()
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    golden = open_bundle().golden
    golden.images[:1].tofile(tmp_path / "image")
    told = [tmp_path / "levels", tmp_path / "edge" / "stfpm.pt", tmp_path / "image"]
    run = subprocess.run(told, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for printed, level in zip(run.stdout.splitlines(), golden.maps.values(), strict=True):
        shape, _, highest = printed.rpartition(" ")
        assert shape == str(list(level[:1].shape))
        np.testing.assert_allclose(float(highest), level[:1].max(), atol=1e-6)
