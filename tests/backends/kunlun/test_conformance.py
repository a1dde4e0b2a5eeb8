"""The kit passes on Paddle's CPU, and over the stand-in for a card that runs on it."""

from __future__ import annotations

import pytest

pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")

from fake_xpu import FakePaddle
from uadx_kunlun import KUNLUN
from uadx_kunlun.binding import load
from uadx_kunlun.kunlun import KunlunBackend

from uadx.testing import BackendConformance


class TestTheProcessor(BackendConformance):
    device = "paddle:cpu"


@pytest.fixture(autouse=True, scope="class")
def _nothing_is_left(request):
    yield
    if isinstance(request.cls._subject.backend, KunlunBackend):
        request.cls._subject.backend.binding.require_clean()


class TestACard(BackendConformance):
    device = "kunlun:1"

    def open_backend(self):
        return KunlunBackend(KUNLUN, {}, FakePaddle(load()))
