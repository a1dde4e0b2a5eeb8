"""What a simulator never does: stand in for hardware, keep quiet about itself, or claim a speed."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

from uadx import create_pipeline
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.devices.unusable import NoUsableDeviceError
from uadx.errors import UadxWarning
from uadx.testing.golden import small

SIMULATORS = ("ascend-sim", "kunlun-sim", "cambricon-sim")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in ("UADX_DEVICE", "UADX_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def listed(tmp_path):
    """A devices file that names a simulator under each vendor's kind, and only those."""
    path = tmp_path / "devices.yaml"
    kinds = {"npu": "ascend-sim", "xpu": "kunlun-sim", "mlu": "cambricon-sim"}
    lines = [f"  {kind}: {{backends: [{name}]}}" for kind, name in kinds.items()]
    path.write_text("\n".join(["version: 1", "kinds:", *lines, "auto: [npu, xpu, mlu]"]))
    return path


@pytest.mark.parametrize("kind", ["npu", "xpu", "mlu"])
def test_it_is_never_what_a_kind_means_even_where_a_devices_file_says_so(kind, listed):
    with pytest.raises(NoUsableDeviceError, match="a simulator, used by its own name only"):
        open_model(Request((small("relu").artifact,)), kind, devices_file=listed)


def test_it_is_never_what_auto_means(listed):
    with pytest.raises(NoUsableDeviceError, match="a simulator, used by its own name only"):
        open_model(Request((small("relu").artifact,)), "auto", devices_file=listed)


@pytest.mark.parametrize("kind", ["npu", "xpu", "mlu"])
def test_it_never_takes_the_place_of_a_card_that_is_missing(kind, uadx, good_image, tmp_path):
    done = uadx("run", "--device", kind, "--input", good_image, "--output", tmp_path / "out")
    assert done.code == 4
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_as_a_fallback_it_must_be_named_and_still_says_what_it_is(good_image):
    with pytest.warns(UadxWarning, match="running on ascend-sim:0, the fallback that was asked for"):
        pipeline = create_pipeline(device="npu:0", fallback="ascend-sim:0")
    with pipeline:
        (result,) = pipeline.predict(good_image)
    assert result["device"]["simulated"] is True
    assert result["device"]["requested"] == "npu:0"


@pytest.mark.parametrize("name", SIMULATORS)
def test_it_never_keeps_quiet(name, uadx, parts, tmp_path):
    done = uadx("run", "-d", f"{name}:0", "-i", parts, "-o", tmp_path / "out", "--format", "jsonl,json,csv,overlay")
    assert f"SIMULATED: {name}:0 is no hardware\n" in done.err
    assert "SIMULATED" in done.out
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {row["device"]["simulated"] for row in rows} == {True}
    table = (tmp_path / "out" / "results.csv").read_text("utf-8-sig").splitlines()
    assert {row["simulated"] for row in csv.DictReader(table)} == {"True"}


def test_not_even_where_it_is_to_be_quiet(uadx, good_image, tmp_path):
    done = uadx("run", "-d", "ascend-sim:0", "-i", good_image, "-o", tmp_path / "out", "--quiet")
    assert (done.out, done.err) == ("", "SIMULATED: ascend-sim:0 is no hardware\n")
    done = uadx("demo", "-d", "ascend-sim:0", "-o", tmp_path / "demo", "--quiet")
    assert done.err == "SIMULATED: no hardware has run this, but ascend-sim:0 (f16, SIMULATED)\n"


def test_the_word_stands_on_the_picture_and_in_the_result(good_image):
    with create_pipeline(device="ascend-sim:0") as simulated, create_pipeline(device="cpu") as real:
        (one,), (other,) = simulated.predict(good_image), real.predict(good_image)
        assert repr(one).endswith(", SIMULATED>")
        assert "SIMULATED" not in repr(other)
        changed = cv2.absdiff(one.img, other.img).max(axis=2) > 40
        rows, columns = np.nonzero(changed)
        assert len(rows) > 100, "a word of nine letters"
        assert np.ptp(rows) < 40 < np.ptp(columns), "in one line"


def test_the_listing_says_so_in_its_status_and_never_offers_it_for_a_kind(uadx):
    listing = json.loads(uadx("devices", "--json").out)
    rows = {row["backend"]: row for row in listing["devices"]}
    for name in SIMULATORS:
        assert (rows[name]["status"], rows[name]["kind"]) == ("SIMULATED", None)
        assert rows[name]["name"].startswith("SIMULATED ")
    assert listing["kinds"]["npu"]["device"] is None
    assert "--device npu  has no device here" in uadx("devices", "npu").out
    assert "without the card: --device ascend-sim:0, SIMULATED" in uadx("devices", "npu").out


def test_verify_and_conformance_say_so(uadx, tmp_path):
    assert "ascend-sim:0 (f16, SIMULATED), 3 golden images" in uadx("verify", "-d", "ascend-sim:0").out
    (found,) = json.loads(uadx("verify", "-d", "ascend-sim:0", "--json").out)
    assert found["simulated"] is True
    done = uadx("conformance", "cambricon-sim:0", "--json", tmp_path / "report.json")
    assert done.code == 0
    assert "SIMULATED: no hardware is tested" in done.out
    assert json.loads((tmp_path / "report.json").read_text())["simulated"] is True


def test_it_never_claims_a_speed(uadx, parts, tmp_path):
    done = uadx("run", "--device", "kunlun-sim:0", "--input", parts, "--output", tmp_path / "out")
    assert "img/s" not in done.out + done.err
    done = uadx("demo", "--device", "kunlun-sim:0", "--output", tmp_path / "demo")
    assert "img/s" not in done.out + done.err
    assert "kunlun-sim:0 (f32, SIMULATED)" in done.out
    page = (tmp_path / "demo" / "results" / "report.html").read_text("utf-8")  # its script says SIMULATED by this
    assert '"used":"kunlun-sim:0"' in page
    assert '"simulated":true' in page


def test_verdicts_are_those_of_the_processor_within_what_the_precision_may_differ_by(product, uadx, tmp_path):
    for device in ("ascend-sim:0", "cpu"):
        done = uadx("run", "--device", device, "--input", product / "test", "--output", tmp_path / device)
        assert done.code == 0, done.err
    simulated, real = (
        [json.loads(line) for line in (tmp_path / device / "results.jsonl").read_text().splitlines()]
        for device in ("ascend-sim:0", "cpu")
    )
    assert {row["is_anomaly"] for row in real} == {True, False}
    assert [row["is_anomaly"] for row in simulated] == [row["is_anomaly"] for row in real]
    differences = [
        abs(one["score"] - other["score"]) / max(1, other["score"]) for one, other in zip(simulated, real, strict=True)
    ]
    assert 0 < max(differences) < 1e-2
