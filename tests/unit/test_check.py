"""What is wrong with a data set is found, each thing by its rule, and a clean set is left in peace."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest

from uadx.check.rules import findings
from uadx.check.survey import survey
from uadx.errors import UsageError


@pytest.fixture
def data(product, tmp_path):
    """The product's pictures, to spoil."""
    shutil.copytree(product, tmp_path / "data")
    for path in sorted((product / "train" / "good").iterdir()):  # 24 are enough to train on
        image = cv2.flip(cv2.imread(str(path)), 0)
        cv2.imwrite(str(tmp_path / "data" / "train" / "good" / f"flipped_{path.name}"), image)
    return tmp_path / "data"


def found(data: Path) -> dict[tuple[str, str], list[list[str]]]:
    return {(f.weight, f.rule): [list(map(str, group)) for group in f.groups] for f in findings(survey(data))}


def image_of(data: Path, place: str) -> np.ndarray:
    return cv2.imread(str(data / place))


def test_a_clean_set_has_no_findings(data):
    assert found(data) == {}
    looked = survey(data)
    assert (len(looked.of("train")), len(looked.of("test", "good")), len(looked.of("test"))) == (24, 4, 16)


def test_files_that_cannot_be_read_are_named_with_the_reason(data):
    (data / "test" / "good" / "x.png").write_bytes(b"no picture")
    (data / "train" / "good" / "cut.png").write_bytes((data / "train" / "good" / "000.png").read_bytes()[:500])
    (finding,) = findings(survey(data))
    assert (finding.weight, finding.rule) == ("error", "unreadable")
    assert finding.message.startswith("2 unreadable files: train/good/cut.png: ")
    assert "test/good/x.png: its content is not that of a known image format" in finding.message


def test_a_copy_is_told_by_where_it_lies(data):
    good = data / "train" / "good"
    shutil.copy(good / "000.png", good / "again.png")
    shutil.copy(good / "001.png", data / "test" / "good" / "leak.png")
    shutil.copy(data / "test" / "hole" / "000.png", data / "test" / "stain" / "both.png")
    shutil.copy(data / "ground_truth" / "hole" / "000_mask.png", data / "ground_truth" / "stain" / "both_mask.png")
    assert found(data) == {
        ("error", "copy in train and test"): [["train/good/001.png", "test/good/leak.png"]],
        ("error", "copy of two kinds"): [["test/hole/000.png", "test/stain/both.png"]],
        ("warning", "copy"): [["train/good/000.png", "train/good/again.png"]],
    }


def test_the_same_picture_in_another_file_is_a_near_copy(data):
    again = cv2.resize(image_of(data, "train/good/003.png"), (500, 500))
    cv2.imwrite(str(data / "test" / "good" / "again.jpg"), np.clip(again * 1.05 + 3, 0, 255).astype(np.uint8))
    leaks = found(data)["error", "near copy in train and test"]
    assert leaks == [["train/good/003.png", "test/good/again.jpg"]]


def test_empty_and_foreign_folders_are_named(data):
    (data / "test" / "dent").mkdir()
    shutil.copytree(data / "test" / "hole", data / "train" / "hole")
    result = found(data)
    assert result["error", "empty"] == []
    assert result["error", "not good"] == [["train/hole/000.png", "train/hole/001.png"]]
    messages = [f.message for f in findings(survey(data))]
    assert "folders without an image: test/dent" in messages
    assert "2 images in train/ but outside train/good, where no training looks" in messages


def test_images_of_another_size_colour_or_brightness_stand_out(data):
    good = data / "train" / "good"
    cv2.imwrite(str(good / "wide.png"), cv2.resize(image_of(data, "train/good/000.png"), (600, 300))[:, ::-1])
    tinted = image_of(data, "train/good/001.png")[::-1, ::-1].copy()
    tinted[..., 0] //= 2
    cv2.imwrite(str(good / "tinted.png"), tinted)
    cv2.imwrite(str(good / "black.png"), np.random.default_rng(0).integers(0, 6, (300, 300, 3)).astype(np.uint8))
    result = found(data)
    assert result["warning", "size"] == [["train/good/wide.png"]]
    assert result["warning", "shape"] == [["train/good/wide.png"]]
    assert result["warning", "colour"] == [["train/good/tinted.png"]]
    assert result["warning", "brightness"] == [["train/good/black.png"]]


def test_masks_that_do_not_match_are_sorted_by_what_is_wrong(data):
    masks = data / "ground_truth"
    cv2.imwrite(str(masks / "hole" / "000_mask.png"), np.full((10, 10), 255, np.uint8))
    cv2.imwrite(str(masks / "hole" / "001_mask.png"), np.zeros((300, 300), np.uint8))
    (masks / "stain" / "000_mask.png").unlink()
    cv2.imwrite(str(masks / "stain" / "999_mask.png"), np.full((300, 300), 255, np.uint8))
    (masks / "good").mkdir()
    cv2.imwrite(str(masks / "good" / "000_mask.png"), np.full((300, 300), 255, np.uint8))
    lines = [(f.weight, f.message, [str(group[0]) for group in f.groups]) for f in findings(survey(data))]
    assert lines == [
        ("error", "1 image whose mask has another size, or is no picture", ["test/hole/000.png"]),
        ("error", "1 good image with a mask that marks a defect", ["test/good/000.png"]),
        ("error", "1 defective image with a mask that marks nothing", ["test/hole/001.png"]),
        (
            "warning",
            "1 defective image without a mask, which counts for the image figures only",
            ["test/stain/000.png"],
        ),
        ("warning", "1 mask of no image", ["ground_truth/stain/999_mask.png"]),
    ]


def test_a_plain_folder_of_good_images_is_looked_at_too(product):
    looked = survey(product / "train" / "good")
    assert [str(image.place) for image in looked.images][:2] == ["000.png", "001.png"]
    assert [f.rule for f in findings(looked)] == ["few"]


def test_nothing_to_look_at_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="holds no image"):
        survey(tmp_path)
    with pytest.raises(UsageError, match="is not a directory"):
        survey(tmp_path / "none")


def test_a_defect_among_the_good_images_comes_first(data):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    from uadx.check.likely import FAR, unusual

    for kind in ("hole", "glue"):
        shutil.copy(data / "test" / kind / "000.png", data / "train" / "good" / f"hidden_{kind}.png")
    told: list[tuple[int, int]] = []
    ranked = unusual(survey(data).of("train"), lambda done, total: told.append((done, total)))
    assert {image.place for image, _ in ranked[:2]} == {
        PurePath("train/good/hidden_hole.png"),
        PurePath("train/good/hidden_glue.png"),
    }
    assert all(away > FAR for _, away in ranked[:2])
    assert ranked[2][1] < ranked[1][1] / 2
    assert told[-1] == (52, 52)
