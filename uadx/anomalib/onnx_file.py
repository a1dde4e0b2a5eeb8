"""anomalib's Stfpm from the ONNX file that it exports, whose convolutions have taken up the batch norms.

Both exporters of torch write teacher before student and each in order of its forward pass, and name the network that a
convolution is of: the newer one in the weight's name, the older one in the node's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from uadx.anomalib.model import TAKEN, AnomalibModel, check_trunk
from uadx.anomalib.preprocessing import is_imagenet
from uadx.errors import BundleError
from uadx.stfpm.weights import TEACHER, Weights, convolutions, unfold

Arrays = dict[str, NDArray[Any]]


def read_onnx(path: Path) -> AnomalibModel:
    """Read an .onnx, and the weights that lie beside it where its own are in a file of their own.

    Raises BundleError for a file that is none, for another model or backbone, for weights in 8 bits, and where pixels
    are not normalised as for ImageNet.
    """
    try:
        graph = onnx.load(str(path)).graph
    except (OSError, DecodeError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise BundleError(
            f"{path} cannot be read as an ONNX model",
            cause_text=str(error),
            hint="weights that are in a file of their own, such as model.onnx.data, must lie beside it",
        ) from error
    constants = _constants(graph)
    teacher, student = (_network(graph, constants, which, path) for which in ("teacher", "student"))
    triples = [value.ravel() for value in constants.values() if value.size == 3]
    if not any(is_imagenet(mean, deviation) for mean in triples for deviation in triples):
        raise BundleError(f"{path}: it does not normalise pixels as for ImageNet", hint=TAKEN)
    return AnomalibModel("ONNX file", teacher, student, _size(graph))


def _constants(graph: Any) -> Arrays:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _network(graph: Any, constants: Arrays, which: str, path: Path) -> Weights:
    """One network's state dict, with batch norms that only add."""
    nodes = [
        node for node in graph.node if node.op_type == "Conv" and f"{which}_model" in " ".join((node.name, *node.input))
    ]
    expected = list(convolutions(TEACHER))
    if not nodes:
        raise BundleError(f"{path} holds no STFPM model of anomalib: it has no {which}", hint=TAKEN)
    if len(nodes) != len(expected):
        raise BundleError(
            f"{path}: its {which} is no ResNet-18 up to layer3: it has {len(nodes)} convolutions, not {len(expected)}",
            hint=TAKEN,
        )
    folded: Weights = {}
    for node, conv in zip(nodes, expected, strict=True):
        values = [constants.get(name) for name in node.input[1:]]
        for part, value in zip(("weight", "bias"), [*values, None, None], strict=False):
            if value is None or not np.issubdtype(value.dtype, np.floating):
                raise BundleError(
                    f"{path}: {part} of the {which}'s `{conv.name}` is not written there as plain numbers",
                    hint="import a file that was exported without compression, or the checkpoint",
                )
            folded[f"{conv.name}.{part}"] = value.astype(np.float32)
    try:
        state = unfold(folded)
    except BundleError as error:
        raise BundleError(f"{path}: its {which} is no ResNet-18 up to layer3: {error.message}", hint=TAKEN) from error
    check_trunk(state, which, path)
    return state


def _size(graph: Any) -> tuple[int, int] | None:
    """That of the map, which is the size after resizing, where it is written there as numbers."""
    for output in graph.output:
        if output.name == "anomaly_map":
            shape = [side.dim_value for side in output.type.tensor_type.shape.dim]
            if len(shape) == 4 and min(shape[2:]) > 0:
                return shape[2], shape[3]
    return None
