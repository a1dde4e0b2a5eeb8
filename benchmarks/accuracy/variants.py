"""The recipes that are compared: uadx's own, changes to it, and the authors'.

A name is `default`, `authors`, or changes joined by commas, such as `larger, falling`: see `variant`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from authors import pair as authors_pair
from numpy.typing import NDArray
from pair import Pair
from students import Fresh, Larger, Shallower, Smaller
from torch import Tensor

from uadx.images.preprocess import FITS, Fit
from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.network import normalised_distance
from uadx.stfpm.training import Images, Recipe, Trainer
from uadx.stfpm.weights import CHANNELS, Weights
from uadx.train.dataset import Dataset


class FallingRate(Trainer):
    """The rate rises over the first steps and falls to nothing by the end, along a cosine."""

    WARM_UP = 0.05

    def _loss(self, chosen: NDArray[np.intp], seen: Images) -> Tensor:
        warm_up = max(1, round(self.WARM_UP * self.steps))
        share = (self.step + 1) / warm_up
        if self.step >= warm_up:
            share = 0.5 * (1 + math.cos(math.pi * (self.step - warm_up) / max(1, self.steps - warm_up)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * share
        return super()._loss(chosen, seen)


class OtherPictures(Trainer):
    """The student is kept away from the teacher on pictures that are no product (EfficientAD's penalty, in the form
    that unit vectors allow: a distance below FAR costs)."""

    FAR, WEIGHT = 0.5, 0.1
    pictures: ClassVar[NDArray[np.uint8]]

    @classmethod
    def show(cls, folder: Path, height: int, width: int) -> None:
        paths = sorted(folder.iterdir())[:400]
        cls.pictures = np.stack([FITS["stretch"](cv2.imread(str(path)), height, width).pixels for path in paths])

    def _loss(self, chosen: NDArray[np.intp], seen: Images) -> Tensor:
        rng = np.random.default_rng([self.recipe.seed, self.step])
        others = self.pictures[rng.integers(len(self.pictures), size=4)]
        penalty = torch.zeros(())
        for t, s in zip(self.teacher.compute(others), self._features(self.student, others), strict=True):
            penalty = penalty + torch.relu(self.FAR - normalised_distance(t, s)).mean()
        return super()._loss(chosen, seen) + self.WEIGHT * penalty


class Jittered(Trainer):
    """Light varied by 10 % and place by 2 %, as under a fixed camera; the teacher sees it too."""

    def _batches(self, order: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], Images]]:
        for number, (chosen, seen) in enumerate(super()._batches(order)):
            rng = np.random.default_rng([self.recipe.seed, self.epoch, number, 1])
            moves = [
                (rng.uniform(0.9, 1.1), np.float32([[1, 0, x], [0, 1, y]]))
                for x, y in rng.uniform(-0.02, 0.02, (len(seen), 2)) * seen.shape[1:3]
            ]
            clean = np.array(self.images[chosen])
            self._clean, jittered = (
                np.stack([_moved(image, *move) for image, move in zip(images, moves, strict=True)])
                for images in (clean, seen)
            )
            yield chosen, jittered

    def _loss(self, chosen: NDArray[np.intp], seen: Images) -> Tensor:
        self.teacher.of = lambda _: self.teacher.compute(self._clean)  # type: ignore[method-assign]
        return super()._loss(chosen, seen)


def _moved(image: NDArray[np.uint8], light: float, place: NDArray[np.float32]) -> NDArray[np.uint8]:
    moved = cv2.warpAffine(image, place, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(moved * light, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Variant:
    """A recipe. says: what it is, for the table. side: of the square that has as many pixels as the model. plain: the
    distance stays as it is, however hard a position is."""

    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    trainer: type[Trainer] = Trainer
    side: int = 256
    fit: Fit = "letterbox"
    share: float = 1.0
    train: Callable[[Dataset, Weights, int, int], Pair] | None = None
    plain: bool = False

    def pair(self, dataset: Dataset, teacher: Weights, seen: int, seed: int, work: Path) -> Pair:
        """Train on the dataset until share * seen images have been shown."""
        seen = round(self.share * seen)
        if self.train:
            return self.train(dataset, teacher, seen, seed)
        train = dataset.train
        recipe = Recipe(math.ceil(seen / len(train.windows)), seed, **self.changes)
        trainer = self.trainer(np.array(train.windows), train.shown, teacher, recipe)
        for _ in trainer.run(work / "checkpoint"):
            pass
        difficulties = NONE if self.plain else trainer.difficulties()
        return Pair(trainer.teacher.trunk, lambda pixels: trainer.average(trainer.entry(pixels)), difficulties)


def _authors(dataset: Dataset, teacher: Weights, seen: int, seed: int) -> Pair:
    train, held_out = np.array(dataset.train.windows), np.array(dataset.held_out.windows)
    return Pair(*authors_pair(train, held_out, teacher, seen, seed), NONE)


NONE = [Difficulty.none(channels) for channels in CHANNELS]


@dataclass(frozen=True)
class Change:
    """To the recipe. says: what it is, for the table. recipe, variant: fields of Recipe and Variant that it changes."""

    says: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    trainer: type[Trainer] | None = None
    variant: Mapping[str, Any] = field(default_factory=dict)


CHANGES = {
    "larger": Change("large student", trainer=Larger),
    "fresh": Change("large student that begins with nothing of its teacher", trainer=Fresh),
    "shallower": Change("student of one block a level", trainer=Shallower),
    "smaller": Change("student of a quarter of the channels", trainer=Smaller),
    "plain": Change("difficulty left in the distance", variant={"plain": True}),
    "stretch": Change("images squashed to a square, not letterboxed", variant={"fit": "stretch"}),
    "clean": Change("student sees no drawn defects", {"corrupted": 0.0}),
    "corrupted": Change("student sees drawn defects on all images", {"corrupted": 1.0}),
    "mean": Change("loss of all positions", {"hard_fraction": 1.0}),
    "hardest": Change("loss of the hardest 2 %", {"hard_fraction": 0.02}),
    "falling": Change("falling rate", trainer=FallingRate),
    "last": Change("no averaging of weights", {"averaging": 0.0}),
    "longer": Change("weights averaged over four times as many steps", {"averaging": 0.995}),
    "batch16": Change("batches of 16", {"batch_size": 16}),
    "batch4": Change("batches of 4", {"batch_size": 4}),
    "rate1": Change("rate of .001", {"learning_rate": 1e-3}),
    "others": Change("kept away from the teacher on photographs", trainer=OtherPictures),
    "jittered": Change("light and place varied", trainer=Jittered),
    "half": Change("half of the images seen", variant={"share": 0.5}),
    "double": Change("twice the images seen", variant={"share": 2.0}),
    "320": Change("as many pixels as 320 x 320", variant={"side": 320}),
    "384": Change("as many pixels as 384 x 384", variant={"side": 384}),
}
WHOLE = {
    "default": Variant("uadx's recipe"),
    "authors": Variant("the authors' recipe", fit="stretch", train=_authors),
}


def variant(name: str) -> Variant:
    """uadx's recipe, the authors', or uadx's with the changes that the name has, all at once."""
    if name in WHOLE:
        return WHOLE[name]
    changes = [CHANGES[part] for part in name.split(", ")]
    trainers = tuple(change.trainer for change in changes if change.trainer is not None)
    return Variant(
        ", ".join(change.says for change in changes),
        {key: value for change in changes for key, value in change.recipe.items()},
        type("Changed", trainers or (Trainer,), {}),
        **{key: value for change in changes for key, value in change.variant.items()},
    )


def known(name: str) -> bool:
    """Whether `variant` takes the name."""
    return name in WHOLE or all(part in CHANGES for part in name.split(", "))
