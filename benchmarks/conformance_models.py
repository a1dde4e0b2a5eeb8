"""Make the golden models of the conformance kit and their expected values: python benchmarks/conformance_models.py

Three small ONNX files, each with a .npz of uint8 images [N, H, W, 3] and the outputs that float64 gives for them,
rounded to float32. Height and width differ everywhere, and the weights are random, so that swapped axes, outputs or
colours show. All values are of order 1. The files are the same bytes whoever makes them.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from uadx.stfpm import graph
from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.reference import features, level_maps, stem
from uadx.stfpm.weights import CHANNELS, STUDENT, TEACHER, Level, convolutions
from uadx.testing.golden import MODELS

F64 = NDArray[np.float64]
Weights = dict[str, NDArray[np.float16]]
IMAGES = 4
CENTRE, SCALE = np.float32(127.5), np.float32(1 / 128)
WIDTHS = {3: 3, 32: 16, 64: 8, 128: 12, 256: 16}
"""Channels of the small STFPM pair, by those of the pair that it stands for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=MODELS)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for name, (model, expected) in make().items():
        (output / f"{name}.onnx").write_bytes(model)
        (output / f"{name}.npz").write_bytes(packed(expected))
        print(f"{name}: {len(model)} bytes, outputs {', '.join(name for name in expected if name != 'image')}")


def make() -> dict[str, tuple[bytes, dict[str, NDArray[np.generic]]]]:
    """By name: the model and its arrays, `image` and the expected outputs."""
    return {"relu": _relu(), "conv_bn": _conv_bn(), "stfpm": _stfpm()}


def _relu() -> tuple[bytes, dict[str, NDArray[np.generic]]]:
    """Two outputs of one shape, not in alphabetical order: only their names tell them apart."""
    image = _images(6, 10, seed=1)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "centre"], ["above"]),
        helper.make_node("Sub", ["centre", "pixels"], ["below"]),
        helper.make_node("Mul", ["above", "scale"], ["bright"]),
        helper.make_node("Mul", ["below", "scale"], ["dark"]),
        helper.make_node("Relu", ["bright"], ["positive"]),
        helper.make_node("Relu", ["dark"], ["negative"]),
    ]
    x = (image - float(CENTRE)) * float(SCALE)
    expected = {"positive": np.maximum(x, 0), "negative": np.maximum(-x, 0)}
    return _model("relu", nodes, {"centre": CENTRE, "scale": SCALE}, image, expected)


def _conv_bn() -> tuple[bytes, dict[str, NDArray[np.generic]]]:
    """A strided convolution and a batch norm of its own, not folded."""
    random = np.random.default_rng(2)
    image = _images(12, 20, seed=3)
    weight = random.normal(0, 0.15, (5, 3, 3, 3)).astype(np.float32)
    bias, shift, mean = (random.normal(0, 0.1, 5).astype(np.float32) for _ in range(3))
    gain, variance = (random.uniform(0.2, 0.5, 5).astype(np.float32) for _ in range(2))
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "centre"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["nchw", "weight", "bias"], ["sums"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        ),
        helper.make_node(
            "BatchNormalization", ["sums", "gain", "shift", "mean", "variance"], ["features"], epsilon=1e-5
        ),
    ]
    constants = {
        "centre": CENTRE,
        "scale": SCALE,
        "weight": weight,
        "bias": bias,
        "gain": gain,
        "shift": shift,
        "mean": mean,
        "variance": variance,
    }
    x = ((image - float(CENTRE)) * float(SCALE)).transpose(0, 3, 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows[:, :, ::2, ::2], weight.astype(np.float64))
    factor = gain.astype(np.float64) / np.sqrt(variance.astype(np.float64) + 1e-5)
    normed = (sums + _channels(bias) - _channels(mean)) * _channels(factor) + _channels(shift)
    return _model("conv_bn", nodes, constants, image, {"features": normed})


def _stfpm() -> tuple[bytes, dict[str, NDArray[np.generic]]]:
    """The graph that every bundle has, with a tenth of the channels."""
    random = np.random.default_rng(4)
    image = _images(32, 48, seed=5)
    teacher, student = _network(TEACHER, random), _network(STUDENT, random)
    _fit_heads(image, teacher, student)
    channels = [WIDTHS[count] for count in CHANNELS]
    difficulties = [Difficulty(random.normal(0, 0.02, count).astype(np.float32), -0.01) for count in channels]
    maps = level_maps(image, teacher, student, difficulties)
    return graph.build(teacher, student, difficulties, 32, 48), {"image": image, **_rounded(maps)}


def _fit_heads(image: NDArray[np.uint8], teacher: Weights, student: Weights) -> None:
    """Bring the student near its teacher on the images, as a trained one is: by the least squares of its heads."""
    first = stem(image, teacher)
    bodies = features(first, tuple(replace(level, head=None) for level in STUDENT), student)
    for level, body, wanted in zip(STUDENT, bodies, features(first, TEACHER, teacher), strict=True):
        seen = np.column_stack([_positions(body), np.ones(body.shape[0] * body.shape[2] * body.shape[3])])
        found = np.linalg.lstsq(seen, _positions(wanted), rcond=None)[0].T
        assert level.head is not None
        student[f"{level.head.name}.weight"] = found[:, :-1, None, None].astype(np.float16)
        student[f"{level.head.name}.bias"] = found[:, -1].astype(np.float16)


def _positions(features: F64) -> F64:
    """[N, C, H, W] -> [N * H * W, C]."""
    return features.transpose(0, 2, 3, 1).reshape(-1, features.shape[1])


def _network(network: tuple[Level, ...], random: np.random.Generator) -> Weights:
    """Random folded weights, as float16 as they travel; scaled to keep the features of order 1 (He et al., 2015)."""
    weights = {}
    for conv in convolutions(network):
        inputs, outputs = WIDTHS[conv.inputs], WIDTHS[conv.outputs]
        spread = np.sqrt(1 / (inputs * conv.kernel**2))
        shape = (outputs, inputs, conv.kernel, conv.kernel)
        weights[f"{conv.name}.weight"] = random.normal(0, spread, shape).astype(np.float16)
        weights[f"{conv.name}.bias"] = random.normal(0.2, 0.1, outputs).astype(np.float16)
    return weights


def _images(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (IMAGES, height, width, 3), np.uint8)


def _channels(values: NDArray[np.floating]) -> F64:
    return values.astype(np.float64)[:, None, None]


def _rounded(expected: Mapping[str, F64]) -> dict[str, NDArray[np.generic]]:
    return {name: value.astype(np.float32) for name, value in expected.items()}


def _model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any],
    image: NDArray[np.uint8],
    expected: Mapping[str, F64],
) -> tuple[bytes, dict[str, NDArray[np.generic]]]:
    model = helper.make_model(
        helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *image.shape[1:]])],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", *v.shape[1:]]) for k, v in expected.items()],
            [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", graph.OPSET)],
        producer_name="uadx",
    )
    model.ir_version = graph.IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True), {"image": image, **_rounded(expected)}


def packed(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """A .npz of the arrays. np.savez packs other bytes in other versions and on other systems."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.create_system = 3  # Unix, wherever this runs
            content = io.BytesIO()
            np.lib.format.write_array(content, value, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue())
    return file.getvalue()


if __name__ == "__main__":
    main()
