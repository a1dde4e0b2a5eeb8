"""A machine with two Kunlunxin cards that are not there: the stand-in for Paddle's calls for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAKES = Path(__file__).parent / "fakes"
sys.path.append(str(FAKES))


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """card(devices=1) -> a KunlunBackend over a stand-in with these knobs; nothing may be left of it at the end."""
    pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")
    from fake_xpu import FakePaddle
    from uadx_kunlun import KUNLUN
    from uadx_kunlun.binding import load
    from uadx_kunlun.kunlun import KunlunBackend

    from uadx.machine import Machine

    opened = []

    def make(**knobs: Any) -> KunlunBackend:
        fake = FakePaddle(load(), **knobs)
        opened.append(fake)
        backend = KunlunBackend(KUNLUN, {}, fake)
        backend.machine = Machine(tmp_path / "no-such-machine", {})
        return backend

    yield make
    for fake in opened:
        fake.require_clean()
