"""A small model with the interface of the real one, and its NumPy reference."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from uadx.api import Backend, CompiledModel, CompileOptions, DeviceRef, ModelArtifact
from uadx.plugins import Plugins

SIZE, CHANNELS = 16, 8


@dataclass(frozen=True)
class SmallModel:
    """uint8 NHWC `image` -> Cast, Transpose, Conv, Relu -> `features` [N, 8, 16, 16] and `means` [N, 8]."""

    artifact: ModelArtifact
    weight: NDArray[np.float32]

    def images(self, count: int, seed: int = 0) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)

    def reference(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        features = np.maximum(np.einsum("nyxckl,ockl->noyx", windows, self.weight.astype(np.float64)), 0)
        return {"features": features, "means": features.mean(axis=(2, 3))}


def artifact(path: Path) -> ModelArtifact:
    return ModelArtifact(path, "onnx", hashlib.sha256(path.read_bytes()).hexdigest())


def write_model(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[np.generic]]) -> ModelArtifact:
    """nodes: from `image` to `features` and `means`."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", CHANNELS, SIZE, SIZE]),
            helper.make_tensor_value_info("means", TensorProto.FLOAT, ["N", CHANNELS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return artifact(path)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    weight = np.random.default_rng(1).normal(0, 0.2, (CHANNELS, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "weight"], ["sums"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node("ReduceMean", ["features"], ["means"], axes=[2, 3], keepdims=0),
    ]
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    return SmallModel(write_model(path, nodes, {"weight": weight}), weight)


@pytest.fixture(scope="session")
def quantised_model(tmp_path_factory: pytest.TempPathFactory) -> ModelArtifact:
    """The same with int8 weights and activations, as QuantizeLinear / DequantizeLinear pairs."""
    weight = np.random.default_rng(1).integers(-127, 128, (CHANNELS, 3, 3, 3)).astype(np.int8)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("QuantizeLinear", ["nchw", "pixel_scale", "pixel_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "pixel_scale", "pixel_zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["sums"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node("ReduceMean", ["features"], ["means"], axes=[2, 3], keepdims=0),
    ]
    constants = {
        "weight": weight,
        "weight_scale": np.full(CHANNELS, 0.01, np.float32),
        "weight_zero": np.zeros(CHANNELS, np.int8),
        "pixel_scale": np.array(1.5, np.float32),
        "pixel_zero": np.array(0, np.uint8),
    }
    return write_model(tmp_path_factory.mktemp("quantised") / "small.int8.onnx", nodes, constants)


@pytest.fixture
def backend() -> Callable[[str], Backend]:
    """A backend of this distribution by name; skips where its SDK is not installed."""

    def open_backend(name: str, options: dict[str, object] | None = None) -> Backend:
        pytest.importorskip(name, reason=f"{name} is not installed")
        return Plugins().open(name, options or {})

    return open_backend


@pytest.fixture
def compiled(backend: Callable[[str], Backend], small_model: SmallModel) -> Callable[..., CompiledModel]:
    """The small model, or another, on a device: compiled("openvino:CPU", precision="bf16")."""

    def compile_model(device: str, model: ModelArtifact | None = None, **options: object) -> CompiledModel:
        name, _, selector = device.partition(":")
        settings = CompileOptions(**options)  # type: ignore[arg-type]
        return backend(name).compile(model or small_model.artifact, DeviceRef(selector), settings)

    return compile_model
