"""The demo product: believable, reproducible, and labelled with what really changed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from uadx.demo.dataset import write_product
from uadx.demo.product import CLEAR, DEFECT_KINDS, render_defect, render_good
from uadx.errors import OutputError

NOISE = 2
"""Rounding after equal noise, and noise that grows with the signal, move a change by this many grey levels more."""


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=2)


def test_a_good_part_is_a_nearly_grey_colour_picture_with_contrast_and_no_clipping():
    image = render_good(rng(0))
    assert image.shape == (300, 300, 3)
    assert image.dtype == np.uint8
    means = image.reshape(-1, 3).mean(axis=0)
    assert np.ptp(means) < 0.08 * means.mean()
    assert image.std() > 30
    assert np.mean(image == 255) < 0.001


def test_the_same_seed_draws_the_same_part_and_another_seed_another_part():
    assert np.array_equal(render_good(rng(1)), render_good(rng(1)))
    assert difference(render_good(rng(1)), render_good(rng(2))).mean() > 3


def test_the_weave_repeats_every_two_wires_as_plain_weave_does():
    grey = render_good(rng(3)).mean(axis=2)
    grey = grey - cv2.GaussianBlur(grey, (0, 0), 25)
    spectrum = np.abs(np.fft.rfft2(grey * np.outer(np.hanning(300), np.hanning(300))))
    spectrum[:3, :3] = 0
    # Wires 17.6 px apart are 17 periods in 300 px; over and under alternate, which puts a second lattice at half that.
    assert spectrum[0, 15:20].max() > 20 * np.median(spectrum)
    assert spectrum[7:11, 7:11].max() > 20 * np.median(spectrum)


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_a_defect_changes_its_mask_and_nothing_else_of_the_part(kind: str):
    for seed in range(8):
        image, mask = render_defect(kind, rng(seed))
        assert mask.shape == image.shape[:2]
        assert set(np.unique(mask)) == {0, 255}
        changed = difference(image, render_good(rng(seed)))
        assert changed[mask == 0].max() <= CLEAR + NOISE
        assert np.mean(changed[mask > 0] > 0) > 0.8
        assert changed[mask > 0].max() > 2 * CLEAR


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_defects_of_one_kind_lie_in_many_places_differ_in_size_and_are_never_a_mere_speck(kind: str):
    masks = [render_defect(kind, rng(seed))[1] > 0 for seed in range(12)]
    centres = np.array([np.argwhere(mask).mean(axis=0) for mask in masks])
    areas = [int(mask.sum()) for mask in masks]
    assert centres.std(axis=0).min() > 25
    assert max(areas) > 1.8 * min(areas)
    assert min(areas) >= 40


def test_an_unknown_kind_of_defect_is_refused():
    with pytest.raises(KeyError, match="scratch"):
        render_defect("scratch", rng(0))


def test_the_product_is_laid_out_as_mvtec_ad_is(tmp_path: Path):
    write_product(tmp_path, train_good=2, test_good=1, test_per_kind=1)
    assert set(files(tmp_path)) == {
        "train/good/000.png",
        "train/good/001.png",
        "test/good/000.png",
        *(f"test/{kind}/000.png" for kind in DEFECT_KINDS),
        *(f"ground_truth/{kind}/000_mask.png" for kind in DEFECT_KINDS),
    }
    mask = cv2.imread(str(tmp_path / "ground_truth" / "hole" / "000_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (300, 300)
    assert set(np.unique(mask)) == {0, 255}


def test_other_counts_leave_every_image_as_it_was(tmp_path: Path):
    write_product(tmp_path / "few", train_good=0, test_good=1, test_per_kind=1, seed=5)
    write_product(tmp_path / "more", train_good=1, test_good=2, test_per_kind=2, seed=5)
    few, more = files(tmp_path / "few"), files(tmp_path / "more")
    assert not any(name.startswith("train") for name in few)
    assert few == {name: more[name] for name in few}


def test_no_two_images_show_the_same_part(tmp_path: Path):
    write_product(tmp_path, train_good=2, test_good=2, test_per_kind=1)
    images = [cv2.imread(str(path)) for path in sorted(tmp_path.glob("t*/*/*.png"))]
    assert len(images) == 4 + len(DEFECT_KINDS)
    for index, one in enumerate(images):
        for other in images[index + 1 :]:
            assert one is not None
            assert other is not None
            assert difference(one, other).mean() > 3


def test_another_seed_makes_another_set_of_parts(tmp_path: Path):
    for seed in (0, 1):
        write_product(tmp_path / str(seed), train_good=1, test_good=0, test_per_kind=0, seed=seed)
    assert files(tmp_path / "0") != files(tmp_path / "1")


def test_progress_is_told_once_for_each_image(tmp_path: Path):
    told: list[int] = []
    write_product(tmp_path, train_good=1, test_good=2, test_per_kind=1, on_image=lambda: told.append(1))
    assert len(told) == 3 + len(DEFECT_KINDS)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path: Path):
    (tmp_path / "train").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"000\.png cannot be written"):
        write_product(tmp_path, train_good=1)
