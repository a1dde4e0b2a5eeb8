"""The Python API: what predict takes, when it refuses, what a result can do."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.errors import BundleError, ConfigError, InferenceError, UadxError, UsageError


@pytest.fixture(scope="module")
def pipeline():
    with create_pipeline(device="cpu") as pipeline:
        yield pipeline


def only(results):
    (result,) = results
    return result


def test_a_path_bytes_and_an_array_give_the_same_score(pipeline, good_image):
    inputs = [
        good_image,
        str(good_image),
        good_image.read_bytes(),
        cv2.imread(str(good_image)),
        {"img": cv2.imread(str(good_image))},
        {"input": str(good_image)},
    ]
    scores = {result["score"] for result in pipeline.predict(inputs)}
    assert len(scores) == 1
    assert all(only(pipeline.predict(one))["score"] in scores for one in inputs)


def test_grey_and_bgra_and_16_bit_arrays_are_the_same_picture(pipeline, good_image):
    grey = cv2.cvtColor(cv2.imread(str(good_image)), cv2.COLOR_BGR2GRAY)
    colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    alpha = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA)
    deep = grey.astype(np.uint16) * 257
    scores = [result["score"] for result in pipeline.predict([grey, colour, alpha, deep, grey[..., None]])]
    assert len(set(scores)) == 1


def test_results_come_one_by_one_while_the_input_still_grows(pipeline, good_image):
    results = pipeline.predict(iter_of_paths(good_image, 50))
    assert next(results)["error"] is None
    results.close()


def test_leaving_early_is_silent(pipeline, good_image, capfd, caplog):
    for _ in range(5):
        results = pipeline.predict([good_image] * 20)
        next(results)
        results.close()
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_results_wanted_after_the_pipeline_was_closed_are_a_usage_error(good_image):
    pipeline = create_pipeline()
    results = pipeline.predict([good_image] * 50)
    next(results)
    pipeline.close()
    with pytest.raises(UadxError, match="closed"):
        list(results)


def test_level_maps_that_are_not_numbers_are_an_error_and_never_ok(good_image, monkeypatch):
    with create_pipeline() as pipeline:
        compiled = pipeline.inspector.opened.compiled
        infer = compiled.infer
        monkeypatch.setattr(compiled, "infer", lambda batch: {k: v * np.nan for k, v in infer(batch).items()})
        with pytest.raises(InferenceError, match="gave level maps that are not numbers"):
            list(pipeline.predict(good_image))


def test_a_bundle_with_another_model_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    from uadx.bundle.reader import open_bundle
    from uadx.bundle.writer import write_bundle

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    shipped = open_bundle()
    golden = {"image": shipped.golden.images, **shipped.golden.maps}
    write_bundle(tmp_path / "other", shipped.manifest, model.SerializeToString(), golden)
    with pytest.raises(BundleError, match=r"stfpm.onnx does not fit its manifest"):
        create_pipeline(model=tmp_path / "other")


def iter_of_paths(path, count):
    return [path] * count


def test_arguments_are_checked_when_predict_is_called(pipeline, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        pipeline.predict(tmp_path / "nowhere.png")
    with pytest.raises(UsageError, match="cannot inspect a"):
        pipeline.predict(4.2)
    with pytest.raises(ConfigError, match="batch_size"):
        pipeline.predict([np.zeros((8, 8), np.uint8)], batch_size=0)
    with pytest.raises(UsageError, match="no image"):
        pipeline.predict(tmp_path)


def test_a_bad_item_is_a_result_and_the_others_go_on(pipeline, good_image, tmp_path):
    (tmp_path / "empty.png").touch()
    odd = np.zeros((2, 2, 7), np.uint8)
    items = [good_image, tmp_path / "empty.png", tmp_path / "gone.png", b"junk", odd, good_image]
    results = list(pipeline.predict(items, batch_size=4))
    assert [r["error"] and r["error"]["type"] for r in results] == [
        None, "empty", "not_found", "not_an_image", "unsupported", None,
    ]  # fmt: skip
    assert results[0]["score"] == results[-1]["score"]
    assert results[1].save_to_img(tmp_path / "out") is None
    with pytest.raises(Exception, match=r"empty.png"):
        _ = results[1].anomaly_map


def test_a_result_is_a_mapping_of_json_values(pipeline, good_image):
    result = only(pipeline.predict(good_image))
    assert json.loads(json.dumps(result.json)) == result.json
    assert dict(result) == result.json
    assert repr(result) == f"<Result {good_image}: OK, score {result['score']:.4g}>"


def test_anomaly_map_and_overlay_have_the_original_size_even_later(pipeline, product):
    results = list(pipeline.predict(product / "test" / "hole"))
    for result in results:
        height, width = result["image_size"]
        assert result.anomaly_map.shape == (height, width)
        assert result.anomaly_map.dtype == np.float32
        assert result.img.shape == (height, width, 3)
        np.testing.assert_array_equal(result.image, cv2.imread(result["input_path"]))


def test_keeping_results_of_files_keeps_no_pictures(pipeline, product):
    results = list(pipeline.predict(product / "test"))
    assert all(result._image is None and result._anomaly_map is None for result in results)


def test_the_hottest_pixel_of_a_hole_lies_in_its_mask(pipeline, product):
    result = next(pipeline.predict(product / "test" / "hole"))
    mask = cv2.imread(str(product / "ground_truth" / "hole" / "000_mask.png"), cv2.IMREAD_GRAYSCALE)
    x, y = result["regions"][0]["peak"]
    assert cv2.dilate(mask, np.ones((25, 25)))[y, x]


def test_a_result_is_printed_as_json(pipeline, good_image, capsys):
    result = only(pipeline.predict(good_image))
    result.print()
    assert json.loads(capsys.readouterr().out) == result.json
    result.print(format_json=False)
    assert capsys.readouterr().out == f"{result.json}\n"


def test_saving_into_a_directory_keeps_names_and_sub_directories(pipeline, product, tmp_path):
    for result in pipeline.predict(product / "test"):
        result.save_to_img(tmp_path / "img")
        result.save_to_json(tmp_path / "json")
    assert (tmp_path / "img" / "good" / "000.png").is_file()
    assert (tmp_path / "img" / "hole" / "000.png").is_file()
    assert json.loads((tmp_path / "json" / "hole" / "000.png.json").read_text())["is_anomaly"] is True


def test_saving_to_a_file_name_takes_it(pipeline, good_image, tmp_path):
    result = only(pipeline.predict(good_image))
    assert result.save_to_img(tmp_path / "one.jpg") == tmp_path / "one.jpg"
    assert cv2.imread(str(tmp_path / "one.jpg")).shape == cv2.imread(str(good_image)).shape
    assert result.save_to_json(tmp_path / "sub" / "one.json", indent=None).is_file()


def test_predict_takes_a_threshold_or_a_rate_of_its_own(pipeline, good_image):
    assert only(pipeline.predict(good_image, threshold=-1e9))["is_anomaly"] is True
    strict = only(pipeline.predict(good_image, fpr=0.5))["threshold"]
    assert strict < only(pipeline.predict(good_image))["threshold"]


def test_an_anomalous_image_always_has_a_region(pipeline, good_image):
    result = only(pipeline.predict(good_image))
    barely = only(pipeline.predict(good_image, threshold=float(np.nextafter(result["score"], -np.inf))))
    assert barely["is_anomaly"] is True
    assert barely["regions"]


def test_small_and_very_long_images_are_inspected(pipeline):
    sizes = [(8, 8), (8, 3000), (3000, 9)]
    for size, result in zip(sizes, pipeline.predict([np.zeros((*size, 3), np.uint8) for size in sizes]), strict=True):
        assert result["error"] is None
        assert result.anomaly_map.shape == size
        assert result.img.shape == (*size, 3)


def test_the_product_formula_has_a_threshold_of_its_own(product):
    with create_pipeline(fusion="product") as pipeline:
        results = {r["input_path"]: r for r in pipeline.predict(product / "test")}
    good = [r["score"] for path, r in results.items() if "/good/" in path]
    assert max(good) < 1
    assert any(r["is_anomaly"] for path, r in results.items() if "/hole/" in path)


def test_create_pipeline_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(UsageError, match="has no argument 'treshold'"):
        create_pipeline(treshold=1.0)
    with pytest.raises(UsageError, match="there is no pipeline 'ocr'"):
        create_pipeline("ocr")
    with pytest.raises(UsageError, match=r"`enable_hpi` \(--hpi\) runs what was measured, and no fallback"):
        create_pipeline(enable_hpi=True, fallback="cpu")


def test_a_closed_pipeline_says_so(good_image):
    pipeline = create_pipeline()
    pipeline.close()
    pipeline.close()
    with pytest.raises(UsageError, match="the pipeline is closed"):
        pipeline.predict(good_image)


def test_a_file_configures_the_pipeline_and_arguments_beat_it(tmp_path, good_image):
    path = tmp_path / "line.yaml"
    path.write_text("Pipeline: {threshold: -5.0, workers: 1}")
    with create_pipeline(path) as pipeline:
        assert only(pipeline.predict(good_image))["threshold"] == -5.0
    with create_pipeline(path, threshold=7.0) as pipeline:
        assert only(pipeline.predict(good_image))["threshold"] == 7.0


def test_every_backend_repeats_the_golden_vectors_of_the_shipped_bundle():
    devices = ["openvino:CPU"]
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        pass
    else:
        devices.append("onnxruntime:CPUExecutionProvider")
    for device in devices:
        with create_pipeline(device=device) as pipeline:
            golden = pipeline.bundle.golden
            maps = pipeline.inspector.level_maps(golden.images)
            for name, expected in golden.maps.items():
                np.testing.assert_allclose(maps[name], expected, atol=1e-4, err_msg=f"{device} {name}")


@pytest.mark.parametrize("arguments", [{"pipeline": 3}, {"pipeline": None}, {"model": 3}, {"device": 3}])
def test_an_argument_of_another_type_is_a_usage_error(arguments):
    with pytest.raises(UsageError):
        create_pipeline(**arguments)


def test_settings_may_come_out_of_numpy():
    with create_pipeline(threshold=np.float32(2.5), batch_size=np.int64(3)) as pipeline:
        assert next(iter(pipeline.predict(np.zeros((32, 32, 3), np.uint8))))["threshold"] == 2.5


def test_the_content_of_a_file_configures_it_too_in_any_of_its_shapes(good_image):
    paddlex = {"pipeline_name": "anomaly_detection", "SubModules": {"AnomalyDetection": {"batch_size": 3}}}
    for config in ({"Pipeline": {"batch_size": 3}}, paddlex):
        with create_pipeline(config=config, device="cpu", workers=2, use_hpip=False) as pipeline:
            assert (pipeline.config.batch_size, pipeline.config.workers) == (3, 2)
            assert only(pipeline.predict(good_image))["error"] is None
    with pytest.raises(ConfigError, match=r"config: not a valid configuration") as wrong:
        create_pipeline(config={"SubModules": {"AnomalyDetection": {"model_name": "PatchCore"}}})
    assert "model_name" in wrong.value.cause_text
    with pytest.raises(UsageError, match="use_hpip is another name for enable_hpi"):
        create_pipeline(enable_hpi=False, use_hpip=True)
