"""Figures of a model on labelled images, through the real pipeline."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.errors import UsageError
from uadx.evaluation import evaluate


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
    assert (good.images, good.flagged, good.auroc) == (4, 0, None)
    assert (hole.images, hole.flagged, hole.auroc) == (2, 2, 1.0)
    assert hole.pixel_auroc is not None
    assert hole.pixel_auroc > 0.98
    assert evaluation.total.images == 12


def test_a_model_that_flags_everything_is_seen_through(pipeline, product):
    evaluation = evaluate(pipeline.predict(product / "test", threshold=-1e9), product / "ground_truth")
    assert evaluation.kinds[0].flagged == evaluation.kinds[0].images == 4


def test_without_masks_only_image_figures_are_given(pipeline, product, tmp_path):
    hole = evaluate(pipeline.predict(product / "test"), tmp_path).kinds[5]
    assert hole.auroc == 1.0
    assert hole.pixel_auroc is None
    assert hole.aupro is None


def test_a_mask_of_another_size_is_refused_by_name(pipeline, product, tmp_path):
    (tmp_path / "hole").mkdir()
    cv2.imwrite(str(tmp_path / "hole" / "000_mask.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(UsageError, match=r"000_mask.png does not fit its image: 10 x 10, the image is 300 x 300"):
        evaluate(pipeline.predict(product / "test"), tmp_path)


def test_nothing_readable_is_a_usage_error(pipeline, product, tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.png").write_bytes(b"junk")
    with pytest.raises(UsageError, match="no image could be read"):
        evaluate(pipeline.predict(tmp_path), tmp_path)
