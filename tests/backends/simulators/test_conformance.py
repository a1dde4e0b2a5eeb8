"""The kit passes over each simulator, as it would have to over the card."""

from uadx.testing import BackendConformance


class TestAscend(BackendConformance):
    device = "ascend-sim:0"


class TestKunlun(BackendConformance):
    device = "kunlun-sim:0"


class TestCambricon(BackendConformance):
    device = "cambricon-sim:0"
