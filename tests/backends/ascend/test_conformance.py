"""The kit passes over the stand-in for the card: models with gears, converted on the way, and .om of a fixed batch."""

from __future__ import annotations

import hashlib

import pytest
from fake_acl import FakeAcl, Knobs
from uadx_ascend import SPEC
from uadx_ascend.atc import convert
from uadx_ascend.backend import AscendBackend

from uadx.api import ModelArtifact
from uadx.testing import BackendConformance

pytestmark = pytest.mark.filterwarnings("ignore:atc converts the model")


@pytest.fixture(autouse=True)
def _atc_is_installed(atc):
    """The kit's models are ONNX."""


@pytest.fixture(autouse=True, scope="class")
def _nothing_is_left(request):
    yield
    request.cls._subject.backend.binding.require_clean()


class TestGears(BackendConformance):
    device = "ascend:1"

    def open_backend(self):
        return AscendBackend(SPEC, {}, FakeAcl(Knobs()))


class FixedBatch(AscendBackend):
    """Takes an .om of one batch size, made beforehand from the kit's ONNX model."""

    folder = None

    def compile(self, artifact, device, options):
        if artifact.format == "onnx":
            digest = hashlib.sha256(artifact.path.read_bytes()).hexdigest()
            om = self.folder / f"{digest}-{options.max_batch}.om"
            if not om.exists():
                convert(artifact.path, om, "Ascend310P3", [options.max_batch])
            artifact = ModelArtifact(om, "om", hashlib.sha256(om.read_bytes()).hexdigest())
        return super().compile(artifact, device, options)


@pytest.fixture(scope="class")
def _folder(tmp_path_factory):
    FixedBatch.folder = tmp_path_factory.mktemp("om")


@pytest.mark.usefixtures("_folder")
class TestAFixedBatch(BackendConformance):
    device = "ascend:0"

    def open_backend(self):
        return FixedBatch(SPEC, {}, FakeAcl(Knobs(has_hbm=True, on_host=False)))
