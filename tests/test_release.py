"""What `.ci/release` makes: a wheel that works by itself and holds nothing that is not its own, and an sdist of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from uadx import __version__

ROOT = Path(__file__).parents[1]
INFO = f"uadx-{__version__}.dist-info"
SUFFIXES = {".py", ".typed", ".onnx", ".npz", ".json", ".yaml", ".html", ".css", ".js", ".svg"}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """What was printed, and the folder with the sdist, the wheel and what belongs to them."""
    if find_spec("pip") is None or not all(map(shutil.which, ("bash", "sha256sum"))):
        pytest.skip("a release is made by pip, bash and sha256sum, which are not all here")
    tried = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", tmp_path_factory.mktemp("index"),
         "hatchling"], capture_output=True, text=True,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"pip reaches no package index: {tried.stderr.strip().splitlines()[-1]}")
    folder = tmp_path_factory.mktemp("dist")
    here = {**os.environ, "PYTHON": sys.executable}
    made = subprocess.run([ROOT / ".ci" / "release", folder], capture_output=True, text=True, env=here)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout, folder


@pytest.fixture(scope="module")
def wheel(release):
    (path,) = release[1].glob("*.whl")
    return path


def test_the_wheel_works_alone_in_a_clean_environment(release):
    said, _ = release
    version, devices, verify, run = re.split(r"^== uadx .+\n", said, flags=re.MULTILINE)[1:]
    assert version.startswith(f"uadx {__version__}\n")
    assert f"  openvino: uadx {__version__}\n" in version
    assert re.search(r"^--device cpu  runs on openvino:CPU", devices, re.MULTILINE)
    assert "0 of 3 verdicts changed\n  passed" in verify
    assert re.match(r"1 image, \d NG, 0 errors, .* on openvino:CPU \(f32\), results in output\n", run)


def test_the_wheel_holds_the_packages_their_data_and_licences_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    backends = {path.name for path in (ROOT / "backends").glob("uadx_*")}
    assert {name.partition("/")[0] for name in names} == {"uadx", INFO, *backends}
    files = [name for name in names if not name.startswith(INFO)]
    assert {Path(name).suffix for name in files} == SUFFIXES
    assert not [name for name in files if "tests" in name or "benchmark" in name]
    assert {f"{INFO}/licenses/LICENSE", f"{INFO}/licenses/NOTICE"} <= set(names)
    assert wheel.stat().st_size < 10 << 20


def test_the_notice_names_what_the_model_that_ships_was_taught_from(wheel):
    notice = zipfile.ZipFile(wheel).read(f"{INFO}/licenses/NOTICE").decode()
    card = (ROOT / "docs" / "teacher.md").read_text("utf-8")
    sources = re.search(r"\| source \| licence \| in uadx \|\n.*?\n\n", card, re.DOTALL)[0]
    for words in ("MobileNetV2 1.0 224", "google-coral/test_data", "Copyright Google LLC", "imagenet-sample-images"):
        assert words in sources
        assert words in notice


def test_the_sdist_is_the_tree_and_the_wheel_of_it_has_its_files(release, wheel):
    (path,) = release[1].glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "NOTICE", "tests/conftest.py", "docs/release.md", ".ci/release"} <= packed
    assert not [name for name in packed if name.startswith(("shared", "dist", ".git/"))]
    inside = zipfile.ZipFile(wheel)
    for name in inside.namelist():
        path = ROOT / ("backends" if name.startswith("uadx_") else ".") / name
        if name == "uadx/devices.yaml":
            path = ROOT / "devices.yaml"
        if not name.startswith(INFO):
            assert inside.read(name) == path.read_bytes(), name


def test_nothing_of_the_packages_is_missing_in_the_wheel(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for folder in (ROOT / "uadx", *(ROOT / "backends").glob("uadx_*")):
        for path in folder.rglob("*"):
            if path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                assert path.relative_to(folder.parent).as_posix() in names


def test_constraints_and_digests_are_of_what_was_tried(release):
    _, folder = release
    pins = (folder / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", pin) for pin in pins)
    assert {"click", "msgspec", "numpy", "opencv-python-headless", "openvino", "platformdirs", "pluggy", "PyYAML",
            "rich"} <= {pin.partition("==")[0] for pin in pins}  # fmt: skip
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert len(list(folder.iterdir())) == 4


def test_the_changelog_begins_with_this_version():
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first[1] == __version__


def test_a_tag_of_this_commit_is_its_version():
    asked = subprocess.run(["git", "-C", ROOT, "tag", "--points-at", "HEAD", "v*"], capture_output=True, text=True)
    if asked.returncode or not asked.stdout:
        pytest.skip("this commit has no tag: it is no release")
    assert asked.stdout.split() == [f"v{__version__}"]
    assert f"## {__version__} (unreleased)" not in (ROOT / "CHANGELOG.md").read_text("utf-8")
