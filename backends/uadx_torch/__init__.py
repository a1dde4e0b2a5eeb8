"""PyTorch for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="torch",
    api=1,
    factory="uadx_torch.backend:TorchBackend",
    kinds=("cpu", "gpu"),
    summary="PyTorch: CUDA GPUs, the CPU, Apple's and Intel's GPUs",
    install_hint="python -m pip install 'uadx[torch]'",
    docs="https://pytorch.org/get-started/locally/",
    formats=("onnx", "torchscript"),
    exports={"torchscript": "uadx_torch.export:export_torchscript"},
    sdk_modules=("torch", "onnx"),
    visible_env=("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
    maturity="verified",
    evidence="its CPU device passes the conformance kit in this project's tests; the others are unverified",
)

_ADVICE = {
    "out of memory": "use a smaller --batch-size, or end what else uses the card",
    "no kernel image": "this torch is not built for this card: install the build that is (pytorch.org/get-started)",
    "driver on your system is too old": "update the NVIDIA driver, or install a torch for an older CUDA",
    "not compiled with CUDA": "this torch is built for the CPU alone: install a CUDA build (pytorch.org/get-started)",
    "no NVIDIA driver": "install the NVIDIA driver, or see what nvidia-smi says",
    "No CUDA GPUs": "see what nvidia-smi says, and the value of CUDA_VISIBLE_DEVICES",
}


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    text = f"{error} {getattr(error, 'cause_text', None)}"
    return next((advice for words, advice in _ADVICE.items() if words in text), None)
