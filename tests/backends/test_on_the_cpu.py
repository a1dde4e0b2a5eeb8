"""What every backend does alike, on the processor: numbers, batches, order, ownership, threads, closing, errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from uadx.api import TensorSpec
from uadx.errors import CompileError, InferenceError

DEVICES = ["openvino:CPU", "onnxruntime:CPUExecutionProvider", "torch:cpu"]
pytestmark = pytest.mark.parametrize("device", DEVICES)


def assert_close(outputs, reference):
    assert outputs.keys() == reference.keys()
    for name, value in reference.items():
        assert outputs[name].dtype == np.float32
        assert outputs[name].shape == value.shape
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-3)  # sums of 27 products up to 255


def test_the_numbers_are_those_of_the_reference(device, compiled, small_model):
    images = small_model.images(3)
    with compiled(device) as model:
        assert_close(model.infer({"image": images}), small_model.reference(images))


def test_the_tensors_are_described_as_the_model_file_has_them(device, compiled):
    with compiled(device) as model:
        assert model.inputs == (TensorSpec("image", (-1, 16, 16, 3), "uint8"),)
        assert model.outputs == (
            TensorSpec("features", (-1, 8, 16, 16), "float32"),
            TensorSpec("means", (-1, 8), "float32"),
        )


def test_a_batch_gives_what_its_images_give_one_by_one(device, compiled, small_model):
    images = small_model.images(5)
    with compiled(device) as model:
        together = model.infer({"image": images})
        for index in range(5):
            alone = model.infer({"image": images[index : index + 1]})
            for name, value in alone.items():
                np.testing.assert_allclose(together[name][index], value[0], rtol=1e-6, atol=1e-4)


def test_many_requests_in_flight_each_get_their_own_answer(device, compiled, small_model):
    images = small_model.images(60)
    with compiled(device) as model:
        futures = [model.submit({"image": images[i : i + 1]}) for i in range(60)]
        for index, future in enumerate(futures):
            assert_close(future.result(timeout=30), small_model.reference(images[index : index + 1]))


def test_infer_may_be_called_from_many_threads_as_the_capabilities_say(device, compiled, small_model):
    images = small_model.images(64)
    with compiled(device) as model, ThreadPoolExecutor(8) as threads:
        assert model.capabilities.thread_safe
        outputs = list(threads.map(lambda i: model.infer({"image": images[i : i + 1]}), range(64)))
    for index, output in enumerate(outputs):
        assert_close(output, small_model.reference(images[index : index + 1]))


def test_outputs_belong_to_the_caller(device, compiled, small_model):
    first, second = small_model.images(1, seed=1), small_model.images(1, seed=2)
    with compiled(device) as model:
        kept = model.infer({"image": first})
        for _ in range(8):  # every request has been used again
            model.infer({"image": second})
        assert_close(kept, small_model.reference(first))
        kept["features"][:] = -1
        assert_close(model.infer({"image": first}), small_model.reference(first))
        last = model.infer({"image": second})
    del model
    assert_close(last, small_model.reference(second))


def test_inputs_are_not_written_and_may_be_read_only_or_strided(device, compiled, small_model):
    wide = small_model.images(4)
    images = wide[::2]
    before = images.copy()
    images.flags.writeable = False
    with compiled(device) as model:
        assert_close(model.infer({"image": images}), small_model.reference(before))
    np.testing.assert_array_equal(images, before)


def test_closing_waits_for_what_was_submitted_and_may_be_repeated(device, compiled, small_model):
    images = small_model.images(1)
    model = compiled(device)
    future = model.submit({"image": images})
    model.close()
    model.close()
    assert_close(future.result(timeout=0), small_model.reference(images))


@pytest.mark.parametrize("method", ["infer", "submit"])
def test_a_closed_model_says_so(device, method, compiled, small_model):
    model = compiled(device)
    model.close()
    with pytest.raises(InferenceError, match="the model is closed"):
        getattr(model, method)({"image": small_model.images(1)})


@pytest.mark.parametrize(
    "batch",
    [
        {"image": np.zeros((1, 16, 16, 3), np.float32)},
        {"image": np.zeros((1, 8, 8, 3), np.uint8)},
        {"picture": np.zeros((1, 16, 16, 3), np.uint8)},
        {},
    ],
    ids=["dtype", "shape", "name", "missing"],
)
def test_a_wrong_input_is_an_error_and_the_model_stays_usable(device, batch, compiled, small_model):
    with compiled(device) as model:
        for _ in range(2 * model.capabilities.async_depth):
            with pytest.raises(InferenceError, match=f"^{device} failed while it ran the model") as caught:
                model.submit(batch).result(timeout=30)
            assert caught.value.cause_text
        images = small_model.images(2)
        assert_close(model.infer({"image": images}), small_model.reference(images))


def test_the_latency_hint_makes_one_request_at_a_time(device, compiled):
    with compiled(device, hint="latency") as model:
        assert model.capabilities.async_depth == 1


def test_the_number_of_threads_bounds_the_requests(device, compiled):
    with compiled(device, threads=1) as model:
        assert model.capabilities.async_depth == 1


def test_a_future_may_be_waited_for_in_a_callback_of_another(device, compiled, small_model):
    """The pipeline chains its own futures on those of the backend."""
    done = threading.Event()
    with compiled(device) as model:
        model.submit({"image": small_model.images(1)}).add_done_callback(lambda _: done.set())
        assert done.wait(30)


@pytest.mark.parametrize("content", [b"", b"no model at all", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_model_is_a_compile_error_in_the_words_of_the_runtime(
    device, content, compiled, small_model, tmp_path, capfd
):
    path = tmp_path / "broken.onnx"
    path.write_bytes(small_model.artifact.path.read_bytes()[:400] if content is None else content)
    with pytest.raises(CompileError, match=r"does not compile .*broken\.onnx") as caught:
        compiled(device, type(small_model.artifact)(path, "onnx", ""))
    assert caught.value.cause_text
    assert caught.value.exit_code == 5
    assert capfd.readouterr() == ("", "")


def test_a_quantised_file_is_reported_as_int8(device, compiled, quantised_model):
    if device.startswith("torch"):
        pytest.skip("torch runs no quantised files, and says so")
    with compiled(device, quantised_model, precision="int8") as model:
        assert model.placement().precision == "int8"


def test_the_runtime_prints_nothing(device, compiled, small_model, capfd):
    with compiled(device) as model:
        model.infer({"image": small_model.images(2)})
    assert capfd.readouterr() == ("", "")
