"""anomalib's STFPM with drawn weights as OpenVINO models: ANOMALIB_PYTHON anomalib_model.py --output FOLDER FILES...

Writes FOLDER/f32 and FOLDER/int8 by anomalib's own export (None and INT8_PTQ), int8 calibrated on FILES. Speed does not
ask what the weights are; a pre-trained teacher needs a download.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def network() -> Any:
    """anomalib's Stfpm with all that training would have left in it."""
    import timm

    create_model = timm.create_model

    def drawn(*arguments: Any, **options: Any) -> Any:
        return create_model(*arguments, **{**options, "pretrained": False})

    timm.create_model = drawn

    import torch
    from anomalib.models import Stfpm

    torch.manual_seed(0)
    model = Stfpm(evaluator=False, visualizer=False)
    calibrated: dict[str, float] = {
        "image_min": 0.0,
        "image_max": 1.0,
        "pixel_min": 0.0,
        "pixel_max": 1.0,
        "_image_threshold": 0.5,
        "_pixel_threshold": 0.5,
    }
    for name, value in calibrated.items():
        getattr(model.post_processor, name).fill_(value)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    model = network()
    from anomalib.data import Folder
    from anomalib.deploy import CompressionType

    model.to_openvino(arguments.output / "f32")
    good = Folder(
        "good",
        normal_dir=Path(arguments.files[0]).parent,
        test_split_mode="none",
        val_split_mode="from_train",
        eval_batch_size=1,
        num_workers=0,
    )
    model.to_openvino(arguments.output / "int8", compression_type=CompressionType.INT8_PTQ, datamodule=good)


if __name__ == "__main__":
    main()
