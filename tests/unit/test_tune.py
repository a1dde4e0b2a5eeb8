"""The rules by which `uadx tune` chooses, and what a choice is remembered for."""

import msgspec
import pytest

from uadx.api import Capabilities
from uadx.bundle.manifest import Cost, Own, Training, Variant
from uadx.bundle.reader import Bundle, open_bundle
from uadx.devices.resolve import Resolver
from uadx.errors import UsageError
from uadx.machine import Machine
from uadx.parity import LevelDifference, Parity, Tolerance
from uadx.pipeline.config import PipelineConfig
from uadx.train.held_out import find_held_out
from uadx.tune.candidates import Absent, Form, groups
from uadx.tune.choice import Finalist, _chosen, _nearest
from uadx.tune.machine_key import circumstances, key
from uadx.tune.trial import Trial, _batches
from uadx.tune.verdicts import Verdicts, _spread, too_many, without_images


def way(precision, batch, *rates):
    return Finalist(Trial(Form("a:0", "a", precision, (1, 8)), "throughput", precision), batch, list(rates))


def test_the_median_of_the_rounds_decides_and_not_the_best_of_them():
    steady, lucky = way("bf16", 1, 50, 51, 52), way("f32", 1, 30, 31, 90)
    assert _chosen([lucky, steady]) is steady


def test_within_three_percent_float32_goes_first_and_then_the_smaller_batch():
    exact, small, large = way("f32", 8, 98), way("bf16", 1, 99), way("bf16", 8, 100)
    assert _chosen([large, small, exact]) is exact
    assert _chosen([large, small]) is small
    assert _chosen([large, way("f32", 1, 96)]) is large


def looked_at(precision, hint, rates):
    return Trial(Form("a:0", "a", precision, (1, 8)), hint, precision, rates)


def test_a_form_as_fast_as_the_fastest_is_not_crowded_out_by_the_fastest_s_variants():
    fast = [looked_at("int8", hint, {1: 100.0, 4: 101.0, 8: 102.0}) for hint in ("throughput", "latency")]
    exact = looked_at("f32", "throughput", {1: 95.0})
    slow = looked_at("bf16", "throughput", {1: 60.0})
    found = _nearest([*fast, exact, slow])
    assert len(found) == 4
    assert (found[0].trial.form.precision, found[0].batch) == ("int8", 8)
    assert found[1].trial is exact
    assert all(one.trial in fast for one in found[2:])


@pytest.mark.parametrize(
    ("capabilities", "asked", "tried"),
    [
        (Capabilities("f32"), (1, 8, 32), (1, 8, 32)),
        (Capabilities("f32", max_batch=8), (1, 8, 32), (1, 8)),
        (Capabilities("f32", max_batch=8), (16,), (16,)),
        (Capabilities("f32", static_batch=32), (1, 8, 32), (32,)),
    ],
)
def test_batches_that_would_be_split_or_padded_are_not_tried_unasked(capabilities, asked, tried):
    assert _batches(capabilities, asked) == tried


@pytest.mark.parametrize(
    ("changed", "images", "allowed"), [(0, 3, True), (1, 3, False), (1, 100, True), (5, 400, False)]
)
def test_one_percent_of_the_verdicts_may_change(changed, images, allowed):
    assert Verdicts(images, changed).allowed is allowed


def test_images_at_hand_do_not_outweigh_what_was_counted_when_a_form_was_made():
    now, made = Verdicts(400, 3), Verdicts(586, 6)
    assert too_many(now, made) == made
    assert too_many(Verdicts(400, 5), made) == Verdicts(400, 5)
    assert too_many(now, None) is too_many(now, Verdicts(586, 5)) is None


@pytest.fixture
def shipped() -> Bundle:
    return open_bundle()


def with_int8(bundle, cost):
    manifest = bundle.manifest
    own = Own(
        scoring=manifest.scoring, calibration=manifest.calibration, pixel_calibration=manifest.pixel_calibration,
        base_levels=manifest.base_levels, golden="golden.int8.npz", cost=cost,
    )  # fmt: skip
    variant = Variant(file="x.onnx", format="onnx", precision="int8", files=("x.onnx", "golden.int8.npz"), own=own)
    return Bundle(bundle.path, msgspec.structs.replace(manifest, variants=(variant,)), bundle.sha256)


def repeated(precision):
    return Parity(precision, Tolerance(1, 1), 3, {"level1": LevelDifference(0, 0)}, 0.0, 0)


def test_without_images_int8_is_judged_by_what_it_cost_when_it_was_made(shipped):
    bundle = with_int8(shipped, Cost(images=100, agreement=0.99, flips=2))
    assert without_images(bundle, repeated("int8")) == Verdicts(103, 2)
    assert without_images(bundle, repeated("bf16")) == Verdicts(3, 0)
    assert without_images(with_int8(shipped, None), repeated("int8")) is None


def test_int8_is_tried_where_the_bundle_has_such_a_form_and_the_backend_takes_its_format(shipped):
    def precisions(bundle, **asked):
        (forms,) = groups(Resolver("openvino:CPU"), bundle, PipelineConfig(**asked))
        return [form.precision for form in forms]

    pytest.importorskip("openvino", reason="openvino is not installed")
    assert precisions(shipped)[0] == "f32"
    assert "int8" not in precisions(shipped)
    assert precisions(with_int8(shipped, None)) == [*precisions(shipped), "int8"]
    assert precisions(shipped, precision="int8") == ["int8"]


def test_a_backend_that_is_not_there_is_named_with_its_reason(shipped):
    ((absent,),) = groups(Resolver("npu"), shipped, PipelineConfig())
    assert isinstance(absent, Absent)
    assert absent.backend == "ascend"
    assert absent.reason


def test_images_that_are_compared_are_spread_over_all_of_them():
    assert _spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert _spread([1, 2], 4) == [1, 2]
    assert _spread([1, 2], 0) == []


@pytest.fixture
def keyed(shipped, tmp_path):
    """keyed({"proc/cpuinfo": text}, "cpu") -> the key on a machine of these files."""

    def on(files, device="cpu", **asked):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return key(circumstances(shipped, PipelineConfig(**asked), Resolver(device), Machine(root)))

    return on


CARD = "sys/bus/pci/devices/0000:c1:00.0"
MACHINE = {
    "proc/cpuinfo": "model name\t: One\nmodel name\t: One\n",
    f"{CARD}/class": "0x120000\n",
    f"{CARD}/vendor": "0x19e5\n",
    f"{CARD}/device": "0xd500\n",
    f"{CARD}/driver/module/version": "24.1\n",
}


@pytest.mark.parametrize(
    "other",
    [
        {"proc/cpuinfo": "model name\t: Two\n"},
        {f"{CARD}/device": "0xd802\n"},
        {f"{CARD}/driver/module/version": "25.0\n"},
        {"proc/driver/nvidia/version": "NVRM version: 550\n"},
        {"sys/fs/cgroup/cpu.max": "100000 100000\n"},
    ],
)
def test_another_processor_card_driver_or_quota_is_another_machine(keyed, other):
    assert keyed(MACHINE) == keyed(MACHINE)
    assert keyed(MACHINE | other) != keyed(MACHINE)


def test_what_is_no_accelerator_does_not_count(keyed):
    network = {"sys/bus/pci/devices/0000:01:00.0/class": "0x020000\n", "sys/bus/pci/devices/0000:01:00.0/device": "1"}
    assert keyed(MACHINE | network) == keyed(MACHINE)


def test_a_request_is_remembered_by_what_it_means(keyed):
    assert keyed({}, "cpu") == keyed({}, "cpu:0") != keyed({}, "openvino:CPU")
    assert keyed({}) != keyed({}, precision="f32")
    assert keyed({}) != keyed({}, batch_size=1)


def test_held_out_images_are_found_by_their_digest_each_once(tmp_path):
    training = Training(images=5, held_out=("b" * 16, "a" * 16), fingerprint="0" * 64, seed=0, epochs=1)
    assert find_held_out(["c" * 64, "a" * 64, "b" * 64, "a" * 64], training, tmp_path) == [1, 2]
    with pytest.raises(UsageError, match="1 of the 2 images that were held out to calibrate this model are not in"):
        find_held_out(["a" * 64, "a" * 64], training, tmp_path)
