"""Good images that are unlike the others in size, shape, format, brightness or contrast, and what is odd of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from uadx.check.findings import Finding, Weight
from uadx.check.survey import Facts, Survey
from uadx.evaluation.layout import GOOD
from uadx.plural import counted

FAR = 6.0
"""Robust standard deviations from the median from which a size or shape is called odd."""
FAR_LIGHT = 3.5
"""The same for brightness and contrast: where good images vary the most, on magnetic_tile, none lies 3 away."""
FAR_SHAPE = float(np.log(5))
"""Ratio of proportions to the median's from which a picture is odd, however much the others vary and however few."""
ALIKE = 0.9
"""Share of the images from which theirs is the size of all, and the others are odd."""
FEW_SIZES = 5
"""Sizes that are listed one by one."""
FLAT = 2.0
"""Standard deviation of the grey values, of 255, below which a picture shows nothing."""
DARK = 16.0
"""Median brightness, of 255, below which a whole set is called dark."""
TWELVE_BITS = 4096


def oddities(survey: Survey) -> Iterator[Finding]:
    """Everything about the good images, of train/ and test/ together."""
    good = [image for image in survey.images if image.kind == GOOD]
    if good:
        deep = [image for image in good if image.bits == 16]
        twelve = bool(deep) and max(image.highest for image in deep) < TWELVE_BITS
        yield from _sizes(good)
        yield from _formats(good)
        if twelve:
            yield _of_all(
                "depth",
                "warning",
                f"no value above {TWELVE_BITS - 1} in {counted(len(deep), 'good image')} of 16 bits: "
                "they come out 16 times too dark",
                "a camera of 12 bits wrote them; multiply by 16 before saving, since 65535 is taken for white",
            )
        yield from _light(good, twelve)


def _sizes(good: Sequence[Facts]) -> Iterator[Finding]:
    sizes = Counter(image.size for image in good).most_common()
    (height, width), often = sizes[0]
    advice = "all images should come from one camera, uncropped"
    if often >= ALIKE * len(good):
        other = [image.size != (height, width) for image in good]
        yield from _few(good, other, "size", f"of another size than {width} x {height}", advice)
    else:
        areas = np.log([image.size[0] * image.size[1] for image in good])
        yield from _few(good, _far(areas, np.log(5)), "size", "far larger or smaller than the others", advice)
        if len(sizes) <= FEW_SIZES:
            listed = ", ".join(f"{number} of {wide} x {high}" for (high, wide), number in sizes)
            yield _of_all(
                "size",
                "note",
                f"good images of {len(sizes)} sizes: {listed}",
                "are they of one camera? What is scaled otherwise looks like another surface",
            )
    shapes = np.log([image.size[1] / image.size[0] for image in good])
    yield from _few(
        good, _far(shapes, 0.2, most=FAR_SHAPE), "shape", "far wider or taller than the others", "crop all alike"
    )


def _formats(good: Sequence[Facts]) -> Iterator[Finding]:
    for rule, traits, advice in (
        ("colour", ["in grey" if image.grey else "in colour" for image in good], "one camera and one format"),
        ("depth", [f"of {image.bits} bits" for image in good], "one camera and one format"),
        ("colour", [f"in {'CMYK' if image.inks else 'RGB or grey'}" for image in good], "one program"),
        ("alpha", [f"{'with' if image.alpha else 'without'} transparency" for image in good], "one program"),
    ):
        usual, *others = (trait for trait, _ in Counter(traits).most_common())
        if others:
            other = [trait != usual for trait in traits]
            yield from _few(
                good, other, rule, f"{others[0]} among those {usual}", f"all images should come from {advice}"
            )


def _light(good: Sequence[Facts], twelve: bool) -> Iterator[Finding]:
    # what comes out 16 times too dark has a sixteenth of its contrast, and shows something all the same
    flat = [image.contrast < (FLAT / 16 if twelve and image.bits == 16 else FLAT) for image in good]
    yield from _few(
        good, flat, "empty", "showing nothing: one colour all over", "was the light off, or the lens covered?"
    )
    rest = [image for image, shows_nothing in zip(good, flat, strict=True) if not shows_nothing]
    if not rest:
        return
    light = np.array([image.brightness for image in rest])
    if np.median(light) < DARK:
        yield _of_all(
            "brightness",
            "warning",
            f"the good images are very dark: half of them below {np.median(light):.0f} of 255",
            "more light or a longer exposure shows more defects",
        )
    contrast = np.array([image.contrast for image in rest])
    for rule, values in (("brightness", light), ("contrast", contrast)):
        # a difference where all are alike, a ratio where they vary: half the light is half of everything
        odd = _far(values, 20.0, FAR_LIGHT) | _far(np.log(values + 1), np.log(2), FAR_LIGHT)
        yield from _few(
            rest, odd, rule, f"with a {rule} far from the others'", "was the light off, or the part missing?"
        )


def _few(
    images: Sequence[Facts], odd: Sequence[bool] | NDArray[np.bool_], rule: str, what: str, advice: str
) -> Iterator[Finding]:
    """A warning of those images that are odd, where there are any."""
    if places := [[image.place] for image, is_odd in zip(images, odd, strict=True) if is_odd]:
        yield Finding(rule, "warning", f"{counted(len(places), 'good image')} {what}", advice, places)


def _of_all(rule: str, weight: Weight, message: str, advice: str) -> Finding:
    """What is to be said of all good images together."""
    return Finding(rule, weight, message, advice, [])


def _far(values: NDArray[np.float64], least: float, far: float = FAR, most: float = np.inf) -> NDArray[np.bool_]:
    """Which values are `far` robust standard deviations, of 5 or more values, and at least `least` from the median, or
    are `most` from it."""
    away = np.abs(values - np.median(values))
    spread = 1.4826 * float(np.median(away))
    enough = len(values) >= 5
    return away > (min(max(far * spread, least), most) if enough else most)
