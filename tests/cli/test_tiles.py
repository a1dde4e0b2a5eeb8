"""Large images in tiles: trays of four demo parts, with the shipped model and with one trained for tiles."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import open_bundle
from uadx.images.framing import Tiling
from uadx.train.recalibrate import recalibrate


@pytest.fixture(scope="module")
def trays(product, tmp_path_factory):
    """Pictures of 600 x 600 pixels: six good ones, and `hole.png` with a hole in its lower right part."""
    root = tmp_path_factory.mktemp("trays")
    good = [cv2.imread(str(path)) for path in sorted((product / "train" / "good").iterdir())]
    hole = cv2.imread(str(product / "test" / "hole" / "000.png"))
    rng = np.random.default_rng(0)
    (root / "good").mkdir()
    for number in range(6):
        a, b, c, d = (good[index] for index in rng.permutation(len(good))[:4])
        cv2.imwrite(str(root / "good" / f"{number}.png"), np.vstack([np.hstack([a, b]), np.hstack([c, d])]))
    a, b, c = good[:3]
    cv2.imwrite(str(root / "hole.png"), np.vstack([np.hstack([a, b]), np.hstack([c, hole])]))
    return root


@pytest.fixture(scope="module")
def tiled_model(trays, tmp_path_factory):
    """The shipped model, calibrated for tiles of 300 pixels on the good trays."""
    model = tmp_path_factory.mktemp("tiled") / "model"
    recalibrate(open_bundle(), trays / "good", model, Tiling(300))
    return model


def results(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_recalibrating_says_what_the_new_threshold_is_for(uadx, trays, tmp_path):
    model = tmp_path / "model.zip"
    done = uadx("recalibrate", "-m", "default", "--data", trays / "good", "--tile", 300, "--overlap", 0, "-o", model)
    assert done.code == 0, done.err
    assert "calibrated on 6 good images: threshold" in done.out
    assert "for tiles of 300 pixels that overlap by 0\n" in done.out
    assert "6 held-out images certify no lower rate: 5 % takes 19 good images, 1 % takes 99" in done.out
    assert open_bundle(model).manifest.input.tiling == Tiling(300, 0.0)


def test_a_model_calibrated_for_tiles_cuts_images_into_them_unasked_and_finds_a_small_defect(
    uadx, trays, tiled_model, tmp_path
):
    done = uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path, "--format", "jsonl,overlay", "--fpr", 0.2)
    assert done.code == 0, done.err
    hole, *good = results(tmp_path)
    assert hole["input_path"].endswith("hole.png")
    assert hole["is_anomaly"]
    assert max(line["score"] for line in good) < hole["score"]
    x, y = hole["regions"][0]["peak"]
    assert x > 300
    assert y > 300
    overlays = sorted(path for path in tmp_path.rglob("*.jpg"))
    assert {cv2.imread(str(path)).shape for path in overlays} == {(600, 600, 3)}


def test_scores_are_the_same_whatever_the_batch_size(trays, tiled_model):
    found = []
    for batch_size in (1, 5, 64):
        with create_pipeline(model=tiled_model, batch_size=batch_size) as pipeline:
            found.append([result["score"] for result in pipeline.predict(trays)])
    np.testing.assert_allclose(found[1:], [found[0], found[0]], atol=1e-4)


def test_tiles_that_the_threshold_is_not_made_for_are_refused(uadx, trays, tmp_path):
    done = uadx("run", "-i", trays, "-o", tmp_path / "out", "--tile", 300)
    assert done.code == 2
    assert done.err.strip() == (
        "error: the model is not calibrated for tiles of 300 pixels that overlap by 0.25\n"
        "  fix: calibrate it: uadx recalibrate --model MODEL --data GOOD --tile 300 --overlap 0.25 --output NEW; "
        "or give a threshold of your own: --threshold, threshold=..."
    )
    assert not (tmp_path / "out").exists()


def test_a_threshold_of_one_s_own_takes_any_tiles_and_claims_no_probability(uadx, trays, tmp_path):
    done = uadx("run", "-i", trays / "hole.png", "-o", tmp_path, "--tile", 300, "--threshold", 1.5)
    assert done.code == 0, done.err
    (line,) = results(tmp_path)
    assert line["is_anomaly"]
    assert (line["p_value"], line["unfamiliar"]) == (None, None)


def test_an_overlap_without_tiles_is_a_mistake(uadx, trays):
    done = uadx("run", "-i", trays, "--overlap", 0.5)
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: there are no tiles to overlap",
        "  fix: say how large they are: --tile PIXELS",
    ]


def test_an_overlap_alone_is_of_the_model_s_own_tiles(uadx, trays, tiled_model, tmp_path):
    done = uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path, "--overlap", 0.5)
    assert "not calibrated for tiles of 300 pixels that overlap by 0.5" in done.err
    assert "uadx recalibrate --model MODEL --data GOOD --tile 300 --overlap 0.5 --output NEW" in done.err


def test_pictures_with_more_tiles_than_the_calibration_s_are_told_of(uadx, trays, tiled_model, tmp_path):
    wide = cv2.imread(str(trays / "good" / "0.png"))
    cv2.imwrite(str(tmp_path / "wide.png"), np.hstack([wide, wide]))
    done = uadx("run", "-m", tiled_model, "-i", tmp_path / "wide.png", "-o", tmp_path / "out")
    assert results(tmp_path / "out")[0]["windows"] == 15
    assert (
        "warning: 1 image cut into more tiles than the 9 at most of those that calibrated the threshold: more of such "
        "that are good will be NG" in done.err
    )
    assert "cut into more tiles" not in uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path / "b").err


def test_an_image_of_too_many_tiles_is_an_error_of_its_own(uadx, trays, tmp_path):
    asked = ("--tile", 32, "--overlap", 0.75, "--threshold", 1)
    cv2.imwrite(str(tmp_path / "long.png"), np.zeros((1000, 1000, 3), np.uint8))
    done = uadx("run", "-i", tmp_path / "long.png", "-o", tmp_path / "out", *asked)
    assert done.code == 8
    assert "it would be cut into 14,884 tiles, more than 10,000" in done.err


def test_bench_counts_images_and_not_their_tiles(uadx, trays, tiled_model):
    asked = ("--input", trays / "hole.png", "--seconds", 0.2, "--rounds", 1, "--device", "openvino:CPU", "--json")
    (found,) = json.loads(uadx("bench", "-m", tiled_model, *asked).out)
    engine = found["engine"][0]
    assert found["windows"] == 9
    assert found["engine_images_per_second"] == pytest.approx(engine["images"] / engine["seconds"] / 9)
    assert found["share_of_engine"] == pytest.approx(found["images_per_second"] / found["engine_images_per_second"])


def test_a_run_is_not_resumed_with_other_tiles(uadx, trays, tiled_model, tmp_path):
    assert uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path).code == 0
    again = uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path, "--resume")
    assert again.code == 0
    other = uadx("run", "-m", tiled_model, "-i", trays, "-o", tmp_path, "--resume", "--tile", 200, "--threshold", 1)
    assert other.code == 2
    assert "another" in other.err
    assert "tiles" in other.err


def test_info_says_how_a_model_sees_and_what_it_was_made_from(uadx, tiled_model):
    text = uadx("info", tiled_model).out
    assert "tiles of 300 pixels that overlap by 0.25" in text
    assert open_bundle().sha256 in text
    assert "whole images" in uadx("info").out


def test_of_the_training_folder_only_the_held_out_images_recalibrate(uadx, product, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    model = tmp_path / "model"
    size = ("--epochs", 1, "--image-size", 64)
    assert uadx("train", "--data", product, "-o", model, *size).code == 0
    done = uadx("recalibrate", "-m", model, "--data", product, "-o", tmp_path / "again")
    assert done.code == 0, done.err
    assert "10 images" in done.err
    assert "taught the model, or may have, and were left out" in done.err
    before, after = (open_bundle(path).manifest for path in (model, tmp_path / "again"))
    assert before.calibration == after.calibration
    assert before.scoring == after.scoring
    assert after.parent == open_bundle(model).sha256


def test_new_images_beside_the_old_ones_recalibrate_too(uadx, product, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    old, both = tmp_path / "old", tmp_path / "both"
    shutil.copytree(product / "train" / "good", old)
    shutil.copytree(old, both / "old")
    shutil.copytree(product / "test" / "good", both / "new")
    assert uadx("train", "--data", old, "-o", tmp_path / "model", "--epochs", 1, "--image-size", 64).code == 0
    done = uadx("recalibrate", "-m", tmp_path / "model", "--data", both, "-o", tmp_path / "again")
    assert "calibrated on 6 good images" in done.out  # 2 that were held out, and 4 new ones


def test_tiles_larger_than_all_images_are_warned_of(uadx, product, tmp_path):
    asked = ("-m", "default", "--data", product / "train" / "good", "--tile", 4000, "-o", tmp_path / "model")
    done = uadx("recalibrate", *asked)
    assert "tiles of 4000 pixels are larger than all images" in done.err


def test_a_model_is_not_recalibrated_onto_itself(uadx, product, tiled_model):
    done = uadx("recalibrate", "-m", tiled_model, "--data", product, "-o", tiled_model)
    assert done.code == 2
    assert "--output is the model itself" in done.err


def test_training_for_tiles_learns_from_tiles_and_calibrates_whole_images(uadx, trays, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    model = tmp_path / "model"
    options = ("--tile", 200, "--overlap", 0.5, "--image-size", 64, "--epochs", 1)
    done = uadx("train", "--data", trays / "good", "-o", model, *options)
    assert done.code == 0, done.err
    assert "trained on 5 good images, calibrated on 1 held out: threshold" in done.out
    manifest = open_bundle(model).manifest
    assert (manifest.input.height, manifest.input.tiling.size, manifest.input.tiling.overlap) == (64, 200, 0.5)
    assert len(manifest.calibration["quantile"]) == 1
    with create_pipeline(model=model) as pipeline:
        (result,) = pipeline.predict(trays / "hole.png")
    assert result["image_size"] == [600, 600]
    assert result.feature_map.shape == (48, 48)  # 600 pixels at 64 / 200, by the grid of level1


def test_int8_is_calibrated_for_tiles_too(uadx, trays, tmp_path):
    for module in ("torch", "nncf"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install 'uadx[torch,int8]'")
    model = tmp_path / "model"
    options = ("--tile", 200, "--epochs", 1, "--image-size", 64)
    assert uadx("train", "--data", trays / "good", "-o", model, *options).code == 0
    done = uadx("export", "-m", model, "--precision", "int8", "--data", trays / "good")
    assert done.code == 0, done.err
    (variant,) = open_bundle(model).manifest.variants
    assert len(variant.own.calibration["quantile"]) == 1
    done = uadx("recalibrate", "-m", model, "--data", trays / "good", "-o", tmp_path / "again")
    assert "has no int8 form; make it: uadx export --precision int8" in done.err
