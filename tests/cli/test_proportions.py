"""Pictures that are not square: the model takes their shape, and what does not fit is letterboxed, not squashed."""

from __future__ import annotations

import json

import cv2
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import open_bundle
from uadx.images.framing import Framing
from uadx.train.dataset import read_good_images
from uadx.train.proportions import fitting_size
from uadx.train.split import by_seed


@pytest.fixture
def strips(product, tmp_path):
    """Pictures three times as wide as high, cut from the product's; the last one square."""
    folder = tmp_path / "strips"
    folder.mkdir()
    for index, path in enumerate(sorted((product / "train" / "good").iterdir())):
        image = cv2.imread(str(path))
        cv2.imwrite(str(folder / f"{index:02}.png"), image if index == 11 else image[:100])
    return folder


def test_a_model_is_given_the_typical_proportions_of_the_images(strips, product):
    assert fitting_size(strips) == (160, 448)  # 3 to 1, 71,680 pixels
    assert fitting_size(product / "train" / "good") == (256, 256)


def test_what_is_filled_up_is_known(strips, tmp_path):
    dataset = read_good_images(strips, tmp_path / "images.npy", Framing(160, 448), by_seed(0))
    parts = sorted(cut.content for part in (dataset.train, dataset.held_out) for cut in part.cuts)
    assert parts == [(148, 448)] * 11 + [(160, 160)]


def test_a_trained_model_scores_only_what_a_picture_shows(uadx, strips, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    model = tmp_path / "model"
    assert uadx("train", "--data", strips, "--output", model, "--epochs", 1, "--image-size", "64x192").code == 0
    manifest = open_bundle(model).manifest
    assert (manifest.input.height, manifest.input.width, manifest.input.fit) == (64, 192, "letterbox")
    run = uadx("run", "-m", model, "-i", strips, "-o", tmp_path / "out", "--format", "jsonl,mask")
    assert run.code == 0, run.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["image_size"] for line in lines] == [[100, 300]] * 11 + [[300, 300]]
    with create_pipeline(model=model) as pipeline:
        wide, square = (next(iter(pipeline.predict(strips / name))) for name in ("00.png", "11.png"))
        assert (wide.feature_map.shape, square.feature_map.shape) == ((16, 48), (16, 16))
        assert (wide.anomaly_map.shape, square.anomaly_map.shape) == ((100, 300), (300, 300))


def test_a_mark_is_found_where_it_lies_in_a_letterboxed_picture(product, tmp_path):
    """The shipped model with its fit changed: a tall picture with a black spot in its lower part."""
    import msgspec

    from uadx.bundle.writer import write_bundle

    bundle = open_bundle()
    input_ = msgspec.structs.replace(bundle.manifest.input, fit="letterbox")
    manifest = msgspec.structs.replace(bundle.manifest, input=input_, files={})
    golden = {"image": bundle.golden.images, **bundle.golden.maps}
    write_bundle(tmp_path / "model", manifest, bundle.artifact.path.read_bytes(), golden)
    tall = cv2.imread(str(product / "test" / "good" / "000.png"))[:, :120].copy()
    tall[230:260, 50:80] = 0
    with create_pipeline(model=tmp_path / "model") as pipeline:
        (result,) = pipeline.predict(tall)
    y, x = divmod(int(result.anomaly_map.argmax()), 120)
    assert 220 <= y <= 270
    assert 40 <= x <= 90
