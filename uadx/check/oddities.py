"""Good images that are unlike the others in size, shape, format, brightness or contrast, or that show nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from uadx.check.findings import Finding, counted
from uadx.check.survey import Facts, Survey
from uadx.evaluation.layout import GOOD

FAR = 6.0
"""Robust standard deviations from the median from which a value is called odd."""
FAR_RATIO = 4.0
"""The same for ratios of light: where good images vary the most, on magnetic_tile, none lies 3 away."""
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
        yield from _sizes(good)
        yield from _formats(good)
        yield from _light(good)


def _sizes(good: Sequence[Facts]) -> Iterator[Finding]:
    sizes = Counter(image.size for image in good)
    (height, width), often = sizes.most_common(1)[0]
    areas = np.log([image.size[0] * image.size[1] for image in good])
    shapes = np.log([image.size[1] / image.size[0] for image in good])
    if often > ALIKE * len(good):
        odd, what = (
            [image for image in good if image.size != (height, width)],
            f"of another size than {width} x {height}",
        )
    else:
        odd, what = _outliers(good, areas, np.log(4)), "far larger or smaller than the others"
    if odd:
        yield _few(odd, "size", what, "all images should come from one camera, uncropped")
    elif 1 < len(sizes) <= FEW_SIZES:
        listed = ", ".join(f"{number} of {wide} x {high}" for (high, wide), number in sizes.most_common())
        yield Finding(
            "size",
            "note",
            f"good images of {len(sizes)} sizes: {listed}",
            "are they of one camera? What is scaled otherwise looks like another surface",
            [],
        )
    if odd := _outliers(good, shapes, 0.2):
        yield _few(odd, "shape", "far wider or taller than the others", "crop all alike")


def _formats(good: Sequence[Facts]) -> Iterator[Finding]:
    for rule, traits, advice in (
        ("colour", [("in grey" if image.grey else "in colour") for image in good], "one camera and one format"),
        ("depth", [f"of {image.bits} bits" for image in good], "one camera and one format"),
        ("alpha", [("with" if image.alpha else "without") + " transparency" for image in good], "one program"),
    ):
        kinds = Counter(traits).most_common()
        if len(kinds) > 1:
            usual = kinds[0][0]
            odd = [image for image, trait in zip(good, traits, strict=True) if trait != usual]
            what = f"{kinds[1][0]} among those {usual}"
            yield _few(odd, rule, what, f"all images should come from {advice}")
    deep = [image for image in good if image.bits == 16]
    if deep and max(image.highest for image in deep) < TWELVE_BITS:
        yield Finding(
            "depth",
            "warning",
            f"no value above 4095 in {counted(len(deep), 'good image')} of 16 bits: they come out 16 times too dark",
            "a camera of 12 bits wrote them; multiply by 16 before saving, since 65535 is taken for white",
            [],
        )


def _light(good: Sequence[Facts]) -> Iterator[Finding]:
    flat = [image for image in good if image.contrast < FLAT]
    if flat:
        yield _few(flat, "empty", "that show nothing: one colour all over", "was the light off, or the lens covered?")
    rest = [image for image in good if image not in flat]
    if not rest:
        return
    light = np.array([image.brightness for image in rest])
    if np.median(light) < DARK:
        yield Finding(
            "brightness",
            "warning",
            f"the good images are very dark: half of them below {np.median(light):.0f} of 255",
            "more light or a longer exposure shows more defects",
            [],
        )
    contrast = np.array([image.contrast for image in rest])
    for rule, values in (("brightness", light), ("contrast", contrast)):
        # a difference where all are alike, a ratio where they vary: half the light is half of everything
        by_ratio = _outliers(rest, np.log(values + 1), np.log(2), FAR_RATIO)
        if odd := [image for image in rest if image in by_ratio or image in _outliers(rest, values, 20.0)]:
            yield _few(odd, rule, f"with a {rule} far from the others'", "was the light off, or the part missing?")


def _few(images: Sequence[Facts], rule: str, what: str, advice: str) -> Finding:
    return Finding(
        rule, "warning", f"{counted(len(images), 'good image')} {what}", advice, [[image.place] for image in images]
    )


def _outliers(images: Sequence[Facts], values: NDArray[np.float64], least: float, far: float = FAR) -> list[Facts]:
    """Images that lie `far` robust standard deviations and at least `least` from the median."""
    if len(values) < 5:
        return []
    away = np.abs(values - np.median(values))
    spread = 1.4826 * float(np.median(away))
    return [image for image, value in zip(images, away, strict=True) if value > max(far * spread, least)]
