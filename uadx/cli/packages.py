"""The optional packages that a command needs, asked for before it begins."""

from __future__ import annotations

from importlib.util import find_spec

from uadx.errors import UnavailableError


def require_torch(what: str) -> None:
    """Raises UnavailableError where a package of the extra `torch` is not installed. what: what needs it."""
    for module in ("torch", "onnx", "safetensors"):
        if find_spec(module) is None:
            raise UnavailableError(
                f"{what} needs the package {module}, which is not installed",
                hint="python -m pip install 'uadx[torch]'",
            )
