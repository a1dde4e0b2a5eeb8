"""Huawei Ascend for uadx: what it says of itself before the SDK is imported."""

from __future__ import annotations

from uadx.api import BackendSpec, hookimpl

SPEC = BackendSpec(
    name="ascend",
    api=1,
    factory="uadx_ascend.backend:AscendBackend",
    kinds=("npu",),
    formats=("om", "onnx"),
    summary="Huawei Ascend cards through CANN's pyACL and models converted to .om",
    install_hint="install the CANN toolkit, then `source /usr/local/Ascend/ascend-toolkit/set_env.sh`",
    docs="https://www.hiascend.com/document",
    sdk_modules=("acl",),
    visible_env=("ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES"),
    maturity="unverified",
    discovery="uadx_ascend.discovery:discover",
    default_precision="f16",
    exports={"om": "uadx_ascend.export:export_om"},
)


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return [SPEC]


@hookimpl
def uadx_explain_failure(backend: str, error: BaseException) -> str | None:
    from uadx_ascend.errors import advice_on

    return advice_on(f"{error} {getattr(error, 'cause_text', None)}")
