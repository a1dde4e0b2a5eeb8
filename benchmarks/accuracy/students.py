"""Students of other shapes than uadx's, trained by the same recipe."""

from __future__ import annotations

from torch import Tensor

from uadx.stfpm.network import Student, Trunk
from uadx.stfpm.training import Trainer
from uadx.stfpm.weights import levels


class Shallower(Trainer):
    """One block a level in place of two."""

    def make_student(self) -> Student:
        return Student(tuple(levels(2, blocks=1)))


class Smaller(Trainer):
    """A quarter of the channels."""

    def make_student(self) -> Student:
        return Student(tuple(levels(4)))


class Fresh(Trainer):
    """As large as the teacher, stem included."""

    def make_student(self) -> Student:
        return Trunk()  # type: ignore[return-value]  # called as a student is

    def entry(self, pixels: Tensor) -> Tensor:
        return pixels


class Larger(Fresh):
    """As large as the teacher, and beginning with the teacher's weights up to layer1: uadx's recipe of before,
    with half of the images seen in the same time."""

    def make_student(self) -> Student:
        student = super().make_student()
        for part in ("conv1", "bn1", "layer1"):
            student.get_submodule(part).load_state_dict(self.teacher.trunk.get_submodule(part).state_dict())
        return student
