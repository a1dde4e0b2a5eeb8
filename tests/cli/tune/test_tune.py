"""`uadx tune`: what is measured, what is dropped and why."""

import hashlib
import json
import os
import re
import subprocess
import sys

import msgspec
import pytest

from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.writer import write_files
from uadx.tune.choice import HINTS, ROUNDS

pytest.importorskip("openvino", reason="openvino is not installed")

QUICK = ("--seconds", 0.05, "--batch-size", 1)


@pytest.fixture
def tuned(uadx):
    """What `uadx tune --json` says: tuned("--device", "openvino:CPU") -> its content."""

    def tune(*arguments):
        done = uadx("tune", *QUICK, "--json", *arguments)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return tune


def test_every_backend_of_a_kind_is_measured_and_the_last_line_says_what_hpi_runs(uadx, cpu):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = cpu("openvino", "onnxruntime")
    done = uadx("tune", *QUICK, "--precision", "f32", "--devices-file", path)
    assert done.code == 0
    tried = r"{}, f32, throughput: [0-9.]+ img/s in batches of 1, 0 of 3 verdicts changed"
    for line, device in zip(done.err.splitlines(), ("openvino:CPU", "onnxruntime:CPUExecutionProvider"), strict=True):
        assert re.fullmatch(tried.format(device), line)
    lines = done.out.splitlines()
    assert lines[1].split() == ["device", "precision", "hint", "1", "differs", "other", "verdicts"]
    for device in ("openvino:CPU", "onnxruntime:CPUExecutionProvider"):
        row = next(line.split() for line in lines if line.startswith(device))
        assert row[1:3] == ["f32", "throughput"]
        assert float(row[3]) > 0
        assert 0 < float(row[4]) < 5e-5
        assert row[5:] in (["0", "of", "3", "kept"], ["0", "of", "3", "slower"])
    assert [line.rpartition(" ")[2] for line in lines].count("kept") == 1
    assert lines[-1].startswith("uadx run --hpi --model default --precision f32 --batch-size 1 --devices-file ")
    assert lines[-1].endswith(" img/s")


def test_in_a_pipe_each_form_is_a_line_as_soon_as_it_was_tried(tmp_path):
    command = ["tune", "--seconds", "3", "--batch-size", "1", "-d", "openvino:CPU", "--precision", "f32"]
    with subprocess.Popen(
        [sys.executable, "-m", "uadx", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    ) as process:
        assert process.stderr.readline().startswith("openvino:CPU, f32, throughput: ")
        assert process.poll() is None  # its nine seconds of rounds are still to come
        process.kill()


@pytest.mark.parametrize("command", [("tune",), ("run", "--hpi", "--input", ".")])
def test_a_batch_that_no_machine_has_memory_for_is_refused_before_anything_is_tried(uadx, command):
    done = uadx(*command, "--batch-size", 99999999)
    assert (done.code, done.out) == (2, "")
    assert "Invalid value for '--batch-size': 99999999 is not in the range 1<=x<=1024." in done.err


def test_precisions_that_the_device_lists_are_tried_and_the_fastest_measured_in_three_rounds(tuned, monkeypatch):
    monkeypatch.setattr("uadx.tune.choice.ROUNDS", ROUNDS)
    monkeypatch.setattr("uadx.tune.choice.HINTS", HINTS)
    found = tuned("--device", "openvino:CPU")
    tried = {(one["precision"], one["hint"]) for one in found["tried"]}
    assert ("f32", "throughput") in tried
    assert {hint for _, hint in tried} == {"throughput", "latency"}
    assert all(one["runs"] == one["precision"] and not one["reason"] for one in found["tried"])
    assert found["choice"]["precision"] in {precision for precision, _ in tried}
    assert found["choice"]["batch_size"] == 1
    assert {one["batch_size"] for one in found["in_turn"]} == {1}
    assert all(len(one["images_per_second"]) == ROUNDS == 3 for one in found["in_turn"])


def test_batch_sizes_are_tried_until_a_larger_one_brings_nothing(uadx):
    found = json.loads(uadx("tune", "-d", "openvino:CPU", "--precision", "f32", "--seconds", 0.05, "--json").out)
    assert {batch for one in found["tried"] for batch in one["images_per_second"]} <= {"1", "4", "8"}
    assert all({"1", "4"} <= one["images_per_second"].keys() for one in found["tried"])


def test_a_batch_size_that_is_too_much_is_left_out_and_the_smaller_ones_count(uadx, acme):
    path = acme(answering="if len(batch['image']) > 1: raise MemoryError('too much')")
    done = uadx("tune", "--seconds", 0.05, "--precision", "f32", "--devices-file", path, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert {one["reason"] for one in found["tried"]} == {"batch 8: MemoryError: too much"}
    assert (found["choice"]["device"], found["choice"]["batch_size"]) == ("acme:card0", 1)


def test_only_what_was_asked_for_is_tried(tuned):
    found = tuned("--device", "openvino:CPU", "--precision", "f32")
    assert {(one["device"], one["precision"]) for one in found["tried"]} == {("openvino:CPU", "f32")}
    assert {one["hint"] for one in found["tried"]} == {"throughput"}


def test_int8_that_the_bundle_does_not_have_is_told_how_it_is_made(uadx):
    done = uadx("tune", *QUICK, "--device", "openvino:CPU", "--precision", "int8")
    assert done.code == 4
    made = "the bundle has no int8 form; make it: uadx export --precision int8 --model MODEL --data DIR"
    assert done.err.endswith(f"  fix: {made}\n")


def test_where_there_is_no_such_device_nobody_is_sent_to_make_an_int8_form(uadx, tmp_path):
    (tmp_path / "none.yaml").write_text("version: 1\nkinds: {npu: {backends: [gone]}}\n")
    done = uadx("tune", *QUICK, "--device", "npu", "--devices-file", tmp_path / "none.yaml")
    assert done.code == 4
    assert "gone: no installed package provides the backend 'gone'" in done.err
    assert done.err.splitlines()[-1].startswith("  fix: see what there is, and why not the rest: `uadx devices`")


def test_a_backend_that_is_fast_and_wrong_is_dropped_with_its_numbers(uadx, acme):
    path = acme(answering="maps = {k: np.zeros_like(v) for k, v in maps.items()}")
    done = uadx("tune", *QUICK, "--precision", "f32", "--devices-file", path)
    assert done.code == 4
    assert "nothing may run on npu: all that was tried is dropped" in done.err
    assert "gone: no installed package provides the backend 'gone'" in done.err
    assert "acme:card0 f32 throughput: acme:card0 does not repeat the model's golden vectors in f32: level" in done.err
    assert "openvino: it is not made for npu" in done.err


FAULTS = {
    "an exit": ("raise SystemExit(0)", "pass", "the model could not be compiled: SystemExit: 0"),
    "an error": ("raise OSError('card lost')", "pass", "the model could not be compiled: OSError: card lost"),
    "an error when it runs": ("pass", "raise OSError('card lost')", "acme:card0 failed: OSError: card lost"),
    "no answer": ("pass", "maps = None", "the device gave another answer than the model's"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_that_fails_is_a_row_and_the_others_are_measured(tuned, acme, cpu, fault):
    opening, answering, reason = FAULTS[fault]
    acme(opening, answering, kind="cpu")
    found = tuned("--precision", "f32", "--devices-file", cpu("acme", "openvino"))
    first = found["tried"][0]
    assert (first["device"], first["outcome"]) == ("acme:card0", "dropped")
    assert first["reason"].startswith(reason)
    assert found["choice"]["device"] == "openvino:CPU"


def test_a_backend_whose_module_cannot_be_imported_is_named_below_the_table(uadx, acme, cpu):
    acme(kind="cpu", backend="import acme_sdk_that_is_not_there")
    done = uadx("tune", *QUICK, "--precision", "f32", "--devices-file", cpu("acme", "openvino"))
    assert done.code == 0
    assert "acme: cannot be used here\n    the backend 'acme' is broken: its factory" in done.out
    assert ": openvino:CPU, f32, batch 1, " in done.out.splitlines()[-1]


def test_a_simulator_is_not_measured(uadx):
    done = uadx("tune", *QUICK, "--device", "ascend-sim:0")
    assert done.code == 2
    assert done.err.splitlines()[0] == "error: ascend-sim:0 is simulated: its speed is that of no hardware"


def test_auto_goes_on_to_the_next_kind_only_where_a_kind_has_no_device(tuned, acme):
    path = acme()
    path.write_text(path.read_text() + "auto: [gpu, npu, cpu]\n")
    found = tuned("--device", "auto", "--precision", "f32", "--devices-file", path)
    assert {one["device"] for one in found["tried"] if one["outcome"] != "dropped"} == {"acme:card0"}
    assert found["choice"]["device"] == "acme:card0"


@pytest.fixture
def trained(product, tmp_path):
    """The bundle that ships, as if four of the product's twelve good images had been held out when it was trained."""
    shipped = open_bundle(default_path())
    digests = [hashlib.sha256(image.read_bytes()).hexdigest() for image in (product / "train" / "good").iterdir()]
    training = msgspec.structs.replace(
        shipped.manifest.training, held_out=tuple(digest[:16] for digest in sorted(digests)[:4])
    )
    files = {name: (shipped.path / name).read_bytes() for name in shipped.manifest.files}
    write_files(tmp_path / "model", msgspec.structs.replace(shipped.manifest, training=training), files)
    return tmp_path / "model"


BY_HEART = (
    "known = [any((image == one).all() for one in self.golden) for image in batch['image']]\n"
    "        maps = {k: np.where(np.reshape(known, (-1, 1, 1)), v, v * 3) for k, v in maps.items()}"
)


def test_a_form_that_repeats_the_golden_images_alone_is_found_out_by_its_verdicts_on_the_data(
    uadx, acme, trained, product
):
    golden = "__import__('uadx.bundle.reader').bundle.reader.open_bundle().golden.images"
    path = acme(opening=f"AcmeModel.golden = {golden}", answering=BY_HEART)
    asked = ("--model", trained, "--precision", "f32", "--devices-file", path)
    assert uadx("tune", *QUICK, *asked).code == 0
    done = uadx("tune", *QUICK, *asked, "--data", product)
    assert done.code == 4
    assert " of 20 verdicts changed, and 1 % may" in done.err  # 4 held-out, and 16 of the test set


def test_verdicts_on_the_data_that_agree_are_counted_in_the_table(uadx, trained, product):
    done = uadx(
        "tune", *QUICK, "--model", trained, "-d", "openvino:CPU", "--precision", "f32", "--data", product
    )  # fmt: skip
    assert done.code == 0
    (kept,) = [line for line in done.out.splitlines() if line.endswith("kept")]
    assert "0 of 20  kept" in kept
    assert "verdicts of those measured in turn compared with f32's on 20 images of --data" in done.out


def test_a_folder_that_the_model_was_not_trained_on_is_refused(uadx, trained, product):
    done = uadx("tune", *QUICK, "--model", trained, "--data", product / "test" / "good")
    assert done.code == 2
    assert "4 of the 4 images that were held out to calibrate this model are not in" in done.err
