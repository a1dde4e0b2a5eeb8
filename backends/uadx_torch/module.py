"""A graph as a torch module, which torch's own tracers and exporters take."""

from __future__ import annotations

import torch
from torch import Tensor

from uadx_torch.graph import Graph


class GraphModule(torch.nn.Module):
    """Tensors in and out, in the order of the graph's inputs and outputs. Its constants are buffers, moved by `.to`."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        for number, value in enumerate(graph.constants.values()):
            self.register_buffer(f"constant{number}", value)
        self.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = {spec.name: value for spec, value in zip(self._graph.inputs, inputs, strict=True)}
        given |= {name: getattr(self, f"constant{number}") for number, name in enumerate(self._graph.constants)}
        outputs = self._graph.compute(given)
        return tuple(outputs[spec.name] for spec in self._graph.outputs)
