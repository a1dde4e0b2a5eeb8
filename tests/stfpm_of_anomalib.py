"""anomalib's STFPM, restated: its weights' names, its checkpoint, and its computation in torch's own functions.

Source: anomalib 2.7.0, src/anomalib: models/image/stfpm/{torch_model,anomaly_map}.py, pre_processing/pre_processor.py
and models/components/base/anomalib_module.py; the trunk is timm's resnet18 up to layer3, its batch norms as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)


class Extractor(nn.Module):
    def __init__(self):
        super().__init__()
        self.feature_extractor = Trunk()

    def forward(self, x):
        return self.feature_extractor(x)


class Network(nn.Module):
    """STFPMModel."""

    def __init__(self):
        super().__init__()
        self.teacher_model = Extractor()
        self.student_model = Extractor()

    def level_maps(self, x):
        """AnomalyMapGenerator.compute_layer_map before it is stretched, [N, 1, h, w] each."""
        apart = [F.normalize(t) - F.normalize(s) for t, s in zip(self.teacher_model(x), self.student_model(x))]  # noqa: B905
        return [0.5 * torch.norm(one, p=2, dim=-3, keepdim=True) ** 2 for one in apart]

    def forward(self, x):
        anomaly_map = torch.ones(1)
        for level in self.level_maps(x):
            anomaly_map = anomaly_map * F.interpolate(level, size=x.shape[-2:], align_corners=False, mode="bilinear")
        return anomaly_map


class Stfpm(nn.Module):
    """With the pre-processor's normalisation, as it is exported."""

    def __init__(self):
        super().__init__()
        self.model = Network()

    def forward(self, pixels):
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
        return self.model((pixels - mean) / deviation)


def drawn(seed=0):
    """A model with drawn weights, and norms that have seen something; its student is near its teacher, as if taught."""
    torch.manual_seed(seed)
    model = Stfpm()
    for module in model.model.teacher_model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.7, 1.3)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.3)
    teacher = model.model.teacher_model.state_dict()
    near = {
        name: value * (1 + 0.1 * torch.rand_like(value)) if value.ndim else value for name, value in teacher.items()
    }
    model.model.student_model.load_state_dict(near)
    return model.eval()


def transform(name, **arguments):
    return {"class_path": f"torchvision.transforms.v2.{name}", "init_args": arguments}


def checkpoint(model, size=(256, 256), more=()):
    """What Lightning saves of it: torch.save(checkpoint(model), "model.ckpt")."""
    resize = transform("Resize", size=list(size), interpolation="bilinear", max_size=None, antialias=True)
    normalise = transform("Normalize", mean=MEAN, std=DEVIATION, inplace=False)
    return {
        "epoch": 99,
        "global_step": 700,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {"post_processor.image_min": torch.tensor(0.0), **model.state_dict()},
        "hyper_parameters": {"backbone": "resnet18", "layers": ("layer1", "layer2", "layer3")},
        "anomalib_components_enabled": {"pre_processor": True, "post_processor": True},
        "anomalib_pre_processor_config": {"transform": transform("Compose", transforms=[resize, *more, normalise])},
    }
