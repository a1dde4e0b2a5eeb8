"""`uadx run --engine ray` on a real Ray cluster of two machines, which are two sets of processes on this one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'uadx[ray]'")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ray's test cluster needs Linux or macOS")

FRAGILE = """
import os
from uadx.api import Backend, BackendSpec, CompiledModel, DeviceInfo, DeviceRef, Placement, hookimpl
from uadx.plugins import Plugins

class Model(CompiledModel):
    '''Ends its process at a black picture, once or always, as its grey says; raises at a white one.'''

    def __init__(self, inner):
        self.inner = inner
        self.inputs, self.outputs, self.capabilities = inner.inputs, inner.outputs, inner.capabilities

    def placement(self):
        return Placement("0", self.inner.placement().precision)

    def infer(self, batch):
        darkest = batch["image"].max(axis=(1, 2, 3)).min()
        if darkest == 0 or darkest == 1 and once():
            os._exit(1)
        if batch["image"].min(axis=(1, 2, 3)).max() == 255:
            raise RuntimeError("the chip fell off")
        return self.inner.infer(batch)

    def close(self):
        self.inner.close()

def once():
    try:
        os.mkdir(os.environ["FRAGILE_DIED"])
    except FileExistsError:
        return False
    return True

class Fragile(Backend):
    def devices(self):
        return [DeviceInfo("0", "chip", "acme", "npu", 0)]

    def compile(self, artifact, device, options):
        openvino = Plugins().open("openvino", {})
        return Model(openvino.compile(artifact, DeviceRef("CPU", None), options))

@hookimpl
def uadx_backends():
    return [BackendSpec(name="fragile", api=1, factory="fragile:Fragile", kinds=("npu",), formats=("onnx",),
                        summary="", install_hint="", docs="", sdk_modules=())]
"""


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the fragile backend makes when its process dies at a nearly black picture."""
    return tmp_path_factory.mktemp("fragile") / "died"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, died: Path) -> Iterator[str]:
    """Two machines of a core each, on which the fragile backend is installed."""
    from ray.cluster_utils import Cluster

    site = tmp_path_factory.mktemp("site")
    info = site / "acme-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[uadx.backends]\nfragile = fragile\n")
    (site / "fragile.py").write_text(FRAGILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("FRAGILE_DIED", str(died))
        patch.syspath_prepend(site)
        machine = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=machine)
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        yield cluster.address
        cluster.shutdown()


@pytest.fixture
def photos(product: Path, tmp_path: Path) -> Path:
    """Eight pictures, one of which is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(sorted((product / "test").rglob("*.png"))[:7]):
        (folder / f"{number}.png").write_bytes(picture.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture at all")
    return folder


def rows(output: Path) -> list[dict[str, object]]:
    lines = [line for file in sorted(output.glob("shards/*.jsonl")) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def plain(folder: Path, name: str, grey: int) -> None:
    cv2.imwrite(str(folder / name), np.full((64, 64, 3), grey, np.uint8))


def test_two_machines_give_the_rows_of_one(uadx, address: str, photos: Path, tmp_path: Path):
    given = ("run", "--input", photos, "--device", "openvino:CPU", "--format", "jsonl,overlay")
    finished = uadx(*given, "--engine", "ray", "--address", address, "--shard-size", 1, "--output", tmp_path / "both")
    assert finished.code == 8, finished.err
    assert re.search(
        r"8 images, \d NG, 1 error, [\d.]+ img/s on openvino:CPU \(f32\) of [12] workers?, results in", finished.out
    )
    assert "broken.png: its content is not that of a known image format" in finished.err
    uadx(*given, "--output", tmp_path / "one")
    one = [json.loads(line) for line in (tmp_path / "one" / "results.jsonl").read_text().splitlines()]
    both = rows(tmp_path / "both")
    for row in [*one, *both]:
        del row["ms"]
    assert both == one
    for picture in (tmp_path / "one" / "overlay").iterdir():
        assert (tmp_path / "both" / "overlay" / picture.name).read_bytes() == picture.read_bytes()


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(uadx, address: str, photos: Path, tmp_path, died: Path):
    plain(photos, "a.png", 1)
    finished = uadx("run", "--input", photos, "--device", "fragile:0", "--engine", "ray", "--address", address,
                    "--shard-size", 2, "--output", tmp_path / "out")  # fmt: skip
    assert died.exists()
    assert finished.code == 8, finished.err
    assert re.search(r"a worker on [\d.]+ failed: a worker failed: .*died", finished.err)
    assert len(rows(tmp_path / "out")) == 9


def test_a_picture_that_kills_every_worker_costs_its_shard_alone(uadx, address: str, photos: Path, tmp_path: Path):
    plain(photos, "a.png", 0)
    given = ("run", "--input", photos, "--engine", "ray", "--address", address, "--shard-size", 3,
             "--output", tmp_path / "out", "--device", "fragile:0")  # fmt: skip
    finished = uadx(*given)
    assert finished.code == 7
    assert f"error: 1 shard could not be inspected, the first from {photos}/" in finished.err
    assert "fix: the others are done; what is left is tried again by the same command with --resume" in finished.err
    assert len(rows(tmp_path / "out")) == 6
    (photos / "a.png").write_bytes((photos / "0.png").read_bytes())
    finished = uadx(*given, "--resume")
    assert finished.code == 8
    assert "9 images (6 from the earlier run)" in finished.out
    assert len(rows(tmp_path / "out")) == 9


def test_sigterm_ends_a_run_in_good_order(address: str, photos: Path, tmp_path: Path):
    for number in range(60):
        (photos / f"more{number}.png").write_bytes((photos / "0.png").read_bytes())
    output = tmp_path / "out"
    command = [sys.executable, "-m", "uadx", "run", "--input", str(photos), "--engine", "ray", "--address", address,
               "--shard-size", "1", "--output", str(output)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    while not list(output.glob("shards/*.json")) and run.poll() is None:
        time.sleep(0.05)
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 143, said
    assert f"what was done is in {output}: the same command with --resume goes on" in said


def test_a_device_that_fails_says_so_in_its_own_words(uadx, address: str, tmp_path: Path):
    folder = tmp_path / "white"
    folder.mkdir()
    plain(folder, "a.png", 255)
    finished = uadx("run", "--input", folder, "--device", "fragile:0", "--engine", "ray", "--address", address,
                    "--output", tmp_path / "out")  # fmt: skip
    assert finished.code == 7
    assert "the chip fell off" in finished.err


def test_a_device_that_is_not_there_ends_the_run_at_once(uadx, address: str, photos: Path, tmp_path: Path):
    finished = uadx("run", "--input", photos, "--device", "torch:cuda:0", "--engine", "ray", "--address", address,
                    "--output", tmp_path / "out")  # fmt: skip
    assert finished.code == 4
    assert re.search(r"no worker on [\d.]+: ", finished.err)
    assert rows(tmp_path / "out") == []


def test_cards_that_the_cluster_has_not_are_missed(uadx, address: str, photos: Path, tmp_path: Path):
    finished = uadx("run", "--input", photos, "--device", "gpu", "--engine", "ray", "--address", address,
                    "--output", tmp_path / "out")  # fmt: skip
    assert finished.code == 4
    assert "error: the Ray cluster has no room for a worker" in finished.err
    assert "fix: its machines must show GPU: see `ray status`" in finished.err


def test_a_cluster_that_is_not_there_is_said(uadx, photos: Path, tmp_path: Path):
    finished = uadx("run", "--input", photos, "--engine", "ray", "--address", "127.0.0.1:1", "--output", tmp_path / "o")
    assert finished.code == 4
    assert "error: no Ray cluster at 127.0.0.1:1" in finished.err
    assert "fix: start one: ray start --head; then --address auto, or --address HOST:6379" in finished.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "auto"], "--address is for a cluster"),
        (["--shard-size", "5"], "--shard-size is for a cluster"),
        (["--output", "s3://bucket/out"], "a run on this machine writes to a folder, and s3://bucket/out is an addr"),
        (["--engine", "ray", "--format", "html"], "the format 'html' is one file of one machine's run"),
        (["--engine", "ray", "--watch"], "--watch is for this machine"),
        (["--engine", "ray", "--fps", "2"], "--engine ray is for images"),
    ],
)
def test_what_has_no_meaning_is_refused(uadx, photos: Path, options: list[str], message: str):
    finished = uadx("run", "--input", photos, *options)
    assert finished.code == 2
    assert message in finished.err


def test_without_ray_the_command_that_installs_it_is_named(uadx, photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    finished = uadx("run", "--input", photos, "--engine", "ray", "--output", tmp_path / "out")
    assert finished.code == 4
    assert "error: --engine ray takes the package 'ray', which is not installed" in finished.err
    assert "fix: python -m pip install 'uadx[ray]'" in finished.err
