"""A model on a simulated card: OpenVINO's, under another name, with the card's batch sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from uadx_openvino.backend import OpenVINOModel

from uadx.api import Placement
from uadx.errors import InferenceError

if TYPE_CHECKING:
    from uadx.api import Array


class SimulatedModel(OpenVINOModel):
    """largest: the largest batch; smaller ones are padded to 1, 2, 4, ... or it, as gears are. None: any batch."""

    def __init__(self, compiled: Any, name: str, precision: str, largest: int | None) -> None:
        super().__init__(compiled)
        self._name, self._largest = name, largest
        self._placement = Placement("0", precision, {"simulated": "True"})
        self.capabilities = replace(self.capabilities, precision=precision, max_batch=largest)

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        if self._largest is None:
            return super().infer(batch)
        self._check(batch)
        count = len(next(iter(batch.values())))
        gear = min(1 << (count - 1).bit_length(), self._largest)
        padded = {
            name: np.concatenate([array, np.zeros((gear - count, *array.shape[1:]), array.dtype)])
            for name, array in batch.items()
        }
        return {name: value[:count].copy() for name, value in super().infer(padded).items()}

    def _check(self, batch: Mapping[str, Array]) -> None:
        super()._check(batch)
        if self._largest is None:
            return
        counts = {array.shape[:1] for array in batch.values()}
        if len(counts) != 1 or not (1,) <= counts.pop() <= (self._largest,):
            given = {name: array.shape for name, array in batch.items()}
            raise self._failure(f"the model takes batches of up to {self._largest}; it was given {given}")

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"{self._name}:0 failed while it ran the model",
            backend=self._name,
            stage="running the model",
            cause_text=cause,
        )
