"""What each vendor's card and tools allow, as data: precisions and where they round, batch sizes, operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from uadx.api import Precision

QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})

PADDLE = frozenset(
    [
        "Add",
        "BatchNormalization",
        "Cast",
        "Conv",
        "Div",
        "Identity",
        "MaxPool",
        "Mul",
        "Reciprocal",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Sqrt",
        "Sub",
        "Transpose",
    ]
)
"""The operators of uadx_kunlun, which builds a program of its own; a copy, because that one needs packages."""

TORCH = PADDLE | {"Constant"}
"""Those of uadx_torch, which is what runs on a Cambricon card."""


@dataclass(frozen=True)
class Rounding:
    """precision: what it is reported as. bits: kept behind the point. where: of what convolutions multiply, or of what
    every operator gives. narrow: with the range of float16 too."""

    precision: str
    bits: int = 23
    where: Literal["convolutions", "everything"] = "convolutions"
    narrow: bool = False


@dataclass(frozen=True)
class Limits:
    """precisions: by what is asked for. gears: batches are of the sizes 1, 2, 4, ... that the model is converted for.

    known: the operators that the backend has, None for what atc has, which is nearly all but QUANTISED. card, vendor:
    whose limits these are.
    """

    vendor: str
    card: str
    precisions: Mapping[Precision, Rounding]
    gears: bool = False
    known: frozenset[str] | None = None

    def lacks(self, operators: Iterable[str]) -> list[str]:
        """Those that the vendor's tools do not take, by name."""
        found = set(operators)
        return sorted(found & QUANTISED if self.known is None else found - self.known)


_EXACT = Rounding("f32")
# atc's cube_fp16in_fp32out: the cube multiplies float16 and adds float32, all else is float32
_CUBE = Rounding("f16", 10, narrow=True)

LIMITS: Mapping[str, Limits] = {
    "ascend-sim": Limits("huawei", "Ascend310P3", {"f16": _CUBE, "auto": _CUBE}, gears=True),
    # left to itself a P800 multiplies TF32 (PaddlePaddle/Paddle#75481)
    "kunlun-sim": Limits("kunlunxin", "P800", {"f32": _EXACT, "auto": Rounding("tf32", 10)}, known=PADDLE),
    "cambricon-sim": Limits(
        "cambricon",
        "MLU370",
        {"f32": _EXACT, "f16": Rounding("f16", 10, "everything", narrow=True), "auto": _EXACT},
        known=TORCH,
    ),
}
