"""ONNX Runtime for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="onnxruntime",
    api=1,
    factory="uadx_onnxruntime.backend:OnnxRuntimeBackend",
    kinds=("cpu", "gpu"),
    summary="ONNX Runtime: one execution provider, asked for by name and never left",
    install_hint="pip install 'uadx[onnxruntime]'",
    docs="https://onnxruntime.ai/docs/execution-providers/",
    formats=("onnx", "ort"),
    exports={"ort": "uadx_onnxruntime.export:export_ort"},
    sdk_modules=("onnxruntime",),
    visible_env=("CUDA_VISIBLE_DEVICES",),
    maturity="verified",
    evidence="its CPU provider passes the conformance kit in this project's tests; the others are unverified",
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    text = f"{error} {getattr(error, 'cause_text', None)}"
    if any(library in text for library in ("libcublas", "libcudnn", "libcudart", "libcufft", "libcurand")):
        return "install the CUDA and cuDNN libraries: pip install 'onnxruntime-gpu[cuda,cudnn]'"
    if "libascendcl" in text:
        return "install the CANN toolkit that fits this onnxruntime-cann, then `source .../ascend-toolkit/set_env.sh`"
    return None
