"""In what a device computes float32 convolutions, found by one convolution whose answer shows it: Paddle has no word.

On Kunlunxin cards that depends on the release of Paddle and on variables: TF32 on a P800 until 3.3, 16-bit integers
on an R200 (PaddlePaddle/Paddle#75481 and #78625, paddle/phi/kernels/xpu/xpu_api_wrapper.h).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uadx.api import TensorSpec
from uadx_kunlun.binding import Binding
from uadx_kunlun.builder import Graph, Node
from uadx_kunlun.sdk import Config

MakeConfig = Callable[[Path, Path], Config]

_BITS = {"f32": 18, "tf32": 10, "bf16": 7}
"""Bits behind the point that a format must keep of numbers from 1 to 2; float32 has 23, some of which sums may cost."""

_SIDE = 8


def measured(sdk: Binding, make_config: MakeConfig) -> str:
    """What a device computes float32 in: "f32", "tf32" or "bf16" for what keeps as many bits, "unknown" below.

    make_config: the device's config for the files of a program and its weights. Raises SdkError.
    """
    shape = (1, len(_BITS), _SIDE, _SIDE)
    steps = np.arange(_SIDE * _SIDE, dtype=np.float32).reshape(_SIDE, _SIDE)
    values = np.stack([1 + steps * np.float32(2.0**-bits) for bits in _BITS.values()])[None]
    weight = np.zeros((len(_BITS), len(_BITS), 3, 3), np.float32)
    weight[range(len(_BITS)), range(len(_BITS)), 1, 1] = 1  # every channel to itself
    graph = Graph(
        (TensorSpec("values", shape, "float32"),),
        (TensorSpec("kept", shape, "float32"),),
        (Node("Conv", ("values", "weight", "bias"), "kept", {"pads": [1, 1, 1, 1]}),),
        {"weight": weight, "bias": np.zeros(len(_BITS), np.float32)},
    )
    with tempfile.TemporaryDirectory(prefix="uadx-paddle-") as folder:
        predictor = sdk.create_predictor(make_config(*sdk.save(graph, Path(folder) / "probe")))
        (kept,) = sdk.run(predictor, [values])
    lost = np.abs(kept - values).max(axis=(0, 2, 3))
    for (name, bits), by in zip(_BITS.items(), lost, strict=True):
        if by < 2.0 ** -(bits + 1):
            return name
    return "unknown"
