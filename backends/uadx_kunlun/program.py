"""A program that Paddle saved, and beside it what Paddle 3 leaves out of it: the names of its tensors, in order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from uadx.api import TensorSpec


@dataclass(frozen=True)
class Program:
    """path, weights: Paddle's files. inputs, outputs: in the program's order."""

    path: Path
    weights: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def describe(self) -> None:
        """Write the tensors beside the program."""
        tensors = {side: [asdict(spec) for spec in getattr(self, side)] for side in ("inputs", "outputs")}
        _beside(self.path).write_text(json.dumps(tensors, indent=2) + "\n", "utf-8")


def read(path: Path) -> Program:
    """A program that was described. Raises ValueError with the reason where it was not."""
    beside = _beside(path)
    try:
        tensors = json.loads(beside.read_bytes())
        inputs, outputs = (tuple(map(_spec, tensors[side])) for side in ("inputs", "outputs"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{beside} does not describe a program: {type(error).__name__}: {error}") from error
    return Program(path, path.with_suffix(".pdiparams"), inputs, outputs)


def _beside(path: Path) -> Path:
    return path.with_suffix(".tensors.json")


def _spec(fields: Any) -> TensorSpec:
    return TensorSpec(fields["name"], tuple(fields["shape"]), fields["dtype"])
