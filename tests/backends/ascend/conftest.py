"""A machine with two Ascend cards that are not there: the stand-ins for `acl` and for `atc`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FAKES, ON_PATH = HERE / "fakes", HERE / "on_path"
sys.path.append(str(FAKES))


@pytest.fixture(scope="session")
def atc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program `atc`."""
    program = tmp_path_factory.mktemp("cann") / "atc"
    start = f"#!{sys.executable}\nimport sys\nsys.path.append({str(FAKES)!r})\n"
    program.write_text(start + "from fake_acl.atc import main\nmain(sys.argv[1:])\n")
    program.chmod(0o755)
    return program.parent


@pytest.fixture
def atc(atc_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program, found on PATH."""
    monkeypatch.setenv("PATH", str(atc_folder), prepend=":")
    return atc_folder / "atc"


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """card(devices=1) -> an AscendBackend over a stand-in with these knobs; nothing may be left of it at the end."""
    from fake_acl import FakeAcl, Knobs
    from uadx_ascend import SPEC
    from uadx_ascend.backend import AscendBackend

    from uadx.machine import Machine

    opened = []

    def make(**knobs: Any) -> AscendBackend:
        backend = AscendBackend(SPEC, {}, FakeAcl(Knobs(**knobs)))
        backend.machine = Machine(tmp_path / "no-such-machine", {})
        opened.append(backend.binding)
        return backend

    yield make
    for fake in opened:
        if not fake.knobs.lost:
            fake.require_clean()
