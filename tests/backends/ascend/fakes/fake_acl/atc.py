"""A stand-in for the compiler `atc`: takes exactly the options that are used, and what it makes has its rounding."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from fake_acl.om import Head, digest_of, pack

SOCS = ("Ascend310", "Ascend310P3", "Ascend310B4", "Ascend910B1")
NEEDED = {"model", "framework", "output", "soc_version", "input_shape"}
KNOWN = NEEDED | {"input_format", "precision_mode", "precision_mode_v2", "dynamic_batch_size", "log"}
MODES = {"force_fp16", "cube_fp16in_fp32out", "must_keep_origin_dtype"}
FLOAT, FLOAT16 = 0, 1
TYPES = {onnx.TensorProto.FLOAT: FLOAT, onnx.TensorProto.UINT8: 4}


class RefusedError(Exception):
    """With a code as atc prints it."""


def main(arguments: list[str]) -> None:
    """As the program: prints to stdout, leaves files in the current folder, ends with 0 or 1."""
    Path("kernel_meta").mkdir(exist_ok=True)
    Path("fusion_result.json").write_text("[]")
    try:
        compile_om(_parse(arguments))
    except RefusedError as error:
        print(f"ATC run failed, Please check the detail log, Try 'atc --help' for more information\n{error}")
        sys.exit(1)
    print("ATC run success, welcome to the next use.")


def compile_om(options: dict[str, str]) -> None:
    if options["soc_version"] not in SOCS:
        raise RefusedError(f"E10001: Value [{options['soc_version']}] for parameter [soc_version] is invalid.")
    try:
        model = onnx.load(options["model"])
        onnx.checker.check_model(model)
    except Exception as error:
        raise RefusedError(f"E19005: failed to parse {options['model']}: {error}") from error
    gears, shapes = _gears(options)
    inputs = {}
    for value in model.graph.input:
        if value.name not in shapes:
            raise RefusedError(f"E10003: input_shape has no {value.name}")
        inputs[value.name] = (TYPES[value.type.tensor_type.elem_type], shapes[value.name])
    mode = options.get("precision_mode", "force_fp16")
    if mode != "must_keep_origin_dtype":
        _round(model, everything=mode == "force_fp16")
    kind = FLOAT16 if mode == "force_fp16" else FLOAT
    outputs = {
        value.name: (kind, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)[1:])
        for value in model.graph.output
    }
    data = model.SerializeToString()
    head = Head(options["soc_version"], gears, inputs, outputs, digest_of(data))
    Path(options["output"] + ".om").write_bytes(pack(head, data))


def _parse(arguments: list[str]) -> dict[str, str]:
    options = {}
    for argument in arguments:
        match = re.fullmatch(r"--(\w+)=(.+)", argument)
        if match is None or match[1] not in KNOWN or match[1] in options:
            raise RefusedError(f"E10001: {argument} is not an option, or is given twice")
        options[match[1]] = match[2]
    if missing := NEEDED - options.keys():
        raise RefusedError(f"E10004: {sorted(missing)} must be given")
    if {"precision_mode", "precision_mode_v2"} <= options.keys():
        raise RefusedError("E10001: precision_mode and precision_mode_v2 exclude each other")
    if options.get("precision_mode", "force_fp16") not in MODES or options["framework"] != "5":
        raise RefusedError("E10001: a value is not one of those that are taken")
    if options.get("input_format", "NCHW") not in ("NCHW", "ND") or options["output"].endswith(".om"):
        raise RefusedError("E10001: input_format or output")
    return options


def _gears(options: dict[str, str]) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Batch sizes, and each input's shape without the batch."""
    shapes = {}
    for part in options["input_shape"].split(";"):
        name, _, lengths = part.rpartition(":")
        shapes[name] = tuple(map(int, lengths.split(",")))
    batches = {shape[0] for shape in shapes.values()}
    if any(length < 1 for shape in shapes.values() for length in shape[1:]) or len(batches) != 1:
        raise RefusedError("E10012: input_shape")
    listed = options.get("dynamic_batch_size")
    if (listed is not None) != (batches == {-1}):
        raise RefusedError("E10035: dynamic_batch_size goes with a batch of -1")
    gears = tuple(map(int, listed.split(","))) if listed else tuple(batches)
    if listed and not 2 <= len(gears) <= 100:
        raise RefusedError("E10035: from 2 to 100 values for dynamic_batch_size")
    return gears, {name: shape[1:] for name, shape in shapes.items()}


def _round(model: onnx.ModelProto, *, everything: bool) -> None:
    """To float16 what convolutions multiply with; or all constants."""
    weights = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and (everything or tensor.name in weights):
            with np.errstate(over="ignore"):
                rounded = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
