"""Cores that a container may use, by the files of control groups of either version."""

from __future__ import annotations

import pytest

from uadx import cores
from uadx.cores import core_limit, usable_cores


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty file system of a machine of 64 cores."""
    monkeypatch.setattr(cores, "_allowed", lambda: 64)
    return tmp_path


def put(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("quota", "limit"),
    [("200000 100000", 2), ("250000 100000", 3), ("50000 100000", 1), ("max 100000", None), ("6400000 100000", None),
     ("nonsense", None), ("", None), ("200000 0", None), ("200000", None)],
)  # fmt: skip
def test_a_container_has_the_cores_of_its_quota(root, quota, limit):
    put(root, "proc/self/cgroup", "0::/\n")
    put(root, "sys/fs/cgroup/cpu.max", f"{quota}\n")
    assert core_limit(root) == limit


def test_the_tightest_quota_of_all_groups_above_counts(root):
    put(root, "proc/self/cgroup", "0::/kubepods/pod1/app\n")
    put(root, "sys/fs/cgroup/kubepods/cpu.max", "3200000 100000\n")
    put(root, "sys/fs/cgroup/kubepods/pod1/cpu.max", "400000 100000\n")
    put(root, "sys/fs/cgroup/kubepods/pod1/app/cpu.max", "max 100000\n")
    assert core_limit(root) == 4


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("group", ["", "docker/4711/"])
def test_version_1_of_control_groups_is_read_too(root, folder, group):
    put(root, "proc/self/cgroup", "4:memory:/docker/4711\n3:cpu,cpuacct:/docker/4711\n1:name=systemd:/\n")
    put(root, f"sys/fs/cgroup/{folder}/{group}cpu.cfs_quota_us", "300000\n")
    put(root, f"sys/fs/cgroup/{folder}/{group}cpu.cfs_period_us", "100000\n")
    assert core_limit(root) == 3
    put(root, f"sys/fs/cgroup/{folder}/{group}cpu.cfs_quota_us", "-1\n")
    assert core_limit(root) is None


def test_a_list_of_groups_that_nobody_understands_is_no_limit(root):
    put(root, "proc/self/cgroup", "nonsense\n")
    put(root, "sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert core_limit(root) is None


def test_where_there_are_no_control_groups_there_is_no_limit(root):
    assert core_limit(root) is None


def test_the_quota_reaches_the_workers_and_the_engine(monkeypatch):
    from uadx import create_pipeline

    monkeypatch.setattr(cores, "core_limit", lambda: 1)
    monkeypatch.setattr("uadx.devices.compiling.core_limit", lambda: 1)
    assert usable_cores() == 1
    with create_pipeline(device="openvino:CPU") as pipeline:
        assert pipeline.inspector.workers == 1
        (share,) = pipeline.inspector.opened.shares
        assert share.compiled.placement().details["INFERENCE_NUM_THREADS"] == "1"


def test_the_quota_reaches_torch_in_training_and_in_check(monkeypatch, product):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    from uadx.check.likely import unusual
    from uadx.check.survey import survey
    from uadx.train.build import torch_device

    before = torch.get_num_threads()
    images = survey(product).of("train")[:5]
    try:
        for work in (lambda: torch_device("cpu"), lambda: unusual(images, lambda done, total: None)):
            torch.set_num_threads(2)
            monkeypatch.setattr(cores, "core_limit", lambda: 1)
            work()
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
