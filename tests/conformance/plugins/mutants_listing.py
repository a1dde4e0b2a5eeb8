"""Backends that are wrong in one thing before any model: the plugin, its spec, its listing."""

import itertools
import os
import sys
import threading
from dataclasses import replace

from correct import Correct


class ImportsItsSdk(Correct):
    """Its plugin module does."""


class ImportsSlowly(Correct):
    """Its plugin module does."""


class CopiesTheApiVersion(Correct):
    """Its plugin module does."""


class HasNoInstallHint(Correct):
    """Its plugin module has none."""


class NamesAnotherFactory(Correct):
    def __init__(self, spec, options, binding=None):
        super().__init__(replace(spec, factory="mutants_listing:Missing"), options, binding)


class ListsOneSelectorTwice(Correct):
    def devices(self):
        return [*super().devices(), super().devices()[0]]


class ListsAKindThatItsSpecLacks(Correct):
    def devices(self):
        return [replace(device, kind="gpu") for device in super().devices()]


class ListsAPrecisionByAnotherName(Correct):
    def devices(self):
        return [replace(device, precisions=("fp32",)) for device in super().devices()]


class ListsOtherDevices(Correct):
    def devices(self):
        return super().devices()[1:]


class ListsAnotherNameEachTime(Correct):
    count = itertools.count()

    def devices(self):
        return [replace(device, name=f"chip at {next(self.count)}") for device in super().devices()]


class SetsAnEnvironmentVariable(Correct):
    def devices(self):
        os.environ["CHIP_VISIBLE_DEVICES"] = os.environ.get("CHIP_VISIBLE_DEVICES", "") + "0"
        return super().devices()


class KeepsTheProcessAlive(Correct):
    def devices(self):
        if "uadx.testing" not in sys.modules:  # the tests themselves must end
            threading.Thread(target=threading.Event().wait).start()
        return super().devices()


class HasANumberForAVersion(Correct):
    def versions(self):
        return {"sdk": 3.1}
