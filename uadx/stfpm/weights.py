"""Names and shapes of the two networks, and folding of their batch norms, in NumPy.

The teacher is the ResNet-18 trunk, conv1 to layer3, with torchvision's parameter names, so that any ResNet-18 state
dict is a teacher. The student is smaller: it begins behind the teacher's own first convolution, its blocks have half
the teacher's channels, and a 1x1 convolution, its *head*, brings each level to the teacher's. It finds as much for a
quarter of the work (docs/accuracy.md). A student that was taught elsewhere may be the teacher's *twin*, as in the
paper: of the same shapes, from its own first convolution on. In a *folded* network each batch norm is merged into the
convolution before it; only folded weights travel in a bundle (vendor compilers like it, and the graph has no other
home for them).
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
CHANNELS = (64, 128, 256)
"""Of the teacher's levels, and so of what the student repeats."""


@dataclass(frozen=True)
class Conv:
    """One convolution and the batch norm that follows it; a head has none. Weight: [out, in, kernel, kernel]."""

    name: str
    norm: str | None
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


@dataclass(frozen=True)
class Level:
    """The blocks between a level and the one below it; where there is a head, its output is the level's features."""

    name: str
    blocks: tuple[Block, ...]
    head: Conv | None = None


STEM = Conv("conv1", "bn1", 3, 64, 7, 2)
"""The teacher's first convolution, which a student that is no twin shares."""


def _block(at: str, inputs: int, outputs: int, stride: int) -> Block:
    changes = stride != 1 or inputs != outputs
    return Block(
        Conv(f"{at}.conv1", f"{at}.bn1", inputs, outputs, 3, stride),
        Conv(f"{at}.conv2", f"{at}.bn2", outputs, outputs, 3, 1),
        Conv(f"{at}.downsample.0", f"{at}.downsample.1", inputs, outputs, 1, stride) if changes else None,
    )


def levels(share: int, blocks: int = 2) -> Iterator[Level]:
    """A network of one share-th of the teacher's channels, and so many blocks a level."""
    inputs = STEM.outputs
    for name, channels in zip(LEVELS, CHANNELS, strict=True):
        outputs = channels // share
        first = _block(f"{name}.0", inputs, outputs, 1 if name == "layer1" else 2)
        rest = (_block(f"{name}.{number}", outputs, outputs, 1) for number in range(1, blocks))
        head = Conv(f"{name}.head", None, outputs, channels, 1, 1) if outputs != channels else None
        yield Level(name, (first, *rest), head)
        inputs = outputs


TEACHER = tuple(levels(1))
STUDENT = tuple(levels(2))


def levels_of(student: Mapping[str, object]) -> tuple[Level, ...]:
    """TEACHER where a student's folded weights are those of a twin, else STUDENT."""
    return TEACHER if f"{STEM.name}.weight" in student else STUDENT


def convolutions(network: tuple[Level, ...]) -> Iterator[Conv]:
    """Every convolution of TEACHER, the stem first, or of STUDENT, in order of the forward pass."""
    if network is TEACHER:
        yield STEM
    for level in network:
        for block in level.blocks:
            yield block.conv1
            yield block.conv2
            if block.shortcut is not None:
                yield block.shortcut
        if level.head is not None:
            yield level.head


def fold(state: Mapping[str, NDArray[np.floating]], network: tuple[Level, ...] = TEACHER) -> Weights:
    """Merge the batch norms of a state dict into its convolutions: `NAME.weight`, `NAME.bias`.

    What the network does not have (a classifier, layer4) is left out. Raises BundleError where an entry is missing or
    has another shape.
    """
    folded: Weights = {}
    for conv in convolutions(network):
        weight = _entry(state, f"{conv.name}.weight", conv.shape).astype(np.float64)
        if conv.norm is None:
            folded[f"{conv.name}.weight"] = weight.astype(np.float32)
            folded[f"{conv.name}.bias"] = _entry(state, f"{conv.name}.bias", (conv.outputs,)).astype(np.float32)
            continue
        gain, bias, mean, variance = (
            _entry(state, f"{conv.norm}.{part}", (conv.outputs,)).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + BATCH_NORM_EPS)
        folded[f"{conv.name}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
        folded[f"{conv.name}.bias"] = (bias - mean * scale).astype(np.float32)
    return folded


def stored(weight: NDArray[np.floating]) -> NDArray[np.floating]:
    """As the graph stores it: in float16 where that loses nothing, as with what uadx taught, else in float32."""
    with np.errstate(over="ignore"):
        half = weight.astype(np.float16)
    return half if np.array_equal(half, weight) else weight.astype(np.float32)


def unfold(folded: Mapping[str, NDArray[np.floating]]) -> Weights:
    """A teacher's torchvision state dict whose batch norms only add the folded bias; fold(unfold(w)) is w."""
    state: Weights = {}
    for conv in convolutions(TEACHER):
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
