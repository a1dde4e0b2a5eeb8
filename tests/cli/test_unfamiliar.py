"""The newcomer's mistake, another product or light, is named; a folder full of defects is not taken for it."""

from __future__ import annotations

import json

import cv2
import msgspec
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import open_bundle
from uadx.bundle.writer import write_bundle
from uadx.scoring.familiarity import base_levels


@pytest.fixture(scope="module")
def model(product, tmp_path_factory):
    """The shipped bundle, with base levels and peaks of the good pictures at hand."""
    path = tmp_path_factory.mktemp("model") / "mesh"
    bundle = open_bundle()
    with create_pipeline() as pipeline:
        maps = np.stack([result.feature_map for result in pipeline.predict(product / "train" / "good")])
    bases = base_levels(maps).tolist()
    peaks = tuple(sorted(maps.max(axis=(1, 2)).tolist()))
    manifest = msgspec.structs.replace(
        bundle.manifest,
        base_levels={"quantile": (min(bases), max(bases))},
        pixel_calibration={"quantile": peaks},
        default_fpr=0.1,
        files={},
    )
    golden = {"image": bundle.golden.images, **bundle.golden.maps}
    write_bundle(path, manifest, bundle.artifact.path.read_bytes(), golden)
    return path


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_another_light_is_warned_of(uadx, model, product, tmp_path):
    dark = tmp_path / "dark"
    dark.mkdir()
    for folder in ("test", "train"):
        for path in sorted((product / folder / "good").iterdir()):
            cv2.imwrite(str(dark / f"{folder}{path.name}"), (cv2.imread(str(path)) * 0.5).astype(np.uint8))
    run = uadx("run", "-m", model, "-i", dark, "-o", tmp_path / "out")
    assert run.code == 0
    assert run.err.splitlines()[-1] == (
        "warning: 16 of 16 images look unlike what the model was calibrated on, all over and not in one place: "
        "another product, light, lens or distance? Their scores and verdicts mean little"
    )
    assert all(line["unfamiliar"] is True for line in lines(tmp_path / "out"))


@pytest.mark.parametrize("kinds", ["good", "hole", ""])
def test_good_parts_and_defects_are_familiar(uadx, model, product, tmp_path, kinds):
    run = uadx("run", "-m", model, "-i", product / "test" / kinds, "-o", tmp_path / "out")
    assert "unlike" not in run.err
    found = [line["unfamiliar"] for line in lines(tmp_path / "out")]
    assert sum(found) <= 0.1 * len(found)


def test_a_model_without_base_levels_says_that_it_does_not_know(model, good_image, tmp_path):
    bundle = open_bundle(model)
    manifest = msgspec.structs.replace(bundle.manifest, base_levels={}, pixel_calibration={}, files={})
    golden = {"image": bundle.golden.images, **bundle.golden.maps}
    write_bundle(tmp_path / "old", manifest, bundle.artifact.path.read_bytes(), golden)
    with create_pipeline(model=tmp_path / "old") as pipeline:
        (result,) = pipeline.predict(good_image)
    assert result["unfamiliar"] is None
    assert result["pixel_threshold"] == result["threshold"]


def test_regions_and_mask_lie_above_the_pixel_threshold(model, product):
    with create_pipeline(model=model) as pipeline:
        thresholds = pipeline.inspector.thresholds
        assert thresholds.pixel > thresholds.image
        for result in pipeline.predict(product / "test" / "hole"):
            assert result["pixel_threshold"] == thresholds.pixel
            assert result.region_threshold == thresholds.pixel
            marked = result.anomaly_map > thresholds.pixel
            assert sum(region.area for region in result.regions) == marked.sum()


def test_a_defect_that_stays_below_the_pixel_threshold_is_outlined_at_the_images_own(model, product):
    with create_pipeline(model=model) as pipeline:
        (result,) = pipeline.predict(product / "test" / "hole" / "000.png", threshold=1.0)
        assert (result["threshold"], result["pixel_threshold"]) == (1.0, 1.0)  # given by hand: both
        result._fields["pixel_threshold"] = 1e9
        assert result.region_threshold == 1.0


@pytest.mark.parametrize(("images", "warned"), [(19, False), (20, True)])
def test_a_run_in_which_most_images_are_ng_says_so(uadx, good_image, tmp_path, images, warned):
    (tmp_path / "list.txt").write_text(f"{good_image}\n" * images)
    args = ("--model", "default", "--threshold", -100, "--format", "jsonl", "--output", tmp_path / "out")
    run = uadx("run", "--input", tmp_path / "list.txt", *args)
    assert run.err == (
        f"warning: {images} of {images} images are NG: where most of these parts are good, the model does not know "
        "them: another product, batch, light or place?\n"
        if warned
        else ""
    )
