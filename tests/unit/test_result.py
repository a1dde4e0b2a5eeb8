"""A result belongs to whom it is given: it shares nothing, can be kept, copied, sent and saved."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from uadx import create_pipeline
from uadx.errors import UsageError


@pytest.fixture(scope="module")
def pipeline():
    with create_pipeline(device="cpu") as opened:
        yield opened


@pytest.fixture
def hole(product):
    return product / "test" / "hole" / "000.png"


@pytest.mark.parametrize("key", ["model", "device", "ms", "regions", "image_size"])
def test_writing_into_a_field_changes_neither_this_result_nor_another(pipeline, hole, key):
    first, second = pipeline.predict([str(hole), str(hole)])
    before = json.dumps(first.json), json.dumps(second.json)
    for fields in (first, first.json):
        fields[key].clear()
    assert (json.dumps(first.json), json.dumps(second.json)) == before
    (third,) = pipeline.predict(str(hole))
    assert third["device"] == second["device"]
    assert third["model"] == second["model"]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_a_result_can_be_pickled_and_copied(pipeline, hole, again):
    import cv2

    array = cv2.imread(str(hole))
    for result in pipeline.predict([str(hole), array, hole.read_bytes()]):
        other = again(result)
        assert other.json == result.json
        np.testing.assert_array_equal(other.anomaly_map, result.anomaly_map)
        np.testing.assert_array_equal(other.img, result.img)


def test_the_result_of_an_input_that_could_not_be_read_can_be_pickled(pipeline, product):
    (result,) = pipeline.predict([str(product / "missing.png")])
    other = pickle.loads(pickle.dumps(result))
    assert other.json == result.json
    assert (other.error.kind, other.error.message) == (result.error.kind, result.error.message)


def test_an_array_that_is_reused_after_the_call_does_not_change_the_result(pipeline, hole):
    import cv2

    array = cv2.imread(str(hole))
    before = array.copy()
    results = pipeline.predict(array)
    array[:] = 0
    (result,) = results
    np.testing.assert_array_equal(result.image, before)
    assert result["is_anomaly"]


@pytest.mark.parametrize("path", [None, 3, b"x"])
def test_saving_to_what_is_no_path_is_a_usage_error(pipeline, hole, product, path):
    for result in pipeline.predict([str(hole), str(product / "missing.png")]):
        with pytest.raises(UsageError, match="save_path is"):
            result.save_to_img(path)
        with pytest.raises(UsageError, match="save_path is"):
            result.save_to_json(path)


def test_any_name_but_a_picture_s_is_a_folder_and_nothing_is_written_above_it(pipeline, hole, tmp_path, monkeypatch):
    monkeypatch.chdir(hole.parent)
    (result,) = pipeline.predict(["../hole/000.png"])
    assert result.save_to_img(tmp_path / "x.foo") == tmp_path / "x.foo" / "__" / "hole" / "000.png"
    assert result.save_to_img(tmp_path / "y.jpg") == tmp_path / "y.jpg"
    assert result.save_to_json(tmp_path / "z.json") == Path(tmp_path / "z.json")
