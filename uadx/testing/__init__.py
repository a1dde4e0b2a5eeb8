"""The conformance kit: what a backend's author runs to prove that uadx may trust it.

    from uadx.testing import BackendConformance

    class TestFoo(BackendConformance):
        device = "foo:0"

pytest collects it; `uadx conformance foo:0` runs the same checks without a file and without pytest.
"""

from uadx.parity import Tolerance
from uadx.testing.suite import BackendConformance

__all__ = ["BackendConformance", "Tolerance"]
