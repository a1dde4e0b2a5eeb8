"""Several pictures of each part are noticed, whatever their light; one of each is not called so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from uadx.check.rules import findings
from uadx.check.sisters import have_sisters, thumbnails
from uadx.check.survey import survey
from uadx.demo.dataset import write_product
from uadx.errors import UadxWarning
from uadx.train.enough import warn_of_sisters


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """60 parts, each on one picture."""
    root = tmp_path_factory.mktemp("mesh")
    write_product(root, train_good=120, test_good=1, test_per_kind=1)
    return np.stack([cv2.imread(str(path)) for path in sorted((root / "train" / "good").iterdir())])


def again(images: np.ndarray, light: float) -> np.ndarray:
    """The same parts in another light, moved by a pixel."""
    return np.clip(np.roll(images, 1, axis=2) * light, 0, 255).astype(np.uint8)


def test_one_picture_of_each_part_is_no_sister_of_another(parts: np.ndarray):
    small = thumbnails(parts)
    assert not have_sisters(small, small, same=True)
    assert not have_sisters(small[:20], small[20:], same=False)


def test_sisters_are_noticed_in_another_light(parts: np.ndarray):
    small = thumbnails(np.concatenate([parts[:60], again(parts[:60], 0.7)]))
    assert have_sisters(small, small, same=True)
    assert have_sisters(thumbnails(again(parts, 1.2)), thumbnails(parts), same=False)


def test_few_images_are_not_judged(parts: np.ndarray):
    small = thumbnails(np.concatenate([parts[:20], again(parts[:20], 0.7)]))
    assert not have_sisters(small, small, same=True)


def test_a_training_warns_and_names_the_option(parts: np.ndarray):
    with pytest.warns(UadxWarning, match="say which show one part, with --same-part"):
        warn_of_sisters(np.concatenate([parts[:60], again(parts[:60], 0.7)]))
    warn_of_sisters(parts)  # a warning would be an error here


def test_a_check_tells_of_them_on_both_sides_of_the_split(parts: np.ndarray, tmp_path: Path):
    def write(folder: str, images: np.ndarray) -> None:
        (tmp_path / folder).mkdir(parents=True)
        for number, image in enumerate(images):
            cv2.imwrite(str(tmp_path / folder / f"{number:03d}.png"), image)

    write("train/good", np.concatenate([parts[:60], again(parts[:60], 0.7)]))
    write("test/good", again(parts[:10], 1.2))
    found = {finding.rule: finding for finding in findings(survey(tmp_path))}
    assert found["same parts in train and test"].weight == "warning"
    assert "the 10 good images to test on" in found["same parts in train and test"].message
    assert "uadx train --same-part" in found["several pictures of a part"].advice


def test_magnetic_tile_has_them(shared_data: Path):
    rules = {finding.rule for finding in findings(survey(shared_data / "magnetic_tile"))}
    assert {"same parts in train and test", "several pictures of a part"} <= rules
