"""Paddle, and Kunlunxin cards through it, for uadx: what they say of themselves before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

PADDLE = BackendSpec(
    name="paddle",
    api=1,
    factory="uadx_kunlun.backend:PaddleBackend",
    kinds=("cpu",),
    summary="Paddle Inference on the CPU",
    install_hint="python -m pip install 'uadx[paddle]'",
    docs="https://www.paddlepaddle.org.cn/inference/v3.0/api_reference/python_api_doc/python_api_index.html",
    formats=("onnx", "paddle"),
    exports={"paddle": "uadx_kunlun.export:export_paddle"},
    sdk_modules=("paddle", "onnx"),
    maturity="verified",
    evidence="it passes the conformance kit in this project's tests, where Paddle is installed",
)

KUNLUN = BackendSpec(
    name="kunlun",
    api=1,
    factory="uadx_kunlun.kunlun:KunlunBackend",
    kinds=("xpu",),
    summary="Kunlunxin XPU through Paddle Inference",
    install_hint="python -m pip install onnx paddlepaddle-xpu "
    "-i https://www.paddlepaddle.org.cn/packages/stable/xpu-p800/",
    docs="https://www.paddlepaddle.org.cn/inference/v3.0/api_reference/python_api_doc/Config/XPUConfig.html",
    sdk_modules=("paddle", "onnx"),
    visible_env=("XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    maturity="unverified",
    evidence="run on Paddle's CPU build with a stand-in for its XPU calls only: no card was at hand",
    discovery="uadx_kunlun.discovery:discover",
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [PADDLE, KUNLUN]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    from uadx_kunlun.errors import advice_on

    return advice_on(f"{error} {getattr(error, 'cause_text', None)}")
