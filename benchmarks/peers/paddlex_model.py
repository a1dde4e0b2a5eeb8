"""An STFPM inference model for PaddleX with drawn weights: PADDLEX_PYTHON paddlex_model.py --output FOLDER

The network of PaddleSeg's STFPM as its export leaves it: two ResNet-18 up to the third stage, the squared distance of
normalised features of each stage brought to the size of the input, and their product. Speed does not ask what the
weights are; PaddleX's own need a download.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

CONFIG = """\
Global:
  model_name: STFPM
Deploy:
  transforms:
  - type: Resize
    target_size: [256, 256]
  - type: Normalize
    mean: [0.485, 0.456, 0.406]
    std: [0.229, 0.224, 0.225]
"""
"""What PaddleX's configuration of STFPM makes of it (paddlex/repo_apis/PaddleSeg_api/configs/STFPM.yaml)."""


def network() -> Any:
    """Input [N, 3, H, W], output [N, 1, H, W]."""
    import paddle
    import paddle.nn.functional as functional
    from paddle.vision.models import resnet18

    class Features(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.network = resnet18(pretrained=False)

        def forward(self, images: Any) -> Any:
            network = self.network
            features = network.maxpool(network.relu(network.bn1(network.conv1(images))))
            first = network.layer1(features)
            second = network.layer2(first)
            return first, second, network.layer3(second)

    class Stfpm(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = Features()
            self.student = Features()

        def forward(self, images: Any) -> Any:
            teacher, student = self.teacher(images), self.student(images)
            product: Any = 1.0
            for stage in range(3):
                apart = functional.normalize(teacher[stage], axis=1) - functional.normalize(student[stage], axis=1)
                distance = paddle.sum(apart**2, axis=1, keepdim=True)
                product = product * functional.interpolate(
                    distance, size=(images.shape[2], images.shape[3]), mode="bilinear", align_corners=False
                )
            return product

    paddle.seed(0)
    made = Stfpm()
    made.eval()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    import paddle

    shape = paddle.static.InputSpec([None, 3, None, None], "float32", "x")
    paddle.jit.save(network(), str(output / "inference"), input_spec=[shape])
    (output / "inference.yml").write_text(CONFIG)


if __name__ == "__main__":
    main()
