"""Cambricon for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="cambricon",
    api=1,
    factory="uadx_cambricon.backend:CambriconBackend",
    kinds=("mlu",),
    summary="Cambricon MLU through PyTorch and torch_mlu",
    install_hint="install torch_mlu for your driver (developer.cambricon.com; it is not on PyPI), and onnx",
    docs="https://github.com/Cambricon/torch_mlu",
    sdk_modules=("torch_mlu", "torch", "onnx"),
    visible_env=("MLU_VISIBLE_DEVICES",),
    evidence="run on a fake of torch_mlu only: no card was at hand",
    discovery="uadx_cambricon.discovery:discover",
)

# torch_mlu's errors have words and no numbers
_ADVICE = {
    "out of memory": "use a smaller --batch-size, or end what else uses the card (cnmon shows it)",
    "re-initialize MLU in forked": "start worker processes with spawn: a forked process cannot use the card",
    "Invalid device id": "name a card that `uadx devices mlu` lists; MLU_VISIBLE_DEVICES renumbers them from 0",
    "libcnrt": "the Neuware libraries are not found: set NEUWARE_HOME and LD_LIBRARY_PATH as the vendor's image does",
    "libcnnl": "the Neuware libraries are not found: set NEUWARE_HOME and LD_LIBRARY_PATH as the vendor's image does",
    "CNRT error": "see what cnmon says of the card, and whether driver, Neuware and torch_mlu belong together",
    "CNNL": "driver, Neuware and torch_mlu may not belong together: cnmon version, python -c 'import torch_mlu'",
}


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    text = f"{error} {getattr(error, 'cause_text', None)}"
    return next((advice for words, advice in _ADVICE.items() if words in text), None)
