"""Both networks in torch: the teacher, a ResNet-18 trunk (He et al., CVPR 2016), and the smaller student."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uadx.errors import BundleError
from uadx.stfpm.reference import IMAGENET_MEAN, IMAGENET_STD, NORM_EPS
from uadx.stfpm.weights import STEM, STUDENT, TEACHER, Block, Conv, Level, Weights, convolutions, fold


def _conv(conv: Conv) -> nn.Conv2d:
    return nn.Conv2d(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, bias=conv.norm is None)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1 = _conv(block.conv1)
        self.bn1 = nn.BatchNorm2d(block.conv1.outputs)
        self.conv2 = _conv(block.conv2)
        self.bn2 = nn.BatchNorm2d(block.conv2.outputs)
        self.downsample = (
            nn.Sequential(_conv(block.shortcut), nn.BatchNorm2d(block.shortcut.outputs))
            if block.shortcut is not None
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


class Trunk(nn.Module):
    """The teacher: normalised pixels [N, 3, H, W] -> features of layer1 [N, 64, H/4, W/4], layer2 [N, 128, H/8, W/8]
    and layer3 [N, 256, H/16, W/16]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(STEM)
        self.bn1 = nn.BatchNorm2d(STEM.outputs)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for level in TEACHER:
            self.add_module(level.name, _blocks(level))
        _begin(self)

    def stem(self, x: Tensor) -> Tensor:
        """What both networks go on with: the first convolution, pooled, [N, 64, H/4, W/4]."""
        return self.maxpool(torch.relu(self.bn1(self.conv1(x))))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for level in TEACHER:
            x = self.get_submodule(level.name)(x)
            features.append(x)
        return features

    def load(self, state: Mapping[str, NDArray[np.floating]]) -> None:
        """Take the weights of a torchvision state dict; what it holds beyond layer3 is left out."""
        tensors = {
            name: torch.from_numpy(np.asarray(state[name], np.float32).copy())
            for name in self.state_dict()
            if not name.endswith("num_batches_tracked")
        }
        self.load_state_dict(tensors, strict=False)

    def folded(self) -> Weights:
        """The weights with batch norms folded, as the exported graph takes them."""
        return fold(_arrays(self), TEACHER)


class Student(nn.Module):
    """The teacher's stem [N, 64, H/4, W/4] -> features of the same shapes as the teacher's, by levels with heads."""

    def __init__(self, levels: tuple[Level, ...] = STUDENT) -> None:
        super().__init__()
        self.levels = levels
        for level in levels:
            self.add_module(level.name, _blocks(level))
        _begin(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for level in self.levels:
            *blocks, head = self.get_submodule(level.name).children()
            for block in blocks:
                x = block(x)
            features.append(head(x))
        return features

    def folded(self) -> Weights:
        """The weights with batch norms folded, as the exported graph takes them."""
        return fold(_arrays(self), self.levels)

    @torch.no_grad()
    def begin_as(self, folded: Weights, x: Tensor) -> None:
        """Take folded weights, to be taught on. x: the teacher's stem of some images [N, 64, H/4, W/4].

        The batch norms that were folded away are made anew: in training they take mean and deviation of a batch off
        what comes, so their gain and bias are those of x, and the student goes on from what it did. Raises BundleError
        where the weights are of another student.
        """
        norms: dict[nn.Module, tuple[nn.BatchNorm2d, Tensor]] = {}
        for conv in convolutions(self.levels):
            module = self.get_submodule(conv.name)
            assert isinstance(module, nn.Conv2d)
            weight, bias = (_tensor(folded, f"{conv.name}.{part}", module.weight.device) for part in ("weight", "bias"))
            if weight.shape != module.weight.shape:
                raise _another_student(f"its `{conv.name}` has another shape")
            module.weight.copy_(weight)
            if conv.norm is None:
                assert module.bias is not None
                module.bias.copy_(bias)
                continue
            norm = self.get_submodule(conv.norm)
            assert isinstance(norm, nn.BatchNorm2d)
            _set(norm, torch.zeros_like(bias), torch.ones_like(bias) - norm.eps, torch.ones_like(bias), bias)
            norms[module] = norm, bias
        outputs: dict[nn.Module, Tensor] = {}
        hooks = [module.register_forward_hook(lambda at, _, out: outputs.update({at: out})) for module in norms]
        self.eval()(x)
        for hook in hooks:
            hook.remove()
        for module, (norm, bias) in norms.items():
            variance, mean = torch.var_mean(outputs[module].float(), dim=(0, 2, 3), correction=0)
            _set(norm, mean, variance, (variance + norm.eps).sqrt(), bias + mean)
        self.train()


def _blocks(level: Level) -> nn.Sequential:
    """The blocks of a level and, behind them, its head where it has one."""
    blocks = nn.Sequential(*(BasicBlock(block) for block in level.blocks))
    if level.head is not None:
        blocks.add_module("head", _conv(level.head))
    return blocks


def _set(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, gain: Tensor, bias: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(gain)
    norm.bias.copy_(bias)


def _another_student(how: str) -> BundleError:
    return BundleError(f"the model's student is none to teach on: {how}", hint="train it anew: leave out --from")


def _tensor(folded: Weights, name: str, device: torch.device) -> Tensor:
    if name not in folded:
        raise _another_student(f"it has no `{name}`")
    return torch.from_numpy(np.asarray(folded[name], np.float32)).to(device)


def _begin(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _arrays(network: nn.Module) -> dict[str, NDArray[np.floating]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def normalise_pixels(images: Tensor) -> Tensor:
    """uint8 RGB [N, H, W, 3] -> float32 [N, 3, H, W], channels last in memory, ImageNet mean and deviation removed."""
    mean = torch.tensor(IMAGENET_MEAN * 255, dtype=torch.float32, device=images.device)
    scale = torch.tensor(1 / (IMAGENET_STD * 255), dtype=torch.float32, device=images.device)
    return ((images.float() - mean) * scale).permute(0, 3, 1, 2)


def unit(features: Tensor) -> Tensor:
    """Features [N, C, H, W] brought to unit length over the channels, in float32 (see reference.unit)."""
    features = features.float()
    return features * torch.rsqrt((features * features).sum(1, keepdim=True) + NORM_EPS)


def normalised_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """0.5 * || t/|t| - s/|s| ||^2 per position: [N, C, H, W] twice -> [N, H, W] (see reference.normalised_distance)."""
    return 0.5 * (unit(teacher) - unit(student)).square().sum(1)
