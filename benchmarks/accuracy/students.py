"""Students of other shapes than uadx's, trained by the same recipe."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from uadx.stfpm.network import BasicBlock, Trunk
from uadx.stfpm.training import Trainer
from uadx.stfpm.weights import CHANNELS, Block, Conv


class Shaped(nn.Module):
    """The teacher's stem -> features like the teacher's, by blocks of a share of its channels and a head a level."""

    def __init__(self, share: float, blocks: int) -> None:
        super().__init__()
        inputs = CHANNELS[0]
        for level, channels in enumerate(CHANNELS):
            outputs, stride = round(share * channels), 2 if level else 1
            first = _block(inputs, outputs, stride)
            rest = (_block(outputs, outputs, 1) for _ in range(blocks - 1))
            self.add_module(f"blocks{level}", nn.Sequential(first, *rest))
            self.add_module(f"head{level}", nn.Conv2d(outputs, channels, 1))
            inputs = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for level in range(len(CHANNELS)):
            x = self.get_submodule(f"blocks{level}")(x)
            features.append(self.get_submodule(f"head{level}")(x))
        return features


def _block(inputs: int, outputs: int, stride: int) -> BasicBlock:
    shortcut = Conv("", "", inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else None
    return BasicBlock(Block(Conv("", "", inputs, outputs, 3, stride), Conv("", "", outputs, outputs, 3, 1), shortcut))


class WithStudent(Trainer):
    """Trains the student that `make` gives."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        torch.manual_seed(self.recipe.seed)
        self.student = self.make().train()
        self._place(self.student)
        self.average = copy.deepcopy(self.student).eval().requires_grad_(False)
        recipe = self.recipe
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def make(self) -> nn.Module:
        raise NotImplementedError


class Shallower(WithStudent):
    """One block a level in place of two."""

    def make(self) -> nn.Module:
        return Shaped(0.5, 1)


class Smaller(WithStudent):
    """A quarter of the channels."""

    def make(self) -> nn.Module:
        return Shaped(0.25, 2)


class Fresh(WithStudent):
    """As large as the teacher, stem included."""

    def make(self) -> nn.Module:
        return Trunk()

    def entry(self, pixels: Tensor) -> Tensor:
        return pixels


class Larger(Fresh):
    """As large as the teacher, and beginning with the teacher's weights up to layer1: uadx's recipe of before,
    with half of the images seen in the same time."""

    def make(self) -> nn.Module:
        student = Trunk()
        for part in ("conv1", "bn1", "layer1"):
            student.get_submodule(part).load_state_dict(self.teacher.trunk.get_submodule(part).state_dict())
        return student
