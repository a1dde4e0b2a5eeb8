"""An error that was raised in another process arrives as it was."""

from __future__ import annotations

import pickle

import pytest

from uadx.devices.unusable import NoUsableDeviceError, Skipped
from uadx.errors import InputError, OutputError, UadxError, UnavailableError
from uadx.parity import ParityError

WHY = UnavailableError("no driver", backend="acme", stage="import", hint="install it", cause_text="libacme.so: no")


@pytest.mark.parametrize(
    "error",
    [
        WHY,
        InputError("truncated", "a.png ends too early", cause_text="EOF"),
        OutputError("the disk is full"),
        ParityError("another number", backend="acme"),
        NoUsableDeviceError("npu:0", [Skipped("npu", "acme", "acme 1.5", WHY)], "cpu"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_says_the_same(error: UadxError):
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert arrived.render() == error.render()
    assert arrived.in_one_line == error.in_one_line
