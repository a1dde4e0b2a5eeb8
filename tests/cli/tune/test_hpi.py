"""`uadx run --hpi` and `create_pipeline(enable_hpi=True)`: what runs, and what is remembered."""

import json

import msgspec
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.writer import write_files
from uadx.errors import UsageError

pytest.importorskip("openvino", reason="openvino is not installed")

QUICK = ("--seconds", 0.05, "--batch-size", 1)


@pytest.fixture
def hpi(uadx, good_image, tmp_path):
    """`uadx run --hpi` of one image: what it said of its choice, and its result."""

    def run(*arguments):
        done = uadx(
            "run", "--hpi", "-i", good_image, "-o", tmp_path / "out", "--format", "jsonl", "--batch-size", 1, *arguments
        )  # fmt: skip
        assert done.code == 0, done.err
        (said,) = [line for line in done.err.splitlines() if line.startswith("hpi: ")]
        return said, json.loads((tmp_path / "out" / "results.jsonl").read_text())

    return run


@pytest.fixture
def measurements(monkeypatch):
    """What has been measured, by bundle: counts calls, and measures shortly."""
    from uadx.tune import fastest

    measured = []
    tune = fastest.tune

    def counting(bundle, config, seconds, *more):
        measured.append(bundle.sha256)
        return tune(bundle, config, 0.05, *more)

    monkeypatch.setattr(fastest, "tune", counting)
    return measured


def test_hpi_measures_once_and_remembers(hpi, measurements):
    said, result = hpi("--device", "openvino:CPU", "--precision", "f32")
    assert said.startswith("hpi: openvino:CPU, f32, batch 1, ")
    assert said.endswith(" img/s, measured now")
    assert result["device"]["requested"] == result["device"]["used"] == "openvino:CPU"
    said, _ = hpi("--device", "openvino:CPU", "--precision", "f32")
    assert " img/s, remembered from 20" in said
    assert len(measurements) == 1


def test_hpi_takes_what_tune_has_measured_and_tune_always_measures(uadx, hpi, cpu, measurements):
    asked = ("--precision", "f32", "--devices-file", cpu("openvino"))
    for count in (1, 2):
        assert uadx("tune", *QUICK, "--device", "cpu:0", *asked).code == 0
        assert len(measurements) == count
    said, result = hpi("--device", "cpu", *asked)
    assert "remembered" in said
    assert len(measurements) == 2
    assert (result["device"]["requested"], result["device"]["precision"]) == ("cpu", "f32")


def test_another_bundle_another_restriction_and_a_damaged_file_are_measured_anew(hpi, measurements, tmp_path):
    asked = ("--device", "openvino:CPU", "--precision", "f32")
    shipped = open_bundle(default_path())
    files = {name: (shipped.path / name).read_bytes() for name in shipped.manifest.files}
    write_files(tmp_path / "other", msgspec.structs.replace(shipped.manifest, name="other"), files)
    hpi(*asked)
    hpi(*asked, "--model", tmp_path / "other")
    assert measurements == [shipped.sha256, open_bundle(tmp_path / "other").sha256]
    hpi(*asked, "--batch-size", 2)
    assert len(measurements) == 3
    for path in (tmp_path / "cache" / "uadx" / "tune").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    said, _ = hpi(*asked)
    assert said.endswith("measured now")
    assert len(measurements) == 4


def test_another_driver_or_another_visible_device_is_measured_anew(hpi, acme, measurements, monkeypatch):
    asked = ("--precision", "f32", "--devices-file", acme())
    _, result = hpi(*asked)
    assert (result["device"]["requested"], result["device"]["used"]) == ("npu", "acme:card0")
    monkeypatch.setenv("ACME_DRIVER", "2")
    assert hpi(*asked)[0].endswith("measured now")
    assert "remembered" in hpi(*asked)[0]
    monkeypatch.setenv("ACME_VISIBLE", "1")
    assert hpi(*asked)[0].endswith("measured now")
    assert len(measurements) == 3


def test_a_cache_that_cannot_be_written_is_warned_of_and_the_run_goes_on(uadx, measurements, good_image, tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    done = uadx(
        "run", "--hpi", "-d", "openvino:CPU", "--precision", "f32", "-i", good_image, "-o", tmp_path / "out",
        "--batch-size", 1, "--format", "jsonl",
    )  # fmt: skip
    assert done.code == 0
    assert "warning: what was measured cannot be remembered: " in done.err


def test_what_was_measured_on_a_busy_machine_says_so(uadx, hpi, monkeypatch, measurements):
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0), raising=False)
    asked = ("--device", "openvino:CPU", "--precision", "f32")
    done = uadx("tune", *QUICK, *asked)
    assert "the machine was busy with something else when this began: measure again when it is quiet" in done.out
    assert hpi(*asked)[0].endswith(" while the machine was busy: `uadx tune` measures again")


def test_a_run_that_was_tuned_is_resumed(uadx, hpi, parts, tmp_path, measurements):
    asked = ("-i", parts, "--device", "openvino:CPU", "--precision", "f32", "--batch-size", 1)
    run = ("run", "--hpi", *asked, "-o", tmp_path / "out", "--format", "jsonl")
    assert uadx(*run).code == 8
    done = uadx(*run, "--resume")
    assert done.code == 8
    assert "(4 from the earlier run)" in done.out


def test_a_fallback_and_hpi_exclude_each_other(uadx, good_image, tmp_path):
    done = uadx("run", "--hpi", "--fallback", "cpu", "-i", good_image, "-o", tmp_path / "out")
    assert done.code == 2
    assert "`enable_hpi` (--hpi) runs what was measured, and no fallback such as 'cpu'" in done.err


def test_paddlexs_spelling_and_the_configuration_file_mean_the_same(uadx, good_image, tmp_path, measurements):
    path = tmp_path / "mine.yaml"
    path.write_text("Pipeline: {enable_hpi: true, device: 'openvino:CPU', precision: f32, batch_size: 1}\n")
    run = ("run", "-i", good_image, "-o", tmp_path / "out", "--format", "jsonl")
    assert "hpi: " in uadx(*run, "--pipeline", path).err
    assert "hpi: " not in uadx(*run, "--pipeline", path, "--no-hpi").err
    done = uadx(*run, "--use_hpip", "-d", "openvino:CPU", "--precision", "f32", "--batch-size", 1)
    assert "remembered" in done.err


def test_create_pipeline_takes_enable_hpi(good_image, measurements):
    with create_pipeline(device="openvino:CPU", enable_hpi=True, precision="f32", batch_size=1) as pipeline:
        (result,) = pipeline.predict(good_image)
        assert pipeline.fastest.choice.device == result["device"]["used"] == "openvino:CPU"
        assert pipeline.config.hint == pipeline.fastest.choice.hint
    with pytest.raises(UsageError, match="is simulated"):
        create_pipeline(device="ascend-sim:0", enable_hpi=True)
    assert len(measurements) == 2
