"""The names and shapes of an ONNX file's inputs and outputs, read without the onnx package, which CANN does not bring.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uadx.bundle.external import fields

_MODEL_GRAPH = 7
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 2, 1, 1


@dataclass(frozen=True)
class Interface:
    """inputs: shapes by name, the batch first, -1 for a length that the file leaves open. outputs: names."""

    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]


def read(path: Path) -> Interface:
    """Raises ValueError for a file that is no ONNX model."""
    inputs: dict[str, tuple[int, ...]] = {}
    outputs: list[str] = []
    for graph in _messages(memoryview(path.read_bytes()), _MODEL_GRAPH):
        inputs |= {_name(value): _shape(value) for value in _messages(graph, _GRAPH_INPUT)}
        outputs += map(_name, _messages(graph, _GRAPH_OUTPUT))
    if not inputs or not outputs:
        raise ValueError(f"{path} is no ONNX model: it has no inputs or no outputs")
    return Interface(inputs, tuple(outputs))


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in fields(data):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _name(value: memoryview) -> str:
    return "".join(bytes(name).decode() for name in _messages(value, _VALUE_NAME))


def _shape(value: memoryview) -> tuple[int, ...]:
    lengths = []
    for kind in _messages(value, _VALUE_TYPE):
        for tensor in _messages(kind, _TYPE_TENSOR):
            for shape in _messages(tensor, _TENSOR_SHAPE):
                for dim in _messages(shape, _SHAPE_DIM):
                    known = [length for number, length in fields(dim) if number == _DIM_VALUE]
                    lengths.append(known[0] if known and isinstance(known[0], int) else -1)
    return tuple(lengths)
