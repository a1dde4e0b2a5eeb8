"""A torch model on an MLU: the torch backend's, which asks torch.mlu for the card's memory."""

from __future__ import annotations

import torch
from uadx_torch.graph import Graph
from uadx_torch.model import TorchModel

from uadx.api import CompileOptions, MemoryInfo
from uadx_cambricon.sdk import Mlu


class CambriconModel(TorchModel):
    """index: the card's number."""

    def __init__(self, graph: Graph, mlu: Mlu, index: int, options: CompileOptions) -> None:
        # known to torch only since torch_mlu is imported
        super().__init__(graph, torch.device(f"mlu:{index}"), options, "cambricon")
        self._mlu, self._index = mlu, index

    def memory(self) -> MemoryInfo | None:
        free, total = self._mlu.mem_get_info(self._index)
        return MemoryInfo(total - free, total)
