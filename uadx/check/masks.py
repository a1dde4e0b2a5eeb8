"""Masks that do not match their images: of another size, of no image, marking nothing, nearly all, or a good part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from uadx.check.findings import Finding
from uadx.check.survey import Survey
from uadx.evaluation.layout import GOOD, MASKS
from uadx.evaluation.masks import SUFFIXES, decode_mask, find_mask, is_jpeg
from uadx.plural import counted

NEARLY_ALL = 0.9
"""Share of an image from which a mask that marks it is taken for one that was inverted."""


def masks(survey: Survey) -> Iterator[Finding]:
    if not survey.masks.is_dir():
        if defective := [image for image in survey.of("test") if image.kind != GOOD]:
            what = f"{counted(len(defective), 'defective image')} and no masks: uadx eval measures scores and no maps"
            yield Finding("mask", "note", what, f"draw where the defects are: {MASKS}/<kind>/NAME_mask.png", [])
        return
    unread = [place.relative_to("test") for place, _ in survey.unread if place.parts[0] == "test"]
    found = {path for path in (find_mask(place, survey.masks) for place in unread) if path is not None}
    missing: list[PurePath] = []
    blank: list[PurePath] = []
    misfits: list[PurePath] = []
    whole: list[PurePath] = []
    on_good: list[PurePath] = []
    blurred: list[PurePath] = []
    for image in survey.of("test"):
        path = find_mask(image.place.relative_to("test"), survey.masks)
        if path is None:
            if image.kind != GOOD:
                missing.append(image.place)
            continue
        found.add(path)
        mask = decode_mask(path)
        if mask is None or mask.shape != image.size:
            misfits.append(image.place)
            continue
        if is_jpeg(path):
            blurred.append(image.place)
        if image.kind == GOOD and mask.any():
            on_good.append(image.place)
        elif image.kind != GOOD and not mask.any():
            blank.append(image.place)
        elif mask.mean() > NEARLY_ALL:
            whole.append(image.place)
    pictures = (path for path in sorted(survey.masks.rglob("*")) if path.suffix.lower() in SUFFIXES)
    orphans = [path.relative_to(survey.data) for path in pictures if path not in found]
    for places, weight, noun, what, advice in (
        (misfits, "error", "image", "whose mask has another size, or is no picture", "draw the mask on the image"),
        (on_good, "error", "good image", "with a mask that marks a defect", "decide whether they are good"),
        (
            blank,
            "error",
            "defective image",
            "with a mask that marks nothing",
            "draw the defect in grey above 0; transparency is not looked at",
        ),
        (whole, "warning", "mask", "that marks nearly the whole image", "is it inverted? Good pixels are 0"),
        (missing, "warning", "defective image", "without a mask, which counts for the image figures only", "draw one"),
        (orphans, "warning", "mask", "of no image", "a mask is called NAME_mask.png, or as its image is"),
        (blurred, "note", "mask", "in JPEG, which blurs: above half of its highest value is the defect", "save a PNG"),
    ):
        if places:
            yield Finding("mask", weight, f"{counted(len(places), noun)} {what}", advice, [[place] for place in places])  # type: ignore[arg-type]
