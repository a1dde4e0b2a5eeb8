"""What each vendor's card and tools allow, as data: precisions and where they round, batch sizes, operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from uadx_kunlun.operators import OPERATORS

from uadx.api import Precision

QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})

PADDLE = frozenset(OPERATORS)
TORCH = PADDLE | {"Constant"}
"""What uadx_torch has, which runs on a Cambricon card; a copy, because its own list needs torch."""


@dataclass(frozen=True)
class Rounding:
    """precision: what it is reported as. bits: kept behind the point. where: of what convolutions multiply, or also of
    what they give and of its sums. narrow: with the range of float16 too, infinite beyond it."""

    precision: str
    bits: int = 23
    where: Literal["convolutions", "activations"] = "convolutions"
    narrow: bool = False


@dataclass(frozen=True)
class Limits:
    """precisions: by what is asked for. gears: batches are of the sizes 1, 2, 4, ... that the model is converted for.

    known: the operators that it has, None for what atc has, which is nearly all but QUANTISED. fixed: nothing is left
    open but the batch. vendor, card, compiler: whose limits these are.
    """

    vendor: str
    card: str
    compiler: str
    precisions: Mapping[Precision, Rounding]
    gears: bool = False
    fixed: bool = False
    known: frozenset[str] | None = None

    def lacks(self, operators: Iterable[str]) -> list[str]:
        """Those that the vendor's tools do not take, by name."""
        found = set(operators)
        return sorted(found & QUANTISED if self.known is None else found - self.known)


_EXACT = Rounding("f32")
# atc's cube_fp16in_fp32out: the cube multiplies float16 and adds float32, all else is float32
_CUBE = Rounding("f16", 10, narrow=True)

# as uadx_torch does: convolutions and what lies between them in float16, all else in float32
_HALF = Rounding("f16", 10, "activations", narrow=True)

LIMITS: Mapping[str, Limits] = {
    "ascend-sim": Limits("huawei", "Ascend310P3", "atc", {"f16": _CUBE, "auto": _CUBE}, gears=True, fixed=True),
    # left to itself a P800 multiplies TF32 (PaddlePaddle/Paddle#75481)
    "kunlun-sim": Limits(
        "kunlunxin", "P800", "the paddle backend", {"f32": _EXACT, "auto": Rounding("tf32", 10)}, known=PADDLE
    ),
    "cambricon-sim": Limits(
        "cambricon", "MLU370", "the torch backend", {"f32": _EXACT, "f16": _HALF, "auto": _EXACT}, known=TORCH
    ),
}
