"""Masks that do not match their images: of another size, of no image, marking nothing, nearly all, or a good part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from uadx.check.findings import Finding
from uadx.check.survey import Survey
from uadx.evaluation.layout import GOOD, decode_mask, mask_path
from uadx.plural import counted

NEARLY_ALL = 0.9
"""Share of an image from which a mask that marks it is taken for one that was inverted."""


def masks(survey: Survey) -> Iterator[Finding]:
    if not survey.masks.is_dir():
        return
    wanted = {mask_path(image.place.relative_to("test"), survey.masks): image for image in survey.of("test")}
    missing: list[PurePath] = []
    blank: list[PurePath] = []
    misfits: list[PurePath] = []
    whole: list[PurePath] = []
    on_good: list[PurePath] = []
    for path, image in wanted.items():
        if not path.is_file():
            if image.kind != GOOD:
                missing.append(image.place)
            continue
        mask = decode_mask(path)
        if mask is None or mask.shape != image.size:
            misfits.append(image.place)
        elif image.kind == GOOD and mask.any():
            on_good.append(image.place)
        elif image.kind != GOOD and not mask.any():
            blank.append(image.place)
        elif mask.mean() > NEARLY_ALL:
            whole.append(image.place)
    orphans = [p.relative_to(survey.data) for p in sorted(survey.masks.rglob("*.png")) if p not in wanted]
    for places, weight, noun, what, advice in (
        (misfits, "error", "image", "whose mask has another size, or is no picture", "draw the mask on the image"),
        (on_good, "error", "good image", "with a mask that marks a defect", "decide whether they are good"),
        (blank, "error", "defective image", "with a mask that marks nothing", "draw the defect: anything but 0"),
        (whole, "warning", "mask", "that marks nearly the whole image", "is it inverted? Good pixels are 0"),
        (missing, "warning", "defective image", "without a mask, which counts for the image figures only", "draw one"),
        (orphans, "warning", "mask", "of no image", "a mask is called NAME_mask.png, in the folder of its kind"),
    ):
        if places:
            yield Finding("mask", weight, f"{counted(len(places), noun)} {what}", advice, [[place] for place in places])  # type: ignore[arg-type]
