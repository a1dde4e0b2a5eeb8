from uadx.testing import BackendConformance


class TestExample(BackendConformance):
    device = "example:0"
