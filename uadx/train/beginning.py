"""What a training begins with: a teacher alone, or a model that is taught on with the good images of another time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle
from uadx.errors import UsageError
from uadx.images.framing import Framing, Tiling
from uadx.stfpm.graph import network_weights
from uadx.stfpm.training import Recipe
from uadx.stfpm.weights import STUDENT, Weights, levels_of
from uadx.train.enough import MINIMUM_IMAGES
from uadx.train.proportions import fitting_size, size_of_tiles
from uadx.train.split import Split
from uadx.train.teacher import TeacherWeights, load_teacher, rounded

IMAGES_SEEN = 25_600
"""Training steps times batch size by default, or every image once. The 8,000 that 200 good images come to take 2 min
42 s on two cores with bfloat16 (docs/accuracy.md)."""

MOST_EPOCHS = 50
"""A student that sees few images more often learns them by heart, and finds less (docs/accuracy.md)."""


@dataclass(frozen=True)
class Beginning:
    """framing: how images become the model's windows. split: which are held out. seen: images that are shown,
    most_epochs: and how often each, at the most. student: the one that is taught on, None for a new one. parent: the
    sha256 of its bundle. taught: the images that taught it, and must never calibrate it."""

    teacher: TeacherWeights
    framing: Framing
    split: Split
    seen: int = IMAGES_SEEN
    most_epochs: int = MOST_EPOCHS
    learning_rate: float = Recipe.learning_rate
    student: Weights | None = None
    parent: str | None = None
    taught: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of a checkpoint that goes on from here."""
        return "-".join(part[:16] for part in (self.teacher.sha256, self.parent) if part is not None)


def anew(
    teacher: str,
    folder: Path,
    size: tuple[int, int] | None,
    tiling: Tiling | None,
    draw: Split,
    on_bytes: Callable[[int, int], None],
) -> Beginning:
    """A new student. Raises what load_teacher does."""
    weights = load_teacher(teacher, on_bytes)
    size = size or (fitting_size(folder) if tiling is None else size_of_tiles(tiling))
    return Beginning(weights, Framing(*size, tiling=tiling), draw)


def taught_on(bundle: Bundle, draw: Split) -> Beginning:
    """A bundle's student, with its teacher, size and tiles. It has learnt most of what there is: a fifth of the images
    are enough, at a rate that keeps it. An image that taught it before is not held out, since it would repeat that too
    well. Raises UsageError for an imported student, and, while the images are read, where hardly any is new."""
    model = bundle.artifact.path.read_bytes()
    student = rounded(network_weights(model, "student"))
    if levels_of(student) is not STUDENT:
        raise UsageError(
            f"{bundle.path} was taught by {bundle.manifest.training.by}, and its student is of another kind than uadx "
            "teaches",
            hint="train it anew: leave out --from",
        )
    taught = bundle.manifest.training.taught

    def split(digests: Sequence[str], paths: Sequence[str]) -> NDArray[np.bool_]:
        new = ~np.isin([digest[:16] for digest in digests], taught)
        if 0 < new.sum() < MINIMUM_IMAGES:
            raise UsageError(
                f"{new.sum()} of the {len(digests)} images are new to the model; it takes {MINIMUM_IMAGES} at least",
                hint="the others taught it, and cannot calibrate it: bring more new ones",
            )
        held_out = np.zeros(len(digests), bool)
        if new.any():
            held_out[new] = draw(*(np.array(each)[new].tolist() for each in (digests, paths)))
        return held_out

    return Beginning(
        TeacherWeights(bundle.manifest.teacher.id, rounded(network_weights(model, "teacher"))),
        bundle.manifest.input.framing,
        split,
        seen=IMAGES_SEEN // 5,
        most_epochs=MOST_EPOCHS // 5,
        learning_rate=1e-3,
        student=student,
        parent=bundle.sha256,
        taught=taught,
    )
