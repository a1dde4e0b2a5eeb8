"""Cambricon without a card: discovery from recorded text, the listing, and the whole backend on a fake torch_mlu."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from uadx_cambricon import SPEC, uadx_explain_failure
from uadx_cambricon.discovery import Card, discover, parse_cnmon

from uadx.machine import Machine

CNMON = """\
Sat Nov 21 12:00:00 2026
+------------------------------------------------------------------------------+
| CNMON v5.10.13                                               Driver v5.10.13 |
+-------------------------------+----------------------+-----------------------+
| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | SR-IOV   Compute-Mode |
|===============================+======================+=======================|
| 0     /   MLU370-X8    v1.1.6 |         0000:39:00.0 | 0%                N/A |
|  0%   32C        106 W/ 250 W |     0 MiB/ 23374 MiB | N/A           Default |
+-------------------------------+----------------------+-----------------------+
| 1     /   MLU370-X8    v1.1.6 |         0000:3a:00.0 | 0%                N/A |
|  0%   33C        105 W/ 250 W |    12 MiB/ 23374 MiB | N/A           Default |
+-------------------------------+----------------------+-----------------------+
"""
FAKE = Path(__file__).parent / "fake"

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("onnx") is None, reason="torch is not installed: pip install 'uadx[torch]'"
)


def found(machine):
    return [(finding.what, finding.present, finding.text) for finding in discover(machine)][:2]


def test_the_table_of_cnmon_is_read():
    assert parse_cnmon(CNMON) == (
        "5.10.13",
        [Card(0, "MLU370-X8", "1.1.6", "0000:39:00.0", 23374), Card(1, "MLU370-X8", "1.1.6", "0000:3a:00.0", 23374)],
    )
    assert parse_cnmon("no MLU card found") == (None, [])


def test_a_machine_without_a_card_says_what_was_looked_for(tmp_path):
    assert found(Machine(tmp_path, {})) == [
        ("card", False, "none: no /dev/cambricon_dev*, no PCI device of vendor cabc"),
        ("driver", False, "none: no /proc/driver/cambricon, and cnmon does not answer"),
    ]


def test_a_machine_with_cards_names_them_as_cnmon_does(tmp_path):
    tool = tmp_path / "usr" / "bin" / "cnmon"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{CNMON}END\n")
    tool.chmod(0o755)
    assert found(Machine(tmp_path, {})) == [
        ("card", True, "0: MLU370-X8 at 0000:39:00.0, 1: MLU370-X8 at 0000:3a:00.0"),
        ("driver", True, "5.10.13"),
    ]


def test_a_container_without_cnmon_is_told_by_its_nodes_and_proc(tmp_path):
    for name, text in {
        "dev/cambricon_dev0": "", "dev/cambricon_ctl": "",
        "proc/driver/cambricon/mlus/0000:39:00.0/information": "Device name: MLU590\nDriver Version: v6.2.10\n",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert found(Machine(tmp_path, {})) == [("card", True, "/dev/cambricon_dev0"), ("driver", True, "6.2.10")]


def test_a_card_on_the_bus_without_a_driver_says_so(tmp_path):
    folder = tmp_path / "sys/bus/pci/devices/0000:39:00.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0xcabc\n")
    (folder / "device").write_text("0x0370\n")
    card, driver = found(Machine(tmp_path, {}))
    assert card == ("card", True, "PCI 0000:39:00.0, without a device node: the driver is not loaded")
    assert driver[1] is False


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("MLU out of memory. Tried to allocate 2.00 MiB", "use a smaller --batch-size"),
        ("Cannot re-initialize MLU in forked subprocess.", "start worker processes with spawn"),
        ("Invalid device id", "name a card that `uadx devices mlu` lists"),
        ("CNRT error: invalid argument.", "see what cnmon says"),
    ],
)
def test_the_words_of_torch_mlu_are_explained(words, advice):
    assert uadx_explain_failure("cambricon", RuntimeError(words)).startswith(advice)


def uadx(*args, knobs="", code=0):
    """The command line in a process of its own that finds the fake under the real name."""
    path = os.pathsep.join([str(FAKE), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "MLU_FAKE": knobs}
    environment.pop("UADX_DEVICE", None)
    command = [sys.executable, "-m", "uadx", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, done.stderr
    return done


@needs_torch
def test_the_conformance_kit_passes_over_the_fake(tmp_path):
    uadx("conformance", "cambricon:mlu:0", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["placement"]["device"] == "mlu:0"
    assert report["failed"] == 0
    skipped = {check["name"] for check in report["checks"] if check["outcome"] == "skipped"}
    assert skipped == {"test_the_index_is_not_ignored"}


@needs_torch
def test_a_card_is_listed_as_what_it_is_unverified():
    (row,) = json.loads(uadx("devices", "cambricon", "--json").stdout)["devices"]
    assert (row["device"], row["kind"], row["name"]) == ("cambricon:mlu:0", "mlu:0", "MLU370-X8")
    assert (row["memory"], row["precisions"], row["status"]) == (24 << 30, ["f32", "f16"], "unverified")


@needs_torch
def test_verdicts_on_the_fake_card_are_those_of_the_processor(parts, tmp_path):
    results = {}
    for device in ("mlu:0", "cpu"):
        uadx("run", "-i", parts, "-o", tmp_path / device[:3], "-d", device, "--format", "jsonl", code=8)
        lines = (tmp_path / device[:3] / "results.jsonl").read_text().splitlines()
        results[device] = [json.loads(line)["is_anomaly"] for line in lines]
    assert results["mlu:0"] == results["cpu"] == [False, True, False, None]


@needs_torch
@pytest.mark.parametrize(
    ("knobs", "code", "words"),
    [
        ("none", 4, "it sees no mlu:0; it sees: none"),
        ("oom", 5, "MLU out of memory"),
        ("lost", 5, "CNRT error: device lost."),
    ],
)
def test_what_goes_wrong_on_a_card_is_told_in_its_own_words(knobs, code, words):
    err = uadx("verify", "--device", "mlu:0", knobs=knobs, code=code).stderr
    assert words in err
    assert "fix: " in err


@needs_torch
def test_the_cards_memory_is_what_torch_mlu_says():
    code = """
from uadx.api import CompileOptions, DeviceRef
from uadx.plugins import Plugins
from uadx.testing.golden import small
with Plugins().open("cambricon", {}).compile(small("relu").artifact, DeviceRef("mlu:0"), CompileOptions()) as model:
    print(model.memory())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FAKE), *filter(None, sys.path)])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == f"MemoryInfo(used={4 << 30}, total={24 << 30})\n", done.stderr


@needs_torch
def test_a_number_that_no_card_has_is_refused():
    err = uadx("verify", "--device", "cambricon:mlu:5", knobs="cards=2", code=4).stderr
    assert "cambricon has no device 'mlu:5' here; it has: mlu:0, mlu:1" in err


def test_the_spec_claims_no_hardware():
    assert SPEC.maturity == "unverified"
