"""Does an ONNX model name other files to read weights from? Answered from its bytes, without the onnx package.

Walks the few message fields of onnx.proto through which a tensor can be reached, and looks for `external_data` and
`data_location` in each (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator

_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def uses_external_data(model: bytes) -> bool:
    """True where any tensor lies outside the model. Raises ValueError for bytes that are no protobuf message."""
    todo = [("model", memoryview(model))]
    while todo:
        message, data = todo.pop()
        for number, value in fields(data):
            if message == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
                return True
            child = _CHILDREN[message].get(number)
            if child is not None and isinstance(value, memoryview):
                todo.append((child, value))
    return False


def fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers with their values: bytes of length-delimited fields, numbers of all others."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field longer than its message")
        yield key >> 3, data[at : at + size] if kind == 2 else 0
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")
