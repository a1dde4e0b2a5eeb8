"""The float64 truth that every backend and the scoring code are compared with: slow, plain, and in NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.weights import STEM, TEACHER, Conv, Level, levels_of

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])
NORM_EPS = 1e-4
"""Added to the squared norm. Features have squared norms around one and more, and 1e-4 is not zero in float16."""

F64 = NDArray[np.float64]


def unit(x: F64) -> F64:
    """Features [N, C, H, W] brought to unit length over the channels, with NORM_EPS under the root."""
    norm: F64 = np.sqrt((x * x).sum(axis=1, keepdims=True) + NORM_EPS)
    return x / norm


def normalised_distance(teacher: F64, student: F64) -> F64:
    """0.5 * || t/|t| - s/|s| ||^2 over the channels: [N, C, H, W] twice -> [N, H, W], values in 0..2.

    Wang et al., BMVC 2021, equation 2.
    """
    difference = unit(np.asarray(teacher, np.float64)) - unit(np.asarray(student, np.float64))
    distance: F64 = 0.5 * (difference * difference).sum(axis=1)
    return distance


def level_maps(
    images: NDArray[np.uint8],
    teacher: Mapping[str, NDArray[np.floating]],
    student: Mapping[str, NDArray[np.floating]],
    difficulties: Sequence[Difficulty],
) -> dict[str, F64]:
    """`level1` to `level3` of uint8 RGB images [N, H, W, 3], the two folded networks and the levels' difficulties:
    the exported graph in float64."""
    levels = levels_of(student)
    first = stem(images, teacher)
    own = stem(images, student) if levels is TEACHER else first
    of_teacher, of_student = features(first, TEACHER, teacher), features(own, levels, student)
    maps = {}
    for n, (t, s, difficulty) in enumerate(zip(of_teacher, of_student, difficulties, strict=True), 1):
        difficult = np.einsum("nchw,c->nhw", unit(t), difficulty.weight.astype(np.float64)) - difficulty.offset
        maps[f"level{n}"] = np.maximum(normalised_distance(t, s) - difficult, 0)
    return maps


def stem(images: NDArray[np.uint8], weights: Mapping[str, NDArray[np.floating]]) -> F64:
    """What a network goes on with, of uint8 RGB images [N, H, W, 3]: [N, 64, H/4, W/4]."""
    pixels = (images.astype(np.float64) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return max_pool(relu(_conv(pixels.transpose(0, 3, 1, 2), STEM, weights)))


def features(x: F64, network: tuple[Level, ...], weights: Mapping[str, NDArray[np.floating]]) -> list[F64]:
    """Features of layer1 to layer3 of a folded network, from what the stem gives, pooled: [N, 64, H/4, W/4]."""
    found = []
    for level in network:
        for block in level.blocks:
            shortcut = _conv(x, block.shortcut, weights) if block.shortcut else x
            x = relu(_conv(relu(_conv(x, block.conv1, weights)), block.conv2, weights) + shortcut)
        found.append(_conv(x, level.head, weights) if level.head else x)
    return found


def _conv(x: F64, layer: Conv, weights: Mapping[str, NDArray[np.floating]]) -> F64:
    weight = weights[f"{layer.name}.weight"].astype(np.float64)
    bias = weights[f"{layer.name}.bias"].astype(np.float64)
    return convolve(x, weight, layer.stride) + bias[:, None, None]


def relu(x: F64) -> F64:
    return np.maximum(x, 0)


def _windows(x: F64, kernel: int, stride: int, fill: float) -> F64:
    pad = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    return windows[:, :, ::stride, ::stride]


def convolve(x: F64, weight: F64, stride: int) -> F64:
    product: F64 = np.einsum("nchwij,ocij->nohw", _windows(x, weight.shape[-1], stride, 0.0), weight, optimize=True)
    return product


def max_pool(x: F64) -> F64:
    pooled: F64 = _windows(x, 3, 2, -np.inf).max(axis=(-2, -1))
    return pooled
