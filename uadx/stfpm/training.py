"""The training loop: a student learns to repeat the teacher on good images.

The loss is the mean distance of the hardest positions of each level (EfficientAD's hard-feature loss, Batzner et
al., WACV 2024): most of a good image is learnt within seconds, and the mean over all positions would stop teaching
there. Half of the images reach the student with drawn defects, the teacher always clean (DeSTSeg, Zhang et al.,
CVPR 2023): it learns to repair what it sees, and cannot follow the teacher into a defect. The rate of AdamW stays as it
is, and a moving average of the weights keeps the end steady. What each is worth: docs/accuracy.md.
"""

from __future__ import annotations

import copy
import io
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uadx.contract import words
from uadx.errors import UadxError, UadxWarning
from uadx.files import whole_file
from uadx.stfpm.difficulty import Difficulty, DifficultyFit
from uadx.stfpm.network import Student, Trunk, normalise_pixels, normalised_distance, unit
from uadx.stfpm.synthetic import paste
from uadx.stfpm.teacher_features import BATCH, TeacherFeatures
from uadx.stfpm.weights import CHANNELS, Weights, unfold

Images = NDArray[np.uint8]

STATE_VERSION = 7
MEASURED = 512
"""Images from which the difficulty is fitted, at the most."""
BEGINNING = 64
"""Images that the batch norms of a student that is taught on are made from."""
SAVE_EVERY = 20.0
"""Seconds between two saves: the epochs of a small set are short."""


@dataclass(frozen=True)
class Recipe:
    """How a student is trained. hard_fraction: the share of positions of each image and level in the loss.

    corrupted: the share of images that the student sees with drawn defects. averaging: decay of the moving average of
    the weights, per step.
    """

    epochs: int
    seed: int = 0
    batch_size: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    hard_fraction: float = 0.1
    corrupted: float = 0.5
    averaging: float = 0.98


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. loss: mean training loss."""

    number: int
    epochs: int
    loss: float


def hard_loss(distances: list[Tensor], shown: Tensor, fraction: float) -> Tensor:
    """Sum over levels of the mean of each image's highest distances: list of [N, h, w] -> scalar.

    shown: [N, 2], the share of height and of width that shows the image; what lies beyond does not count.
    """
    total = torch.zeros((), device=distances[0].device)
    for distance in distances:
        inside = _inside(shown, distance).flatten(1)
        ranked = distance.flatten(1).masked_fill(~inside, 0).sort(dim=1, descending=True).values
        count = (fraction * inside.sum(1)).round().clamp_min(1)
        hard = torch.arange(ranked.shape[1], device=ranked.device) < count[:, None]
        total = total + ((ranked * hard).sum(1) / count).mean()
    return total


def _inside(shown: Tensor, level: Tensor) -> Tensor:
    """Which positions of a level [N, h, w] show the image: bool [N, h, w]."""
    rows, columns = (
        torch.arange(side, device=level.device) < (part * side - 1e-3).ceil()[:, None]
        for side, part in zip(level.shape[1:], shown.unbind(1), strict=True)
    )
    return rows[:, :, None] & columns[:, None, :]


class Trainer:
    """One training run on one device, with a state that can be saved after each epoch and taken up again.

    images: uint8 RGB [N, H, W, 3], a memory map is welcome. shown: int [N, 2], height and width of the part of each
    that shows its image. teacher: a folded trunk. start: the folded student that is taught on, None for a new one.

    losses: the mean of each epoch that is done.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        shown: NDArray[np.intp],
        teacher: Weights,
        recipe: Recipe,
        device: str = "cpu",
        start: Weights | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.images, self.recipe = images, recipe
        self.shown = torch.from_numpy(shown / np.array(images.shape[1:3])).float()
        self.device = torch.device(device)
        self.autocast = torch.bfloat16 if _bfloat16_is_fast(self.device) else None
        trunk = Trunk().eval().requires_grad_(False)
        trunk.load(unfold(teacher))
        self._place(trunk)
        self.teacher = TeacherFeatures(trunk, images, self.device, self.autocast)
        self.student = self.make_student().train()
        self._place(self.student)
        if start is not None:
            self.student.begin_as(start, self.entry(self._pixels(np.array(images[:BEGINNING]))))
        self.average = copy.deepcopy(self.student).eval().requires_grad_(False)
        self.epoch = 0
        self.step = 0
        self.losses: list[float] = []
        self._saved = -math.inf
        self.steps = recipe.epochs * math.ceil(len(images) / recipe.batch_size)
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def make_student(self) -> Student:
        """A student that has learnt nothing."""
        return Student()

    def _place(self, network: nn.Module) -> None:
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, checkpoint: Path, on_step: Callable[[int], None] = lambda images: None) -> Iterator[Epoch]:
        """Train to the end, yielding after each epoch. The state is saved to checkpoint after the first epoch,
        the last, and every SAVE_EVERY seconds between. Raises UadxError where the training diverges, OutputError."""
        if self.recipe.epochs > 1:
            self.teacher.keep()
        while self.epoch < self.recipe.epochs:
            loss = self._train_epoch(on_step)
            self.epoch += 1
            if not math.isfinite(loss):
                raise UadxError("the training diverged: its loss is not a number", hint="try another --seed")
            self.losses.append(loss)
            if self.epoch == self.recipe.epochs or time.monotonic() - self._saved > SAVE_EVERY:
                self.save(checkpoint)
                self._saved = time.monotonic()
            yield Epoch(self.epoch, self.recipe.epochs, loss)

    def student_weights(self) -> Weights:
        """The folded student: the moving average at the end."""
        self._check_finished()
        return self.average.folded()

    @torch.no_grad()
    def difficulties(self) -> list[Difficulty]:
        """Of the levels, from the images that taught the student, without drawn defects."""
        self._check_finished()
        fits = [DifficultyFit(channels) for channels in CHANNELS]
        order = np.random.default_rng(self.recipe.seed).permutation(len(self.images))
        chosen = np.sort(order[:MEASURED])
        for some in np.array_split(chosen, -(-len(chosen) // BATCH)):
            images = np.array(self.images[some])
            of_student = self._features(self.average, images)
            for fit, t, s in zip(fits, self.teacher.compute(images), of_student, strict=True):
                distance = normalised_distance(t, s)
                inside = _inside(self.shown[some].to(self.device), distance)
                features = unit(t).permute(0, 2, 3, 1)[inside]
                fit.add(features.cpu().numpy(), distance[inside].cpu().numpy(), len(some))
        return [fit.result() for fit in fits]

    def _check_finished(self) -> None:
        if self.epoch < self.recipe.epochs:
            raise RuntimeError(f"the training is at epoch {self.epoch} of {self.recipe.epochs}")

    def _batches(self, order: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], Images]]:
        """Indices, and the images as the student sees them; the next batch is drawn while this one is learnt."""
        size = self.recipe.batch_size
        parts = [np.sort(order[start : start + size]) for start in range(0, len(order), size)]

        def draw(number: int) -> tuple[NDArray[np.intp], Images]:
            chosen = parts[number]
            seen = np.array(self.images[chosen])
            # by epoch and number, so that a training taken up again draws the same
            rng = np.random.default_rng([self.recipe.seed, self.epoch, number])
            for place in np.flatnonzero(rng.random(len(seen)) < self.recipe.corrupted):
                seen[place] = paste(seen[place], self.images[rng.integers(len(self.images))], rng)[0]
            return chosen, seen

        with ThreadPoolExecutor(1, thread_name_prefix="uadx-draw") as pool:
            ahead = pool.submit(draw, 0)
            for number in range(len(parts)):
                batch = ahead.result()
                if number + 1 < len(parts):
                    ahead = pool.submit(draw, number + 1)
                yield batch

    def _loss(self, chosen: NDArray[np.intp], seen: Images) -> Tensor:
        """Between the teacher's features of the clean images and the student's of what it sees."""
        of_student = self._features(self.student, seen)
        distances = [normalised_distance(t, s) for t, s in zip(self.teacher.of(chosen), of_student, strict=True)]
        return hard_loss(distances, self.shown[chosen].to(self.device), self.recipe.hard_fraction)

    def _features(self, student: nn.Module, images: Images) -> list[Tensor]:
        pixels = self._pixels(images)
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            features: list[Tensor] = student(self.entry(pixels))
        return features

    def _pixels(self, images: Images) -> Tensor:
        return normalise_pixels(torch.from_numpy(images).to(self.device))

    def entry(self, pixels: Tensor) -> Tensor:
        """What the student takes of normalised pixels."""
        return self.teacher.trunk.stem(pixels)

    def _train_epoch(self, on_step: Callable[[int], None]) -> float:
        recipe = self.recipe
        order = np.random.default_rng([recipe.seed, self.epoch]).permutation(len(self.images))
        total = 0.0
        for chosen, seen in self._batches(order):
            loss = self._loss(chosen, seen)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.step += 1
            self._update_average()
            total += float(loss.detach()) * len(chosen)
            on_step(len(chosen))
        return total / len(order)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.state_dict().values(), self.student.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        """Write the state whole or not at all. Raises OutputError."""
        state = {
            "version": STATE_VERSION,
            "recipe": asdict(self.recipe),
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)  # to a file on a full disk, it would hide the system's own words
        with whole_file(path) as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())

    def restore(self, path: Path) -> bool:
        """Take up a saved state; False where it is damaged or belongs to another recipe. Runs no pickled code."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # bytes that are no state make torch stumble in many ways, KeyError among them
            what = f"the checkpoint {path} is damaged and not taken up: {words(error)}"
            warnings.warn(what, UadxWarning, stacklevel=2)
            return False
        if state.get("version") != STATE_VERSION or state.get("recipe") != asdict(self.recipe):
            return False
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.losses = state["epoch"], state["step"], state["losses"]
        return True


def _bfloat16_is_fast(device: torch.device) -> bool:
    """bfloat16 doubles the speed where the processor has it and halves it where it is emulated."""
    if device.type == "cpu":
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())  # no public twin
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
