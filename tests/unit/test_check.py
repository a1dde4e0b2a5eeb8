"""What is wrong with a data set is found, each thing by its rule, and a clean set is left in peace."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest
from PIL import Image

from uadx.check.rules import findings
from uadx.check.survey import survey
from uadx.errors import UsageError
from uadx.evaluation.layout import find_test_set
from uadx.train.dataset import good_folder


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


def test_near_copies_teach_little_in_train_and_count_twice_in_test(data):
    for place in ("train/good/003.png", "test/hole/000.png"):
        lighter = np.clip(image_of(data, place) * 1.05 + 3, 0, 255).astype(np.uint8)
        cv2.imwrite(str((data / place).with_name("again.png")), lighter)
        shutil.copy(data / "ground_truth/hole/000_mask.png", data / "ground_truth/hole/again_mask.png")
    assert [(f.weight, f.message, f.advice) for f in findings(survey(data))] == [
        (
            "note",
            "1 repeated image to train on (all but the same picture)",
            "pictures of one part taken one after the other teach little, and make the calibration too sure",
        ),
        (
            "note",
            "1 repeated image to test on (all but the same picture)",
            "pictures of one part taken one after the other count twice in every figure",
        ),
    ]


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
    assert result["warning", "empty"] == [["train/good/black.png"]]


@pytest.mark.parametrize("factor", [1 / 6, 1 / 3, 2.5])
def test_another_light_stands_out_where_light_varies(data, factor):
    rng = np.random.default_rng(0)
    for path in sorted(data.glob("*/good/*.png")):
        varied = cv2.imread(str(path)) * (0.4 * rng.uniform(0.8, 1.25))
        cv2.imwrite(str(path), varied.astype(np.uint8))
    odd = data / "train" / "good" / "odd.png"
    cv2.imwrite(str(odd), np.clip(image_of(data, "train/good/000.png")[:, ::-1] * factor, 0, 255).astype(np.uint8))
    assert found(data)["warning", "brightness"] == [["train/good/odd.png"]]


def test_a_huge_and_a_tiny_image_stand_out_among_many_sizes(data):
    good = data / "train" / "good"
    for number, path in enumerate(sorted(good.iterdir())):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (280 + 2 * number, 300)))
    for name, side in (("huge", 3000), ("tiny", 30)):
        cv2.imwrite(
            str(good / f"{name}.png"), cv2.resize(image_of(data, "train/good/000.png")[::-1, ::-1], (side, side))
        )
    assert found(data)["warning", "size"] == [["train/good/huge.png"], ["train/good/tiny.png"]]


def test_a_strip_stands_out_though_proportions_vary(data):
    good = data / "train" / "good"
    for number, path in enumerate(sorted(good.iterdir())):
        picture = cv2.imread(str(path))
        cv2.imwrite(str(path), cv2.resize(picture, (300, 100 + 40 * number)))
    picture = cv2.imread(str(sorted(good.iterdir())[0]))
    cv2.imwrite(str(good / "strip.png"), cv2.resize(picture, (1800, 100)))
    (shape,) = [f for f in findings(survey(data)) if f.rule == "shape"]
    assert [str(group[0]) for group in shape.groups] == ["train/good/strip.png"]


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_strip_stands_out_among_a_few_squares(tmp_path, count):
    rng = np.random.default_rng(0)
    for number in range(count):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(80, 120, (200, 200), np.uint8))
    cv2.imwrite(str(tmp_path / "strip.png"), rng.integers(80, 120, (100, 1800), np.uint8))
    (shape,) = [f for f in findings(survey(tmp_path)) if f.rule == "shape"]
    assert shape.message == "1 good image far wider or taller than the others"
    assert [str(group[0]) for group in shape.groups] == ["strip.png"]


@pytest.mark.parametrize("name", ["print.jpg", "print.tif"])
def test_a_picture_in_a_printer_s_inks_stands_out_among_grey_ones(data, name):
    good = data / "train" / "good"
    for path in good.iterdir():
        Image.open(path).convert("L").save(path)
    Image.open(sorted(good.iterdir())[0]).convert("CMYK").save(good / name)
    (inks,) = [f for f in findings(survey(data)) if f.rule in ("colour", "alpha")]
    assert inks.message == "1 good image in CMYK among those in RGB or grey"
    assert [str(group[0]) for group in inks.groups] == [f"train/good/{name}"]


def test_a_set_of_two_sizes_is_noted_with_both(data):
    for number, path in enumerate(sorted(data.glob("*/good/*.png"))):
        side = 512 if number < 10 else 256
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (side, side)))
    messages = [(f.weight, f.message) for f in findings(survey(data)) if f.rule == "size"]
    assert messages == [("note", "good images of 2 sizes: 18 of 256 x 256, 10 of 512 x 512")]


def test_another_depth_or_transparency_stands_out(data):
    good = data / "train" / "good"
    deep = image_of(data, "train/good/000.png")[::-1, ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(good / "deep.png"), deep)
    clear = cv2.cvtColor(image_of(data, "train/good/001.png")[::-1, ::-1].copy(), cv2.COLOR_BGR2BGRA)
    cv2.imwrite(str(good / "clear.png"), clear)
    messages = [f.message for f in findings(survey(data))]
    assert messages == [
        "1 good image of 16 bits among those of 8 bits",
        "1 good image with transparency among those without transparency",
    ]


@pytest.mark.parametrize("contrast", [1, 0.5])
def test_twelve_bits_in_sixteen_are_found_and_taken_for_dark_but_not_for_empty(data, contrast):
    for path in sorted(data.glob("*/good/*.png")):
        cv2.imwrite(str(path), (cv2.imread(str(path)) * contrast).astype(np.uint16) * 16)
    first, second = (f for f in findings(survey(data)) if f.rule in ("depth", "brightness", "contrast", "empty"))
    assert first.message == "no value above 4095 in 28 good images of 16 bits: they come out 16 times too dark"
    assert first.advice.startswith("a camera of 12 bits wrote them; multiply by 16 before saving")
    assert second.message == f"the good images are very dark: half of them below {5 * contrast:.0f} of 255"


def test_the_highest_value_is_one_of_colour_and_not_of_transparency(tmp_path):
    colours = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.merge([colours, colours, colours, np.full_like(colours, 65535)]))
    (image,) = survey(tmp_path).images
    assert (image.bits, image.highest, image.alpha) == (16, 4095, True)


def test_pictures_of_one_colour_show_nothing(data):
    cv2.imwrite(str(data / "train" / "good" / "dark.png"), np.zeros((300, 300, 3), np.uint8))
    cv2.imwrite(str(data / "test" / "good" / "blue.png"), np.full((300, 300, 3), (200, 20, 20), np.uint8))
    (empty,) = [f for f in findings(survey(data)) if f.rule == "empty"]
    assert (empty.weight, empty.message) == ("warning", "2 good images showing nothing: one colour all over")


@pytest.mark.parametrize(
    ("folders", "what", "advice"),
    [
        (("good", "scratch"), "good/ beside scratch/", "the folder of the good ones: --data {parts}/good"),
        (("OK", "NG", "dent"), "OK/ beside NG/ and dent/", "the folder of the good ones: --data {parts}/OK"),
        (("camera1", "Defects"), "Defects/", "one that holds only good images"),
        (
            ("day1/good", "day1/bad"),
            "day1/good/ beside day1/bad/",
            "the folder of the good ones: --data {parts}/day1/good",
        ),
        (
            ("good", "a", "b", "c", "d", "e", "f"),
            "good/ beside a/, b/, c/, d/ and 2 more",
            "the folder of the good ones: --data {parts}/good",
        ),
    ],
)
def test_folders_of_defects_among_the_good_images_are_an_error_here_and_in_training(
    product, tmp_path, folders, what, advice
):
    parts = tmp_path / "parts"
    for path, folder in zip(sorted((product / "train" / "good").iterdir()), folders, strict=False):
        (parts / folder).mkdir(parents=True)
        shutil.copy(path, parts / folder)
    message, hint = f"{parts} has {what}, whose images would be taken for good", f"name {advice.format(parts=parts)}"
    first = findings(survey(parts))[0]
    assert (first.weight, first.message, first.advice) == ("error", message, hint)
    with pytest.raises(UsageError) as caught:
        good_folder(parts)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_defects_below_train_good_are_found_too(data):
    shutil.copytree(data / "test" / "hole", data / "train" / "good" / "ng")
    messages = [f.message for f in findings(survey(data)) if f.rule == "not good"]
    assert messages == [f"{data / 'train' / 'good'} has ng/, whose images would be taken for good"]
    with pytest.raises(UsageError, match="has ng/, whose images would be taken for good"):
        good_folder(data)


def test_folders_of_cameras_and_folders_without_images_are_left_in_peace(product, tmp_path):
    for path, folder in zip(
        sorted((product / "train" / "good").iterdir()), ("good/camera1", "good/camera2"), strict=False
    ):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(path, tmp_path / folder)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "shift.txt").write_text("late")
    for folder in (tmp_path, tmp_path / "good"):
        assert good_folder(folder) == folder
        assert [f.rule for f in findings(survey(folder))] == ["few"]


def test_masks_in_jpeg_are_read_and_noted(data):
    masks = data / "ground_truth" / "hole"
    mask = cv2.imread(str(masks / "000_mask.png"), cv2.IMREAD_UNCHANGED)
    (masks / "000_mask.png").unlink()
    cv2.imwrite(str(masks / "000_mask.JPG"), mask)
    (note,) = [f for f in findings(survey(data)) if f.rule == "mask"]
    assert (note.weight, note.message) == (
        "note",
        "1 mask in JPEG, which blurs: above half of its highest value is the defect",
    )
    assert [str(group[0]) for group in note.groups] == ["test/hole/000.png"]


def test_masks_that_do_not_match_are_sorted_by_what_is_wrong(data):
    masks = data / "ground_truth"
    cv2.imwrite(str(masks / "hole" / "000_mask.png"), np.full((10, 10), 255, np.uint8))
    cv2.imwrite(str(masks / "hole" / "001_mask.png"), np.zeros((300, 300), np.uint8))
    (masks / "glue" / "000_mask.png").write_bytes(b"")
    cv2.imwrite(str(masks / "glue" / "001_mask.png"), np.full((300, 300), 255, np.uint8))
    (masks / "stain" / "000_mask.png").unlink()
    cv2.imwrite(str(masks / "stain" / "999_mask.png"), np.full((300, 300), 255, np.uint8))
    (masks / "good").mkdir()
    cv2.imwrite(str(masks / "good" / "000_mask.png"), np.full((300, 300), 255, np.uint8))
    lines = [(f.weight, f.message, [str(group[0]) for group in f.groups]) for f in findings(survey(data))]
    assert lines == [
        (
            "error",
            "2 images whose mask has another size, or is no picture",
            ["test/glue/000.png", "test/hole/000.png"],
        ),
        ("error", "1 good image with a mask that marks a defect", ["test/good/000.png"]),
        ("error", "1 defective image with a mask that marks nothing", ["test/hole/001.png"]),
        ("warning", "1 mask that marks nearly the whole image", ["test/glue/001.png"]),
        (
            "warning",
            "1 defective image without a mask, which counts for the image figures only",
            ["test/stain/000.png"],
        ),
        ("warning", "1 mask of no image", ["ground_truth/stain/999_mask.png"]),
    ]


def test_defective_images_without_any_mask_are_noted(data):
    shutil.rmtree(data / "ground_truth")
    (finding,) = findings(survey(data))
    assert (finding.weight, finding.advice) == (
        "note",
        "draw where the defects are: ground_truth/<kind>/NAME_mask.png",
    )
    assert finding.message == "12 defective images and no masks: uadx eval measures scores and no maps"


def test_the_mask_of_an_image_that_cannot_be_read_is_no_finding_of_its_own(data):
    (data / "test" / "hole" / "000.png").write_bytes(b"junk")
    (finding,) = findings(survey(data))
    assert (finding.rule, finding.groups) == ("unreadable", [[PurePath("test/hole/000.png")]])


def test_a_test_set_without_good_images_is_named_as_eval_refuses_it(data):
    shutil.rmtree(data / "test" / "good")
    (finding,) = findings(survey(data))
    assert finding.weight == "warning"
    assert finding.message == f"{data / 'test'} has no sub-folder 'good', and uadx eval measures nothing"
    with pytest.raises(UsageError, match="has no sub-folder 'good'") as refused:
        find_test_set(data)
    assert finding.advice == refused.value.hint


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
