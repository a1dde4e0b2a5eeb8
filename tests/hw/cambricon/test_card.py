"""The conformance kit on a Cambricon card; skipped where there is none."""

import pytest

from uadx.errors import UadxError
from uadx.testing import BackendConformance


class TestCard(BackendConformance):
    device = "mlu:0"

    @pytest.fixture(autouse=True)
    def _card(self):
        try:
            assert self.subject.ref
        except UadxError as error:
            pytest.skip(f"no Cambricon card can be used here: {error.in_one_line}")
