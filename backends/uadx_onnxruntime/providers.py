"""What uadx knows of ONNX Runtime's execution providers: how each is told its device and its precision.

A provider that is not listed here works too: it gets its options from devices.yaml, and its precision is unknown.
Options: https://onnxruntime.ai/docs/execution-providers/, one page for each provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
NOT_A_DEVICE = frozenset({CPU, "AzureExecutionProvider", "XnnpackExecutionProvider"})
"""Providers that no listing offers as a device beside the CPU."""


@dataclass(frozen=True)
class Provider:
    """device: the option that takes what follows the provider's name. precisions: the options that make it compute in
    a precision, and that it reports when it does. one_batch: it compiles anew for each batch size, for minutes."""

    device: str | None = None
    precisions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    one_batch: bool = False


KNOWN: Mapping[str, Provider] = {
    CPU: Provider(precisions={"f32": {}}),  # runs a graph as it is written
    # TF32, ten bits of mantissa, is the default of CUDA's own libraries
    CUDA: Provider("device_id", {"f32": {"use_tf32": "0"}, "tf32": {"use_tf32": "1"}}),
    # its builder takes TF32 where the card has it, and no option of the provider forbids that
    "TensorrtExecutionProvider": Provider(
        "device_id",
        {
            "bf16": {"trt_bf16_enable": "1"},
            "f16": {"trt_fp16_enable": "1"},
            "tf32": {"trt_fp16_enable": "0", "trt_int8_enable": "0"},
        },
    ),
    "NvTensorRTRTXExecutionProvider": Provider("device_id"),
    "MIGraphXExecutionProvider": Provider(
        "device_id", {"f16": {"migraphx_fp16_enable": "1"}, "f32": {"migraphx_fp16_enable": "0"}}
    ),
    "ROCMExecutionProvider": Provider("device_id"),
    "DmlExecutionProvider": Provider("device_id"),
    # the modes are atc's; its own choice is float16 throughout (microsoft/onnxruntime#24498 on batch sizes)
    "CANNExecutionProvider": Provider(
        "device_id",
        {
            "f32": {"precision_mode": "must_keep_origin_dtype"},
            "f16": {"precision_mode": "cube_fp16in_fp32out"},
        },
        one_batch=True,
    ),
    "CoreMLExecutionProvider": Provider(),
    # takes a precision, and reports neither that nor its device
    "OpenVINOExecutionProvider": Provider("device_type", {"f32": {"precision": "FP32"}, "f16": {"precision": "FP16"}}),
}


def first_device(name: str) -> str:
    """The selector of a provider's first device."""
    return f"{name}:0" if KNOWN.get(name, Provider()).device == "device_id" else name


def takes_a_device(name: str) -> bool:
    """Whether something may follow the provider's name. Of one that is not known here, it may."""
    return name not in KNOWN or KNOWN[name].device is not None


def takes_one_batch(name: str) -> bool:
    """Whether the provider should see batches of one size only."""
    return KNOWN.get(name, Provider()).one_batch


def request(name: str, device: str, precision: str, given: Mapping[str, object]) -> dict[str, str]:
    """The options of one session: those of devices.yaml, then the device and the precision that were asked for."""
    provider = KNOWN.get(name, Provider("device_id" if device else None))
    options = {key: str(value) for key, value in given.items()}
    if provider.device is not None and (device or provider.device == "device_id"):
        options[provider.device] = device or "0"
    return options | dict(provider.precisions.get(precision, {}))


def reported(name: str, asked: str, options: Mapping[str, str]) -> tuple[str, str]:
    """Device and precision that a session's provider reports, such as ("CUDAExecutionProvider:1", "f32").

    The precision is "unknown", which fits no request but "auto", where the provider does not say. asked: what
    followed its name; some providers refuse a wrong device and then do not report the right one.
    """
    provider = KNOWN.get(name, Provider("device_id"))
    device = options.get(provider.device or "", "" if name not in KNOWN else asked)
    precision = "unknown"
    for candidate, needed in provider.precisions.items():
        if all(options.get(key, "").lower() in _same(value) for key, value in needed.items()):
            precision = candidate
            break
    return f"{name}:{device}" if device else name, precision


def _same(value: str) -> frozenset[str]:
    """Providers answer a switch with another word than they took."""
    switches = {"1": frozenset({"1", "true"}), "0": frozenset({"0", "false"})}
    return switches.get(value, frozenset({value.lower()}))
