"""What is seen of Ascend cards without CANN, on machines in a folder, from text as the tools print it."""

from __future__ import annotations

import sys

import pytest
from uadx_ascend.discovery import chips, discover, versions

from uadx.machine import Machine

TABLE = """\
        NPU ID                         Chip ID                        Chip Logic ID                  Chip Name
        0                              0                              0                              Ascend 310P3
        0                              1                              1                              Ascend 310P3
        0                              2                              -                              Mcu
"""
NPU_SMI = f"#!/bin/sh\n[ \"$*\" = 'info -m' ] || exit 1\ncat <<'END'\n{TABLE}END\n"
SHARED = {f"dev/{name}": "" for name in ("davinci_manager", "devmm_svm", "hisi_hdc")}
DRIVER = {"usr/local/Ascend/driver/version.info": "Version=24.1.rc3\nascendhal_version=7.35.23\n"}
PCI = {
    "sys/bus/pci/devices/0000:c1:00.0/vendor": "0x19e5\n",
    "sys/bus/pci/devices/0000:c1:00.0/device": "0xd500\n",
    "sys/bus/pci/devices/0000:06:00.0/vendor": "0x19e5\n",  # the management controller's display
    "sys/bus/pci/devices/0000:06:00.0/device": "0x1711\n",
}


@pytest.fixture
def found(tmp_path):
    """found({"dev/davinci0": ""}) -> what is found, (present, text) by what it is of."""

    def look(files, **environ):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if "bin/" in name:
                path.chmod(0o755)
        return {each.what: (each.present, each.text) for each in discover(Machine(tmp_path, environ))}

    return look


def test_a_machine_without_anything(found):
    assert found({}) == {
        "card": (False, "no node /dev/davinci0, and no Ascend card among the PCI devices (19e5)"),
        "driver": (False, "no /usr/local/Ascend/driver/version.info, and no node /dev/davinci_manager"),
        "SDK": (False, "no Python package acl, and no CANN in /usr/local/Ascend/ascend-toolkit"),
    }


def test_a_machine_with_cards_and_a_driver(found):
    cards = {"dev/davinci0": "", "dev/davinci1": "", "usr/local/bin/npu-smi": NPU_SMI}
    seen = found(cards | SHARED | DRIVER | PCI)
    assert seen["card"] == (True, "/dev/davinci0, /dev/davinci1: Ascend 310P3")
    assert seen["driver"] == (True, "24.1.rc3")


def test_npu_smi_that_may_not_be_run_leaves_the_name_to_pci(found):
    refuses = {"usr/local/bin/npu-smi": "#!/bin/sh\necho 'dcmi module initialize failed. ret is -8005'\nexit 1\n"}
    assert found({"dev/davinci0": ""} | refuses | PCI)["card"] == (True, "/dev/davinci0: Ascend 310P")
    assert found({"dev/davinci0": ""})["card"][0]


def test_a_card_without_its_driver(found):
    present, text = found(PCI)["card"]
    assert present
    assert text == "Ascend 310P at PCI 0000:c1:00.0, without a node /dev/davinci0: its driver is not loaded"


def test_a_huawei_device_that_is_no_card(found):
    other = {name: text for name, text in PCI.items() if "06:00" in name}
    assert not found(other)["card"][0]


def test_a_container_without_all_nodes(found):
    present, text = found({"dev/davinci0": "", "dev/davinci_manager": ""} | DRIVER)["driver"]
    assert not present
    assert text == "24.1.rc3; missing: /dev/devmm_svm, /dev/hisi_hdc (in a container, pass them through)"


@pytest.mark.parametrize("folder", ["ascend-toolkit", "cann"])
def test_cann_that_is_installed_and_not_in_use(found, folder):
    assert found({f"usr/local/Ascend/{folder}/set_env.sh": ""})["SDK"] == (
        False,
        f"CANN is installed and not in use: run `source /usr/local/Ascend/{folder}/set_env.sh`",
    )


def test_cann_in_use_and_not_imported(found, tmp_path, monkeypatch):
    (tmp_path / "acl").mkdir()
    (tmp_path / "acl" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    home = "usr/local/Ascend/ascend-toolkit/latest/aarch64-linux"
    info = {f"{home}/ascend_toolkit_install.info": "package_name=Ascend-cann-toolkit\nversion=8.2.RC1\narch=aarch64\n"}
    assert found(info)["SDK"] == (True, "CANN's Python package acl is importable; CANN 8.2.RC1")
    assert "acl" not in sys.modules
    assert versions(Machine(tmp_path, {})) == {"cann": "8.2.RC1"}


@pytest.mark.parametrize(
    ("mask", "trouble"),
    [
        ("0,1", ""),
        ("1", ""),
        ("1,0", ": CANN wants the numbers in ascending order"),
        ("0,0", ": CANN wants the numbers in ascending order"),
        ("0,x,2", ": CANN reads 0 of it: write numbers, such as 0,1"),
        ("", ": CANN reads nothing of it: write numbers, such as 0,1"),
        ("all", ": CANN reads nothing of it: write numbers, such as 0,1"),
    ],
)
def test_a_mask_is_held_to_what_the_runtime_reads(found, mask, trouble):
    assert found({}, ASCEND_RT_VISIBLE_DEVICES=mask)["mask"] == (
        not trouble,
        f"ASCEND_RT_VISIBLE_DEVICES={mask}{trouble}",
    )


def test_the_controller_of_a_board_is_no_chip():
    assert chips(TABLE) == {"0": "Ascend 310P3", "1": "Ascend 310P3"}
    assert chips("") == {}
