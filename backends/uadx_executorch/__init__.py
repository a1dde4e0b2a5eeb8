"""ExecuTorch for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="executorch",
    api=1,
    factory="uadx_executorch.backend:ExecuTorchBackend",
    kinds=("cpu",),
    summary="ExecuTorch with XNNPACK: PyTorch's runtime for phones and boards, here on the CPU",
    install_hint="python -m pip install 'uadx[executorch]'",
    docs="https://docs.pytorch.org/executorch/stable/index.html",
    formats=("onnx", "executorch"),
    exports={"executorch": "uadx_executorch.export:export_pte"},
    sdk_modules=("executorch", "torch", "onnx"),
    maturity="verified",
    evidence="it passes the conformance kit in this project's tests, where ExecuTorch is installed",
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    return None
