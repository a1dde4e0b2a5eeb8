"""An ONNX graph as an ExecuTorch program: traced by torch.export, its operators given to XNNPACK where that has them.

One image at a time: the program's memory is planned ahead, and what it runs on has one camera. Names and precision,
which the format has no place for, are methods of the program that give a constant
(https://docs.pytorch.org/executorch/stable/using-executorch-export.html).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from uadx_torch.graph import Graph, read
from uadx_torch.module import GraphModule

from uadx_executorch.binding import quiet

PRECISION = "f32"


def lower(model: Path) -> bytes:
    """The .pte of an ONNX file. Raises onnx's, torch's and ExecuTorch's errors."""
    graph = Graph(read(model), torch.device("cpu"), torch.float32)
    # XNNPACK's passes take no weights in the layout that is best for torch
    module: Any = GraphModule(graph)  # torch 2.13 types no memory_format
    module = module.to(memory_format=torch.contiguous_format)
    image = tuple(torch.zeros([1, *spec.shape[1:]], dtype=getattr(torch, spec.dtype)) for spec in graph.inputs)
    facts = {
        "inputs": [spec.name for spec in graph.inputs],
        "outputs": [spec.name for spec in graph.outputs],
        "precision": PRECISION,
    }
    with quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        with torch.no_grad():
            traced = torch.export.export(module, image)
        lowered = to_edge_transform_and_lower(traced, partitioner=[XnnpackPartitioner()], constant_methods=facts)
        return bytes(lowered.to_executorch().buffer)
