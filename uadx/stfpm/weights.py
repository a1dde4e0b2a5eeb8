"""Names and shapes of the ResNet-18 trunk (conv1 to layer3) and folding of its batch norms, in NumPy.

Parameter names are torchvision's, so that any ResNet-18 state dict is a teacher. A *folded* trunk has each batch
norm merged into the convolution before it; only folded weights travel in a bundle (vendor compilers like it, and
the graph has no other home for them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uadx.errors import BundleError

Weights = dict[str, NDArray[np.float32]]

BATCH_NORM_EPS = 1e-5  # torch's default, which torchvision's weights were trained with
LEVELS = ("layer1", "layer2", "layer3")


@dataclass(frozen=True)
class Conv:
    """One convolution and the batch norm that follows it. Weight: [out, in, kernel, kernel]."""

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the weight."""
        return (self.outputs, self.inputs, self.kernel, self.kernel)


@dataclass(frozen=True)
class Block:
    """A basic residual block: two convolutions and, where the shape changes, one on the shortcut."""

    conv1: Conv
    conv2: Conv
    shortcut: Conv | None


STEM = Conv("conv1", "bn1", 3, 64, 7, 2)


def blocks(level: str) -> tuple[Block, Block]:
    """The two residual blocks of layer1, layer2 or layer3."""
    outputs = 64 << LEVELS.index(level)
    inputs = 64 if level == "layer1" else outputs // 2
    stride = 1 if level == "layer1" else 2

    def block(index: int, inputs: int, stride: int) -> Block:
        at = f"{level}.{index}"
        changes = stride != 1 or inputs != outputs
        return Block(
            Conv(f"{at}.conv1", f"{at}.bn1", inputs, outputs, 3, stride),
            Conv(f"{at}.conv2", f"{at}.bn2", outputs, outputs, 3, 1),
            Conv(f"{at}.downsample.0", f"{at}.downsample.1", inputs, outputs, 1, stride) if changes else None,
        )

    return block(0, inputs, stride), block(1, outputs, 1)


def convolutions() -> Iterator[Conv]:
    """Every convolution of the trunk, in order of the forward pass."""
    yield STEM
    for level in LEVELS:
        for block in blocks(level):
            yield block.conv1
            yield block.conv2
            if block.shortcut is not None:
                yield block.shortcut


def fold(state: Mapping[str, NDArray[np.floating]]) -> Weights:
    """Merge the batch norms of a torchvision state dict into its convolutions: `NAME.weight`, `NAME.bias`.

    Entries beyond layer3 are left out. Raises BundleError where an entry is missing or has another shape.
    """
    folded: Weights = {}
    for conv in convolutions():
        weight = _entry(state, f"{conv.name}.weight", conv.shape).astype(np.float64)
        gain, bias, mean, variance = (
            _entry(state, f"{conv.norm}.{part}", (conv.outputs,)).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + BATCH_NORM_EPS)
        folded[f"{conv.name}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
        folded[f"{conv.name}.bias"] = (bias - mean * scale).astype(np.float32)
    return folded


def unfold(folded: Mapping[str, NDArray[np.floating]]) -> Weights:
    """A torchvision state dict whose batch norms only add the folded bias; fold(unfold(w)) is w."""
    state: Weights = {}
    for conv in convolutions():
        bias = _entry(folded, f"{conv.name}.bias", (conv.outputs,)).astype(np.float32)
        state[f"{conv.name}.weight"] = _entry(folded, f"{conv.name}.weight", conv.shape).astype(np.float32)
        state[f"{conv.norm}.weight"] = np.ones_like(bias)
        state[f"{conv.norm}.bias"] = bias
        state[f"{conv.norm}.running_mean"] = np.zeros_like(bias)
        state[f"{conv.norm}.running_var"] = np.full_like(bias, 1.0 - BATCH_NORM_EPS)
    return state


def _entry(state: Mapping[str, NDArray[np.floating]], name: str, shape: tuple[int, ...]) -> NDArray[np.floating]:
    if name not in state:
        raise BundleError(
            f"the weights have no entry `{name}`",
            hint="a teacher is a ResNet-18 state dict with torchvision's names",
        )
    value = state[name]
    if value.shape != shape:
        raise BundleError(
            f"the weights' entry `{name}` has shape {list(value.shape)} where ResNet-18 has {list(shape)}",
            hint="a teacher is a ResNet-18 state dict with torchvision's names",
        )
    return value
