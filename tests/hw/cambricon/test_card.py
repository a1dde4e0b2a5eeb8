"""The conformance kit on a Cambricon card; skipped, in one line, where there is none."""

import pytest

from uadx.devices.resolve import locate
from uadx.errors import UadxError
from uadx.testing import BackendConformance

try:
    locate("mlu:0")
except UadxError as error:
    pytest.skip(f"no Cambricon card can be used here: {error.in_one_line}", allow_module_level=True)


class TestCard(BackendConformance):
    device = "mlu:0"
