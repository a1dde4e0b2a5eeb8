"""PaddleX 3's configuration file of its anomaly_detection pipeline, read into types and said as uadx's own.

Source: PaddleX 3.7.2, paddlex/configs/pipelines/anomaly_detection.yaml and paddlex/inference/pipelines/__init__.py
(create_pipeline). Older ones have the shape of uadx's own file.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class Module(Struct, frozen=True, forbid_unknown_fields=True):
    """The model. model_dir: where PaddleX looks for its own files, and uadx for a bundle; None: the default one."""

    module_name: Literal["anomaly_detection"] = "anomaly_detection"
    model_name: Literal["STFPM"] = "STFPM"
    model_dir: str | None = None
    batch_size: int | None = None


class SubModules(Struct, frozen=True, forbid_unknown_fields=True):
    """The pipeline's only one."""

    AnomalyDetection: Module = Module()


class PaddleXFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. use_hpip: its high-performance plug-in. Serving: as in uadx's own file."""

    SubModules: SubModules
    pipeline_name: Literal["anomaly_detection"] = "anomaly_detection"
    use_hpip: bool = False
    Serving: dict[str, Any] = {}

    def said_by_uadx(self) -> dict[str, object]:
        """The content that uadx's own file would have."""
        module = self.SubModules.AnomalyDetection
        pipeline = {"model": module.model_dir, "batch_size": module.batch_size, "enable_hpi": self.use_hpip}
        return {"Pipeline": pipeline, "Serving": self.Serving}
