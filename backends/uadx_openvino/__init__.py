"""OpenVINO for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="openvino",
    api=1,
    factory="uadx_openvino.backend:OpenVINOBackend",
    kinds=("cpu",),  # its GPU and NPU are Intel's: reached as openvino:GPU and openvino:NPU
    summary="Intel OpenVINO: CPUs of any vendor, Intel GPUs and NPUs",
    install_hint="pip install openvino",
    docs="https://docs.openvino.ai",
    formats=("onnx", "openvino"),
    exports={"openvino": "uadx_openvino.export:export_ir"},
    sdk_modules=("openvino",),
    maturity="verified",
    evidence="its CPU device passes the conformance kit in this project's tests; Intel GPUs and NPUs are unverified",
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    text = f"{error} {getattr(error, 'cause_text', None)}"
    if "libOpenCL" in text or "intel_gpu_plugin" in text:
        return "install the OpenCL driver of the Intel GPU (package intel-opencl-icd), or use --device cpu"
    if "intel_npu" in text:
        return "install the driver of the Intel NPU (github.com/intel/linux-npu-driver), or use --device cpu"
    return None
