"""Figures of a model on labelled images, through the real pipeline."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.errors import InputError, UsageError
from uadx.evaluation.evaluate import evaluate
from uadx.evaluation.layout import find_test_set
from uadx.evaluation.masks import decode_mask, find_mask, read_mask
from uadx.evaluation.worst import SHOWN, Worst


@pytest.fixture(scope="module")
def pipeline():
    with create_pipeline() as pipeline:
        yield pipeline


def test_a_set_in_mvtec_layout_is_measured_by_kind(pipeline, product):
    evaluation = evaluate(pipeline.predict(product / "test"), product / "ground_truth")
    assert [figures.kind for figures in evaluation.kinds] == [
        "good", "bent_wire", "broken_thread", "contamination", "glue", "hole", "stain",
    ]  # fmt: skip
    good, hole = evaluation.kinds[0], evaluation.kinds[5]
    assert (good.images, good.flagged, good.rate.value, good.auroc) == (4, 0, 0.0, None)
    assert (hole.images, hole.flagged, hole.auroc.value, hole.auroc.high) == (2, 2, 1.0, 1.0)
    assert hole.pixel_auroc is not None
    assert hole.pixel_auroc.value > 0.98
    assert evaluation.total.images == 12
    assert evaluation.notes == []


def test_a_model_that_flags_everything_is_seen_through(pipeline, product):
    evaluation = evaluate(pipeline.predict(product / "test", threshold=-1e9), product / "ground_truth")
    assert evaluation.kinds[0].flagged == evaluation.kinds[0].images == 4
    assert evaluation.kinds[0].rate.value == 1.0


def test_a_blind_model_scores_one_half_on_masks_of_255(pipeline, product):
    def blinded():
        for result in pipeline.predict(product / "test"):
            result._fields["score"] = 1.0
            result.feature_map = np.zeros((64, 64), np.float32)
            yield result

    mask = cv2.imread(str(product / "ground_truth" / "hole" / "000_mask.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    total = evaluate(blinded(), product / "ground_truth").total
    assert total.auroc.value == 0.5
    assert total.pixel_auroc.value == 0.5
    assert total.aupro.value == pytest.approx(0.15)
    assert total.aupro_05.value == pytest.approx(0.025)


def test_without_masks_only_image_figures_are_given(pipeline, product, tmp_path):
    evaluation = evaluate(pipeline.predict(product / "test"), tmp_path)
    hole = evaluation.kinds[5]
    assert hole.auroc.value == 1.0
    assert hole.pixel_auroc is None
    assert hole.aupro is None
    assert evaluation.notes == ["Defective images without a mask, which count for the image figures only: 12."]


def test_masks_that_mark_nothing_are_noted(pipeline, product, tmp_path):
    shutil.copytree(product / "ground_truth", tmp_path, dirs_exist_ok=True)
    cv2.imwrite(str(tmp_path / "hole" / "000_mask.png"), np.zeros((300, 300), np.uint8))
    assert evaluate(pipeline.predict(product / "test"), tmp_path).notes == [
        "Defective images whose mask marks nothing: all their pixels count as good: 1."
    ]


def test_a_mask_that_does_not_fit_is_named_and_costs_no_other(pipeline, product, tmp_path):
    shutil.copytree(product / "ground_truth", tmp_path, dirs_exist_ok=True)
    whole = evaluate(pipeline.predict(product / "test"), tmp_path)
    cv2.imwrite(str(tmp_path / "hole" / "000_mask.png"), np.zeros((10, 10), np.uint8))
    (tmp_path / "glue" / "001_mask.png").write_bytes(b"")
    evaluation = evaluate(pipeline.predict(product / "test"), tmp_path)
    empty, small = tmp_path / "glue" / "001_mask.png", tmp_path / "hole" / "000_mask.png"
    assert evaluation.unfit == [
        f"the mask {empty} does not fit its image: no picture that can be read, the image is 300 x 300",
        f"the mask {small} does not fit its image: 10 x 10, the image is 300 x 300",
    ]
    assert evaluation.notes == ["Defective images whose mask does not fit, which count likewise: 2."]
    assert evaluation.total.auroc == whole.total.auroc
    assert evaluation.total.aupro is not None


@pytest.mark.parametrize(
    "name", ["_mask.jpg", "_mask.jpeg", "_mask.bmp", "_mask.tif", "_mask.PNG", ".png", ".jpg", ".JPG"]
)
def test_masks_come_with_other_suffixes_and_names(product, tmp_path, name):
    (tmp_path / "hole").mkdir()
    mask = cv2.imread(str(product / "ground_truth" / "hole" / "000_mask.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / "hole" / f"000{name}"), mask)
    path = find_mask(PurePath("hole/000.png"), tmp_path)
    assert path is not None
    np.testing.assert_array_equal(read_mask(path, *mask.shape), mask > 0)


def test_masks_in_jpeg_are_measured_as_those_in_png_and_noted(pipeline, product, tmp_path):
    for path in (product / "ground_truth").glob("*/*.png"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        blurred = tmp_path / path.parent.name / f"{path.stem}.jpg"
        cv2.imwrite(str(blurred), cv2.imread(str(path), cv2.IMREAD_UNCHANGED), [cv2.IMWRITE_JPEG_QUALITY, 50])
    sharp = evaluate(pipeline.predict(product / "test"), product / "ground_truth")
    evaluation = evaluate(pipeline.predict(product / "test"), tmp_path)
    count = len(list(tmp_path.glob("*/*.jpg")))
    assert evaluation.notes == [
        f"Masks that are JPEGs, which blur: what is above half of their highest value counts: {count}."
    ]
    assert evaluation.total.pixel_auroc.value == pytest.approx(sharp.total.pixel_auroc.value, abs=0.01)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that root cannot read")
def test_a_mask_that_the_system_does_not_read_is_no_picture(tmp_path):
    (tmp_path / "mask.png").symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match="no picture that can be read, the image is 32 x 32"):
        read_mask(tmp_path / "mask.png", 32, 32)


def test_a_jpeg_s_blur_is_no_defect(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    cv2.imwrite(str(tmp_path / "mask.jpg"), mask, [cv2.IMWRITE_JPEG_QUALITY, 30])
    assert np.count_nonzero(cv2.imread(str(tmp_path / "mask.jpg"), cv2.IMREAD_GRAYSCALE)) > 450
    found = decode_mask(tmp_path / "mask.jpg")
    assert found is not None
    assert abs(int(found.sum()) - 400) < 20


def test_a_mask_of_a_monstrous_size_is_no_picture(tmp_path):
    monstrous = bytearray(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    monstrous[16:24] = struct.pack(">II", 1 << 20, 1 << 20)
    monstrous[29:33] = struct.pack(">I", zlib.crc32(monstrous[12:29]))
    (tmp_path / "mask.png").write_bytes(monstrous)
    assert decode_mask(tmp_path / "mask.png") is None


def test_a_mask_of_16_bits_marks_from_1_on(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.array([[0, 1, 65535]], np.uint16))
    mask = decode_mask(tmp_path / "mask.png")
    assert mask is not None
    assert mask.tolist() == [[False, True, True]]


def test_nothing_readable_is_a_usage_error(pipeline, product, tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.png").write_bytes(b"junk")
    with pytest.raises(UsageError, match="no image could be read"):
        evaluate(pipeline.predict(tmp_path), tmp_path)


def test_images_that_belong_to_no_kind_are_counted_and_left_out(pipeline, product, tmp_path):
    shutil.copytree(product / "test", tmp_path / "test")
    shutil.copy(product / "test" / "hole" / "000.png", tmp_path / "test" / "stray.png")
    (tmp_path / "test" / "good" / "broken.png").write_bytes(b"junk")
    evaluation = evaluate(pipeline.predict(tmp_path / "test"), product / "ground_truth")
    assert (evaluation.kinds[0].images, evaluation.total.images) == (4, 12)
    assert evaluation.notes == [
        "Inputs that could not be read and count for nothing: 1.",
        "Images that lie in no kind's folder and count for nothing: 1.",
    ]


def test_the_worst_mistakes_are_kept_and_the_others_forgotten(pipeline, product):
    worst = Worst(product / "ground_truth")
    results = []
    for _ in range(4):
        for result in pipeline.predict(product / "test"):
            worst.add(result)
            results.append(result)
    good = sorted((r["score"] for r in results if r.source.output.parts[0] == "good"), reverse=True)
    defective = sorted(r["score"] for r in results if r.source.output.parts[0] != "good")
    assert [shown.score for shown in worst.false_alarms] == good[:SHOWN]
    assert [shown.score for shown in worst.misses] == defective[:SHOWN]
    assert all(shown.picture.startswith("data:image/jpeg;base64,") for shown in worst.misses)


@pytest.mark.parametrize("inner", ["", "test"])
def test_a_test_set_is_found_in_its_product_or_named_itself(product, inner):
    found = find_test_set(product / inner)
    assert found.images == product / "test"
    assert found.masks == product / "ground_truth"
