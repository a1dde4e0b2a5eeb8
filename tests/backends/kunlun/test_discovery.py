"""What is seen of Kunlunxin cards without Paddle, on machines in a folder, from text as the tools print it."""

from __future__ import annotations

import sys

import pytest
from uadx_kunlun.discovery import Card, discover, driver_version, model_name, parse_xpu_smi

from uadx.machine import Machine

# a P800, by what FlagPerf's monitor reads: field 1 PCI, 2 number, 4 serial, 18 and 19 MiB used and in all, 22 name
LINE = (
    "0000000{n}:16:00.0 {n} {n} 02K00Y6224{n} 37 0 0 0 93 1450 1450 400 1600 1600 0 96 0 {used} 98304 0 2.15 "
    '"P800 OAM" 0 0 0 0 0 0 0 0 0 0'
)
P800 = "\n".join(LINE.format(n=n, used=n * 12) for n in range(2)) + "\n"
OF_KUNLUNXIN = f"#!/bin/sh\n[ \"$*\" = -m ] || exit 1\ncat <<'END'\n{P800}END\n"
OF_INTEL = """#!/bin/sh
[ "$1" = discovery ] && echo '{"device_list": [{"device_id": 0, "device_name": "Intel(R) Data Center GPU Max"}]}'
echo 'The following argument was not expected: -m'
exit 0
"""
VERSION = "KUNLUN XPU Linux x86_64 Kernel Module  5.0.21.24  Fri Jul 18 11:02:31 CST 2025\n"
PCI = {
    "sys/bus/pci/devices/0000:16:00.0/vendor": "0x1d22\n",
    "sys/bus/pci/devices/0000:16:00.0/device": "0x3684\n",
}
MACHINE = {"dev/xpu0": "", "dev/xpu1": "", "dev/xpuctrl": "", "proc/kunlun/version": VERSION}


@pytest.fixture
def machine(tmp_path):
    """machine({"dev/xpu0": ""}) -> a machine with these files."""

    def make(files, **environ):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if "bin/" in name:
                path.chmod(0o755)
        return Machine(tmp_path, environ)

    return make


def found(machine):
    return {each.what: (each.present, each.text) for each in discover(machine)}


def test_a_machine_without_anything_says_what_was_looked_for(machine):
    seen = found(machine({}))
    assert seen["card"] == (False, "none: no node /dev/xpu0, no PCI device of vendor 1d22")
    assert seen["driver"] == (False, "none: no /proc/kunlun and no /proc/xpu")
    assert "mask" not in seen


def test_the_lines_of_xpu_smi_are_read():
    assert parse_xpu_smi(P800) == [
        Card(0, "P800 OAM", "00000000:16:00.0", 98304),
        Card(1, "P800 OAM", "00000001:16:00.0", 98304),
    ]


@pytest.mark.parametrize("text", ["", "no device\n", "an unclosed 'quotation\n", " ".join(["0"] * 31), "x " * 32])
def test_other_text_is_no_card(text):
    assert parse_xpu_smi(text) == []


def test_a_machine_with_cards_names_them_as_xpu_smi_does(machine):
    here = machine(MACHINE | {"usr/local/bin/xpu-smi": OF_KUNLUNXIN})
    assert found(here)["card"] == (True, "0: P800 OAM at 00000000:16:00.0, 1: P800 OAM at 00000001:16:00.0")
    assert found(here)["driver"] == (True, "5.0.21.24")
    assert (model_name(here), driver_version(here)) == ("P800 OAM", "5.0.21.24")


def test_the_older_tool_and_the_older_proc_are_known(machine):
    here = machine({"dev/xpu0": "", "dev/xpuctrl": "", "proc/xpu/dev0/state": "", "usr/bin/xpu_smi": OF_KUNLUNXIN})
    assert found(here)["card"][1].startswith("0: P800 OAM")
    assert found(here)["driver"] == (True, "loaded, of unknown version")


def test_cards_of_different_models_have_no_name_in_common(machine):
    mixed = OF_KUNLUNXIN.replace('"P800 OAM"', '"R200"', 1)
    assert model_name(machine(MACHINE | {"usr/bin/xpu-smi": mixed})) is None


@pytest.mark.parametrize("files", [{}, MACHINE])
def test_the_tool_of_intel_is_not_taken_for_kunlunxins(machine, files):
    here = machine(files | {"usr/bin/xpu-smi": OF_INTEL})
    assert model_name(here) is None
    assert found(here)["card"] == ((True, "/dev/xpu0, /dev/xpu1") if files else (False, found(here)["card"][1]))


def test_the_tool_is_not_run_on_a_machine_that_shows_nothing_else_of_kunlunxin(machine, tmp_path):
    ran = tmp_path / "ran"
    assert not found(machine({"usr/bin/xpu-smi": f"#!/bin/sh\ntouch {ran}\n"}))["card"][0]
    assert not ran.exists()


def test_a_card_on_the_bus_without_a_driver_says_so(machine):
    seen = found(machine(PCI))
    assert seen["card"] == (True, "PCI 0000:16:00.0, without a node /dev/xpu0: its driver is not loaded")
    assert not seen["driver"][0]


def test_a_container_without_the_control_node_says_which_one_is_missing(machine):
    here = machine({"dev/xpu0": "", "proc/kunlun/version": VERSION})
    assert found(here)["driver"] == (False, "5.0.21.24; missing: /dev/xpuctrl (in a container, pass it through)")


@pytest.mark.parametrize("name", ["XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_a_mask_is_shown(machine, name):
    assert found(machine({}, **{name: "1"}))["mask"] == (True, f"{name}=1")


def test_masks_that_differ_are_pointed_out(machine):
    findings = discover(machine({}, XPU_VISIBLE_DEVICES="0", CUDA_VISIBLE_DEVICES="1"))
    masks = [finding for finding in findings if finding.what == "mask"]
    assert len(masks) == 2
    assert all(not mask.present and "the two variables differ" in mask.text for mask in masks)


def test_paddle_is_looked_for_and_not_imported(machine, tmp_path, monkeypatch):
    (tmp_path / "paddle").mkdir()
    (tmp_path / "paddle" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    assert found(machine({}))["SDK"][0]
    assert "paddle" not in sys.modules
