"""What is particular to Ascend cards: gears, an .om for one kind of card, CANN's codes, contexts, memory."""

from __future__ import annotations

import json
import os
import threading
import warnings

import numpy as np
import pytest
from uadx_ascend import atc as converter
from uadx_ascend.backend import AscendBackend

from uadx.api import CompileOptions, DeviceRef, MemoryInfo, ModelArtifact
from uadx.errors import CompileError, ConfigError, InferenceError, UadxWarning, UnavailableError
from uadx.parity import tolerance_for
from uadx.pipeline.batches import run_batch
from uadx.testing.golden import small

pytestmark = pytest.mark.filterwarnings("ignore:atc converts the model")
F16 = CompileOptions("f16", max_batch=4)


@pytest.fixture
def om(tmp_path, atc):
    """om("stfpm", gears=[1, 2]) -> the .om of one of the kit's models."""

    def make(name="stfpm", gears=(1, 2, 4), soc="Ascend310P3", precision="f16"):
        path = tmp_path / f"{name}-{soc}-{'-'.join(map(str, gears))}.om"
        converter.convert(small(name).artifact.path, path, soc, gears, precision=precision)
        return ModelArtifact(path, "om", "")

    return make


def differs(outputs, expected):
    return max(np.abs(outputs[name] - expected[name]).max() for name in expected)


def test_a_batch_runs_in_the_next_gear_and_comes_back_in_its_own_size(card, om):
    golden = small("stfpm")
    with card().compile(om(gears=(2, 4)), DeviceRef("0"), F16) as model:
        assert (model.capabilities.max_batch, model.capabilities.static_batch) == (4, None)
        for size in (3, 1, 4, 2, 1):
            images, expected = golden.batch(size, start=size)
            assert differs(model.infer({"image": images}), expected) < tolerance_for("f16").maximum
        assert {len(value) for value in model.infer({"image": images}).values()} == {1}


def test_no_more_is_copied_back_than_the_gear_computed(card, om):
    backend = card()
    with backend.compile(om("relu", gears=(1, 4)), DeviceRef("0"), F16) as model:
        outputs = model.infer({"image": small("relu").images[:1]})
    assert backend.binding.rt.bytes_back == sum(value.nbytes for value in outputs.values())


def test_a_batch_beyond_the_largest_gear_is_split_by_the_core(card, om):
    images, expected = small("stfpm").batch(7)
    with card().compile(om(gears=(1, 2)), DeviceRef("0"), F16) as model:
        assert differs(run_batch(model, images), expected) < tolerance_for("f16").maximum


def test_a_fixed_batch_is_no_gear(card, om):
    with card().compile(om(gears=[3]), DeviceRef("0"), F16) as model:
        assert model.capabilities.static_batch == 3
        assert model.inputs[0].shape == (3, 32, 48, 3)
        assert model.placement().details["batches"] == "3"
        with pytest.raises(InferenceError, match="it was given"):
            model.infer({"image": small("stfpm").images[:2]})


def test_outputs_are_told_apart_by_the_last_part_of_their_names(card, om):
    golden = small("relu")
    images, expected = golden.batch(2)
    with card().compile(om("relu"), DeviceRef("0"), F16) as model:
        assert [spec.name for spec in model.outputs] == ["positive", "negative"]
        assert differs(model.infer({"image": images}), expected) < tolerance_for("f16").maximum


def test_an_om_that_gives_half_precision_is_read_as_such(card, tmp_path):
    from fake_acl import atc as fake

    out, golden = tmp_path / "half", small("relu")
    line = converter.command(golden.artifact.path, out, "Ascend310P3", [2])
    fake.compile_om(dict(word.removeprefix("--").split("=", 1) for word in line[1:] if "precision_mode" not in word))
    images, expected = golden.batch(2)
    with card().compile(
        ModelArtifact(out.with_suffix(".om"), "om", ""), DeviceRef("0"), CompileOptions("auto")
    ) as model:
        outputs = model.infer({"image": images})
        assert model.placement().precision == "unknown"
    assert {value.dtype for value in outputs.values()} == {np.dtype(np.float32)}
    assert differs(outputs, expected) < 1e-2


def test_where_it_runs_is_read_back_from_the_runtime(card, om):
    with card().compile(om(), DeviceRef("1"), F16) as model:
        assert (model.placement().device, model.placement().precision) == ("1", "f16")


def test_an_om_of_another_card_is_refused_with_both_names(card, om):
    with pytest.raises(CompileError) as caught:
        card(soc="Ascend910B1").compile(om(), DeviceRef("0"), F16)
    assert "converted for Ascend310P3, and this card is Ascend910B1" in caught.value.cause_text
    assert caught.value.hint.endswith("--format om --soc-version Ascend910B1")


def test_an_om_without_a_description_is_left_to_cann_to_refuse(card, om):
    other = om(soc="Ascend910B1")
    os.unlink(f"{other.path}.json")
    with pytest.raises(CompileError, match="the model is for Ascend910B1"):
        card().compile(other, DeviceRef("0"), F16)


@pytest.mark.parametrize("text", ["[]", "{", '{"soc_version": "Ascend310P3"}', '{"soc_version": 1, "gears": []}'])
def test_a_description_that_is_none_is_an_error_with_its_name(card, om, text):
    artifact = om()
    artifact.path.with_name(f"{artifact.path.name}.json").write_text(text)
    with pytest.raises(CompileError, match=r"\.om\.json does not describe an \.om"):
        card().compile(artifact, DeviceRef("0"), F16)


def test_outputs_that_are_not_the_described_ones_are_an_error(card, om):
    artifact = om()
    path = artifact.path.with_name(f"{artifact.path.name}.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "outputs": ["a", "b"]}))
    with pytest.raises(CompileError, match=r"\['level1', 'level2', 'level3'\]"):
        card().compile(artifact, DeviceRef("0"), F16)


def test_f32_is_refused_unless_the_om_was_converted_to_it(card, om):
    with pytest.raises(UnavailableError, match="converted to f16, and f32 is asked for"):
        card().compile(om(), DeviceRef("0"), CompileOptions("f32"))
    with pytest.raises(UnavailableError, match="does not compute in f32; it has: f16"):
        card().compile(small("relu").artifact, DeviceRef("0"), CompileOptions("f32"))
    exact = om("conv_bn", precision="f32")
    images, expected = small("conv_bn").batch(2)
    with card().compile(exact, DeviceRef("0"), CompileOptions("f32", max_batch=2)) as model:
        assert model.placement().precision == "f32"
        assert differs(model.infer({"image": images}), expected) < tolerance_for("f32").maximum


def test_the_rounding_of_float16_is_there_to_be_seen(card, om):
    images, expected = small("conv_bn").batch(4)
    with card().compile(om("conv_bn"), DeviceRef("0"), F16) as model:
        assert tolerance_for("f32").maximum < differs(model.infer({"image": images}), expected)


def test_a_converted_model_is_kept_while_the_backend_lives(card, atc, monkeypatch):
    backend = card()
    backend.compile(small("relu").artifact, DeviceRef("0"), F16).close()
    monkeypatch.setenv("PATH", "")
    backend.compile(small("relu").artifact, DeviceRef("1"), F16).close()
    with pytest.raises(UnavailableError, match="atc, which converts models for Ascend cards, is not installed"):
        backend.compile(small("relu").artifact, DeviceRef("0"), CompileOptions("f16", max_batch=2))


def test_devices_are_those_that_cann_counts(card):
    assert [(d.selector, d.index, d.name, d.kind, d.unusable) for d in card(devices=2).devices()] == [
        ("0", 0, "Ascend310P3", "npu", ""),
        ("1", 1, "Ascend310P3", "npu", ""),
    ]


def test_a_machine_without_a_card_says_so(card):
    with pytest.raises(UnavailableError, match="CANN counts no Ascend card"):
        card(devices=0).devices()


def test_a_card_with_a_node_that_cann_does_not_count_is_listed_as_unusable(card, tmp_path):
    (tmp_path / "dev").mkdir()
    for number in range(2):
        (tmp_path / "dev" / f"davinci{number}").touch()
    backend = card(devices=1)
    backend.machine = type(backend.machine)(tmp_path, {})
    assert [bool(info.unusable) for info in backend.devices()] == [False, True]
    backend.machine = type(backend.machine)(tmp_path, {"ASCEND_RT_VISIBLE_DEVICES": "0"})
    assert len(backend.devices()) == 1


@pytest.mark.parametrize("selector", ["2", "-1", "00", "cpu", ""])
def test_an_unknown_index_names_those_there_are(card, selector, om):
    with pytest.raises(UnavailableError, match=r"it has: 0, 1"):
        card().compile(om(), DeviceRef(selector), F16)


@pytest.mark.parametrize(
    ("knobs", "words", "advice"),
    [
        ({"init_code": 507008}, "acl.init returned 507008 (internal error)\nEE1001", "does not know the card"),
        ({"count_code": 207004}, "acl.rt.get_device_count returned 207004 (resource error)", "ASCEND_RT_VISIBLE"),
        ({"set_device_code": 507033}, "acl.rt.set_device returned 507033 (internal error)\nEL0005", "firmware"),
    ],
)
def test_a_card_that_cannot_be_opened_is_unavailable_in_canns_words(card, om, knobs, words, advice):
    with pytest.raises(UnavailableError) as caught:
        card(**knobs).compile(om(), DeviceRef("0"), F16)
    assert caught.value.cause_text.startswith(words)
    assert advice in caught.value.hint


def test_memory_that_does_not_suffice_is_a_compile_error_and_nothing_stays_taken(card, om):
    backend = card(memory=15_000)
    with pytest.raises(CompileError, match=r"acl.rt.malloc returned 207001 \(resource error\)\n *EL0004") as caught:
        backend.compile(om(), DeviceRef("0"), F16)
    assert "--batch-size 1" in caught.value.hint
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("uadx-ascend")]
    backend.compile(om(gears=[1]), DeviceRef("0"), F16).close()


def test_the_memory_of_a_card_is_what_it_says(card, om):
    for knobs in ({"has_hbm": True}, {"has_hbm": False}):
        with card(memory=10**6, **knobs).compile(om("relu", [1]), DeviceRef("0"), F16) as model:
            assert model.memory() == MemoryInfo(6 * 10 * 3 + 2 * 4 * 6 * 10 * 3, 10**6)


def test_a_failed_execution_is_an_inference_error_and_the_next_one_works(card, om):
    backend, (images, expected) = card(), small("stfpm").batch(2)
    with backend.compile(om(), DeviceRef("0"), F16) as model:
        backend.binding.knobs.execute_code = 507011
        with pytest.raises(InferenceError) as caught:
            model.infer({"image": images})
        assert caught.value.cause_text == (
            "acl.mdl.execute returned 507011 (internal error)\nEZ9999: the model was not executed to its end"
        )
        backend.binding.knobs.execute_code = 0
        assert differs(model.infer({"image": images}), expected) < tolerance_for("f16").maximum


def test_a_lost_card_is_an_error_and_closing_its_model_a_warning(card, om):
    backend = card()
    model = backend.compile(om(), DeviceRef("0"), F16)
    backend.binding.knobs.lost = True
    with pytest.raises(InferenceError, match="507010") as caught:
        model.infer({"image": small("stfpm").images[:1]})
    assert "the card stopped answering" in caught.value.hint
    with pytest.warns(UadxWarning, match="ascend:0 was not released: .* returned 507010"):
        model.close()
    model.close()
    core = backend.binding.core
    assert not core.misuses
    assert not any(core.things.values()), "every release was tried"


def test_cann_is_initialised_once_and_ended_only_by_who_did(card, om):
    ours, theirs = card(), card(initialised_by_another=True)
    for backend in (ours, ours, theirs):
        backend.compile(om("relu"), DeviceRef("0"), F16).close()
    assert (ours.binding.core.owned, theirs.binding.core.owned) == (True, False)


def test_models_in_many_threads_do_not_mix_their_contexts(card, om):
    backend, artifact, failures = card(), om(), []

    def work(number):
        images, expected = small("stfpm").batch(2, start=number)
        try:
            with backend.compile(artifact, DeviceRef(str(number % 2)), F16) as model:
                assert differs(model.infer({"image": images}), expected) < tolerance_for("f16").maximum
        except BaseException as error:  # pytest would not see it in a thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_program_on_the_board_itself_copies_within_the_device(card, om):
    images, expected = small("stfpm").batch(3)
    with card(on_host=False).compile(om(), DeviceRef("0"), F16) as model:
        assert differs(model.infer({"image": images}), expected) < tolerance_for("f16").maximum


def test_options_in_the_devices_file_are_refused():
    from fake_acl import FakeAcl, Knobs
    from uadx_ascend import SPEC

    with pytest.raises(ConfigError, match=r"options\.ascend has speed"):
        AscendBackend(SPEC, {"speed": 1}, FakeAcl(Knobs()))


def test_nothing_is_warned_of_where_all_goes_well(card, om):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card().compile(om(), DeviceRef("0"), F16).close()
