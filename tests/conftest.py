"""What many tests need: a few pictures of the demo product, and the command line in this process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
from s3_server import s3_server

from uadx.demo.dataset import write_product


def pytest_configure() -> None:
    """A shell starts background jobs with SIGINT ignored, children inherit that, and a test of Ctrl-C waits forever."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo product in MVTec layout: 12 good images to train on, 4 good and 2 of each kind to test. Read only."""
    root = tmp_path_factory.mktemp("mesh")
    write_product(root, train_good=12, test_good=4, test_per_kind=2, seed=0)
    return root


@pytest.fixture
def good_image(product: Path) -> Path:
    """One picture of a good part."""
    return product / "test" / "good" / "000.png"


@pytest.fixture
def parts(product: Path, tmp_path: Path) -> Path:
    """A folder with a sub-folder: two good parts, one with a hole, and a file that is no image."""
    root = tmp_path / "parts"
    (root / "sub").mkdir(parents=True)
    for name, source in {
        "a.png": "good/000.png",
        "b.png": "hole/000.png",
        "sub/a.png": "good/001.png",
    }.items():
        (root / name).write_bytes((product / "test" / source).read_bytes())
    (root / "sub" / "broken.png").write_bytes(b"no picture at all")
    return root


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and printed text."""

    code: int
    out: str
    err: str


@pytest.fixture
def uadx(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Run the command line in this process: uadx("run", "--input", path) -> Finished."""
    from uadx.cli import main

    monkeypatch.delenv("UADX_DEVICE", raising=False)
    monkeypatch.delenv("UADX_DEVICES", raising=False)

    def call(*args: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Finished(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """install("acme", {"module.py": text}, acme="module"): as pip would, for this test only.

    Returns its .dist-info."""
    modules: list[str] = []

    def install_distribution(distribution: str, files: dict[str, str], **backends: str) -> Path:
        site = tmp_path / distribution
        info = site / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = [f"{name} = {module}" for name, module in backends.items()]
        (info / "entry_points.txt").write_text("\n".join(["[uadx.backends]", *lines]))
        for name, text in files.items():
            (site / name).write_text(text)
            modules.append(name.removesuffix(".py"))
        monkeypatch.syspath_prepend(site)
        return info

    yield install_distribution
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real images that UADX_DATA names; tests that need them are skipped where they are absent."""
    path = Path(os.environ.get("UADX_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
    if not (path / "magnetic_tile").is_dir():
        pytest.skip(f"no real images at {path}: set UADX_DATA to a folder that holds magnetic_tile/")
    return path


def read(path: Path) -> cv2.typing.MatLike:
    """A picture from disk, as stored."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


@pytest.fixture(scope="session")
def s3_address() -> Iterator[dict[str, str]]:
    """A local S3 server: the variables of the environment that lead to it, which are set."""
    with s3_server() as variables:
        yield variables


@pytest.fixture
def s3(s3_address: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same with an empty bucket `parts`."""
    import s3fs

    yield s3_address
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    for path in fs.find("parts"):
        fs.rm(path)
