"""A machine in a folder: what discovery sees of it."""

import pytest

from uadx.machine import Machine, PciDevice


@pytest.fixture
def machine(tmp_path):
    """machine({"dev/card0": ""}): a machine with these files."""

    def build(files, **environ):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if "bin/" in name:
                path.chmod(0o755)
        return Machine(tmp_path, environ)

    return build


def test_nodes_come_in_the_order_of_their_numbers(machine):
    seen = machine({f"dev/card{n}": "" for n in (10, 2, 0)} | {"dev/card_ctl": ""})
    assert seen.names("/dev", r"card\d+") == ["card0", "card2", "card10"]
    assert seen.names("/nowhere", ".*") == []


def test_pci_devices_are_found_by_their_vendor(machine):
    folder = "sys/bus/pci/devices/0000:c1:00.0"
    seen = machine({f"{folder}/vendor": "0x19e5\n", f"{folder}/device": "0xd802\n"})
    assert seen.pci("19e5") == [PciDevice("0000:c1:00.0", "19e5", "d802")]
    assert seen.pci("10de") == []


def test_a_tool_is_run_away_from_the_current_folder(machine):
    seen = machine({"usr/local/bin/card-smi": "#!/bin/sh\necho $1 in $(ls | wc -l) files > note\ncat note\n"})
    assert seen.run("card-smi", "-m") == "-m in 0 files\n"


@pytest.mark.parametrize("script", ["exit 3", "sleep 20"])
def test_a_tool_that_fails_or_hangs_says_nothing(machine, script):
    assert machine({"usr/bin/card-smi": f"#!/bin/sh\n{script}\n"}).run("card-smi", seconds=0.5) is None


def test_a_tool_of_the_real_machine_is_not_taken_for_one_of_the_folder(machine):
    assert machine({}).run("ls") is None


def test_what_is_missing_is_none(machine):
    seen = machine({"proc/kunlun/version": "4.0\n"})
    assert (seen.read("/proc/kunlun/version"), seen.read("/proc/none")) == ("4.0\n", None)
    assert seen.exists("/proc/kunlun")
    assert not seen.exists("/proc/xpu")
