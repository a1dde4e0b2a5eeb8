"""The backend `example` as uadx first sees it: two hooks, and nothing imported that a user would wait for."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="example",
    api=1,
    factory="uadx_backend_example.backend:ExampleBackend",
    kinds=(),
    summary="ONNX graphs in NumPy, slow and exact: the backend to copy",
    install_hint="python -m pip install onnx",
    sdk_modules=("onnx",),
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    if "UnsupportedError" in str(error):
        return "write each as a function in uadx_backend_example/operators.py and add it to OPERATORS there"
    if isinstance(error, ImportError):
        return "python -m pip install --upgrade onnx protobuf"
    return None
