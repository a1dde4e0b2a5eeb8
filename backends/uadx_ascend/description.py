"""What an .om file does not say of itself, from the JSON file beside it: `model.om.json`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Description:
    """soc_version: the one card it runs on, such as "Ascend310P3". gears: the batch sizes it takes.

    inputs, outputs: tensor names. precision: "f16", or "f32" where every operator kept its type.
    """

    soc_version: str
    gears: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str

    def write(self, om: Path) -> None:
        """Beside the .om, whole or not at all."""
        path = beside(om)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        os.replace(temporary, path)


def beside(om: Path) -> Path:
    """Where the description of an .om lies."""
    return om.with_name(f"{om.name}.json")


def read(om: Path) -> Description | None:
    """None where there is none. Raises ValueError with the reason where it is not one."""
    path = beside(om)
    if not path.exists():
        return None
    try:
        fields = json.loads(path.read_bytes())
        found = Description(
            fields["soc_version"],
            tuple(fields["gears"]),
            tuple(fields["inputs"]),
            tuple(fields["outputs"]),
            fields["precision"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe an .om: {type(error).__name__}: {error}") from error
    words = (found.soc_version, found.precision, *found.inputs, *found.outputs)
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path} does not describe an .om: names are text")
    return found
