"""What is particular to Kunlunxin cards: counting, the precision that is measured, Paddle's words, memory, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")

from fake_xpu.inference import Predictor
from uadx_kunlun.kunlun import CPU_BUILD, NOT_COUNTED

from uadx.api import CompileOptions, DeviceRef, MemoryInfo, ModelArtifact
from uadx.errors import CompileError, ConfigError, InferenceError, PlacementError, UnavailableError
from uadx.machine import Machine
from uadx.parity import tolerance_for
from uadx.testing.golden import small

F32 = CompileOptions("f32", max_batch=4)
AUTO = CompileOptions("auto", max_batch=4)
IMAGES, EXPECTED = small("stfpm").batch(2)


def opened(backend, selector="0", options=F32, name="stfpm"):
    return backend.compile(small(name).artifact, DeviceRef(selector), options)


def differs(outputs, expected=EXPECTED):
    return max(float(np.abs(outputs[name] - value).max()) for name, value in expected.items())


def on_machine(backend, tmp_path, environ=None, nodes=0):
    (tmp_path / "dev").mkdir()
    for index in range(nodes):
        (tmp_path / "dev" / f"xpu{index}").touch()
    backend.machine = Machine(tmp_path, environ or {})
    return backend


def test_the_cards_that_paddle_counts_are_listed_with_its_numbers(card):
    listed = card(devices=2).devices()
    assert [(each.selector, each.kind, each.index, each.vendor) for each in listed] == [
        ("0", "xpu", 0, "kunlunxin"),
        ("1", "xpu", 1, "kunlunxin"),
    ]
    assert not any(each.unusable for each in listed)


def test_a_card_with_a_node_that_paddle_does_not_count_is_shown_as_unusable(card, tmp_path):
    listed = on_machine(card(devices=1), tmp_path, nodes=2).devices()
    assert [each.unusable for each in listed] == ["", NOT_COUNTED]


@pytest.mark.parametrize("variable", ["XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_cards_that_a_variable_hides_are_not_missed(card, tmp_path, variable):
    assert len(on_machine(card(devices=1), tmp_path, {variable: "1"}, nodes=2).devices()) == 1


def test_the_build_for_the_cpu_is_told_apart_from_a_missing_card(card, tmp_path):
    with pytest.raises(UnavailableError) as caught:
        card(built_with_xpu=False).devices()
    assert caught.value.message == "Paddle has no Kunlunxin card here"
    assert caught.value.cause_text == CPU_BUILD
    assert "paddlepaddle-xpu" in caught.value.hint
    (seen,) = on_machine(card(built_with_xpu=False), tmp_path, nodes=1).devices()
    assert seen.unusable == CPU_BUILD


def test_no_card_is_an_error_with_what_to_look_at(card):
    with pytest.raises(UnavailableError) as caught:
        card(devices=0).devices()
    assert caught.value.cause_text == "Paddle counts no card"
    assert "lspci -d 1d22:" in caught.value.hint


def test_a_missing_driver_is_an_error_in_paddles_words(card):
    with pytest.raises(UnavailableError) as caught:
        card(driver=False).devices()
    assert caught.value.stage == "counting the cards"
    assert "please check whether Baidu Kunlun Card is properly installed" in caught.value.cause_text
    assert "lspci -d 1d22:" in caught.value.hint


def test_a_card_that_is_not_there_is_refused_with_those_that_are(card):
    with pytest.raises(UnavailableError) as caught:
        opened(card(devices=2), "2")
    assert caught.value.message == "kunlun has no device '2' here; it has: 0, 1"
    assert caught.value.hint == "name one of them: --device kunlun:0"


@pytest.mark.parametrize("selector", ["0", "1"])
def test_the_placement_is_what_the_config_says_of_itself(card, selector):
    with opened(card(devices=2), selector) as model:
        placement = model.placement()
        assert (placement.device, placement.precision) == (selector, "f32")
        assert differs(model.infer({"image": IMAGES})) < tolerance_for("f32").maximum


@pytest.mark.parametrize(("bits", "precision"), [(10, "tf32"), (7, "bf16"), (4, "unknown")])
def test_what_a_card_computes_in_is_measured_and_f32_is_refused_where_it_is_less(card, bits, precision):
    with pytest.raises(PlacementError) as caught:
        opened(card(bits=bits))
    assert caught.value.message == f"kunlun:0 was asked for f32, but computes in {precision}"
    assert "XPU_PADDLE_CONV_FLOAT=1" in caught.value.hint
    with opened(card(bits=bits), options=AUTO) as model:
        assert model.placement().precision == precision
        assert model.capabilities.precision == precision


@pytest.mark.parametrize("precision", ["f16", "bf16", "int8"])
def test_other_precisions_are_refused(card, precision):
    with pytest.raises(UnavailableError, match=f"kunlun has no {precision} on 0; it has: f32"):
        opened(card(), options=CompileOptions(precision))


def test_options_are_refused():
    from fake_xpu import FakePaddle
    from uadx_kunlun import KUNLUN
    from uadx_kunlun.binding import load
    from uadx_kunlun.kunlun import KunlunBackend

    with pytest.raises(ConfigError, match=r"options\.kunlun has l3, and kunlun takes no options here"):
        KunlunBackend(KUNLUN, {"l3": 1}, FakePaddle(load()))


def test_a_card_without_memory_says_so_with_advice(card):
    with pytest.raises(UnavailableError) as caught:
        opened(card(memory=1 << 20))
    assert caught.value.message == "kunlun:0 cannot be used"
    assert "Out of memory error on XPU 0" in caught.value.cause_text
    assert "C++ Traceback" not in caught.value.cause_text, "the stack helps nobody"
    assert "--batch-size 1" in caught.value.hint


def test_a_card_that_stops_answering_is_an_inference_error_with_advice(card):
    backend = card()
    with opened(backend) as model:
        backend.binding.card.knobs.lost = True
        with pytest.raises(InferenceError) as caught:
            model.infer({"image": IMAGES})
        assert caught.value.message == "kunlun:0 failed while it ran the model"
        assert "Device abnormal due to previous error" in caught.value.cause_text
        assert "/proc/kunlun/dev0/state" in caught.value.hint
        backend.binding.card.knobs.lost = False
        assert differs(model.infer({"image": IMAGES})) < tolerance_for("f32").maximum


def test_memory_is_what_paddle_says_and_comes_back(card):
    backend = card()
    with opened(backend, "1") as model:
        assert model.memory() == MemoryInfo(64 << 20, 32 << 30)
        assert backend.binding.card.predictors[1] == 1
    assert model.memory() is None
    assert sum(backend.binding.card.predictors.values()) == 0


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"picture": IMAGES},
        {"image": IMAGES, "more": IMAGES},
        {"image": IMAGES.astype(np.float64)},
        {"image": IMAGES.astype(np.float32)},
        {"image": IMAGES[:, :4]},
        {"image": IMAGES[..., :1]},
        {"image": IMAGES[0]},
        {"image": IMAGES[:0]},
    ],
)
def test_what_does_not_fit_is_refused_before_paddle_sees_it(card, batch):
    with opened(card()) as model:
        with pytest.raises(InferenceError) as caught:
            model.infer(batch)
        assert caught.value.cause_text.startswith("the model takes {'image': ('uint8', (-1, ")
        assert differs(model.infer({"image": IMAGES})) < tolerance_for("f32").maximum


def test_pictures_that_do_not_lie_in_one_piece_are_taken(card):
    with opened(card()) as model:
        apart = np.asfortranarray(np.concatenate([IMAGES, IMAGES])[::2])
        assert differs(model.infer({"image": apart})) > 0
        assert np.array_equal(
            model.infer({"image": apart})["level1"], model.infer({"image": np.ascontiguousarray(apart)})["level1"]
        )


def test_requests_of_many_threads_wait_for_each_other(card):
    with opened(card()) as model:
        found = []

        def ask(at):
            found.append((at, model.infer({"image": IMAGES[at % 2 : at % 2 + 1]})))

        threads = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for at, outputs in found:
            assert differs(outputs, {name: value[at % 2 : at % 2 + 1] for name, value in EXPECTED.items()}) < 5e-5


def test_a_request_may_be_made_where_another_has_just_ended(card):
    with opened(card()) as model:
        again = []
        future = model.submit({"image": IMAGES})
        future.add_done_callback(lambda _: again.append(model.infer({"image": IMAGES})))
        future.result()
    assert all(differs(outputs) < 5e-5 for outputs in again)


def test_a_model_is_closed_once_and_refuses_requests_then(card):
    model = opened(card())
    futures = [model.submit({"image": IMAGES}) for _ in range(4)]
    model.close()
    model.close()
    assert all(differs(future.result()) < 5e-5 for future in futures)
    with pytest.raises(InferenceError) as caught:
        model.infer({"image": IMAGES})
    assert caught.value.cause_text == "the model is closed"


def test_a_file_that_is_no_model_takes_nothing_of_the_card(card, tmp_path):
    backend = card()
    path = tmp_path / "broken.onnx"
    path.write_bytes(small("stfpm").artifact.path.read_bytes()[:500])
    with pytest.raises(CompileError, match=r"Paddle does not compile .*broken\.onnx"):
        backend.compile(ModelArtifact(path, "onnx", ""), DeviceRef("0"), F32)
    assert sum(backend.binding.card.predictors.values()) == 0


def test_passes_that_are_known_to_be_faulty_on_a_card_are_left_out(card, monkeypatch):
    from fake_xpu.inference import Config

    left_out = []
    keep = Config.delete_pass
    monkeypatch.setattr(Config, "delete_pass", lambda self, name: (left_out.append(name), keep(self, name)))
    opened(card()).close()
    assert set(left_out) == {"conv2d_bn_xpu_fuse_pass", "transfer_layout_pass"}


def test_a_predictor_is_released_by_the_thread_that_made_it(card, monkeypatch):
    from fake_xpu import inference

    gone = []

    class Watched(Predictor):
        def __del__(self):
            gone.append(threading.current_thread().name)

    monkeypatch.setattr(inference, "Predictor", Watched)
    opened(card()).close()
    assert gone[-1].startswith("uadx-kunlun")


def test_versions_name_paddle_and_the_cards_runtime(card):
    import onnx
    import paddle

    found = card().versions()
    assert found == {"paddle": paddle.__version__, "onnx": onnx.__version__, "xre": "5.0.21.24"}
    assert "xre" not in card(built_with_xpu=False).versions()
