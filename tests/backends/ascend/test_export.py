"""`uadx export --format om`: the .om goes into the bundle, and a run on the card it was made for uses it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from uadx.bundle.reader import default_path, open_bundle

HERE = Path(__file__).parent
OM = "stfpm.Ascend310P3.f16.om"


@pytest.fixture
def bundle(tmp_path):
    """A bundle of the user's own."""
    path = tmp_path / "model"
    shutil.copytree(default_path(), path)
    return path


@pytest.fixture
def no_atc(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def on_card():
    """on_card("run", ..., soc=...): the command in a process that finds the stand-in for acl, and no atc."""

    def run(*arguments, path=None, **knobs):
        environment = dict(os.environ, ACL_KNOBS=json.dumps(knobs))
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "on_path"), str(HERE / "fakes"), *sys.path])
        environment["PATH"] = str(path or HERE)  # where there is no atc
        command = [sys.executable, "-m", "uadx", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    return run


def files(bundle):
    return sorted(path.name for path in bundle.iterdir())


def test_the_om_is_in_the_bundle_with_its_card_and_precision(uadx, atc, bundle):
    done = uadx("export", "--model", bundle, "--format", "om", "--soc-version", "Ascend310P3")
    assert (done.code, done.err) == (0, "")
    said, checked = done.out.splitlines()
    assert said == f"{bundle} has {OM} (Ascend310P3 f16)"
    assert checked.startswith("not run here: ")
    [variant] = open_bundle(bundle).manifest.variants
    assert (variant.file, variant.format, variant.target, variant.precision) == (OM, "om", "Ascend310P3", "f16")
    assert files(bundle) == sorted(["golden.npz", "manifest.json", "stfpm.onnx", OM, f"{OM}.json"])
    assert re.search(rf"^also as om +{OM} Ascend310P3 f16$", uadx("info", bundle).out, re.MULTILINE)


def test_a_changed_om_is_found(uadx, atc, bundle):
    uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3")
    (bundle / OM).write_bytes((bundle / OM).read_bytes() + b"!")
    done = uadx("info", bundle)
    assert done.code != 0
    assert f"{OM} is corrupt or was changed" in done.err


def test_the_card_runs_the_om_and_needs_no_atc(uadx, atc, bundle, on_card, parts, tmp_path):
    uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3")
    done = on_card("run", "-m", bundle, "--device", "npu:1", "-i", parts, "-o", tmp_path / "npu")
    assert done.returncode == 8, done.stderr  # one of the files is no picture
    assert "atc" not in done.stderr
    uadx("run", "-m", bundle, "--device", "cpu", "-i", parts, "-o", tmp_path / "cpu")
    npu, cpu = (results(tmp_path / name) for name in ("npu", "cpu"))
    assert {result["device"]["precision"] for result in npu if "device" in result} == {"f16"}
    assert [result["is_anomaly"] for result in npu] == [result["is_anomaly"] for result in cpu]
    for one, other in zip(npu, cpu, strict=True):
        assert one["score"] == other["score"] or abs(one["score"] - other["score"]) < 3e-3


def results(folder):
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [row for row in rows if row["error"] is None]


def test_another_card_is_refused_with_both_names_where_atc_is_absent(uadx, atc, bundle, on_card, good_image, tmp_path):
    uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3")
    done = on_card(
        "run", "-m", bundle, "--device", "npu:0", "-i", good_image, "-o", tmp_path / "out", soc="Ascend910B1"
    )
    assert done.returncode != 0
    assert f"{OM} (Ascend310P3, f16), and none for Ascend910B1 in f16" in done.stderr
    assert "uadx export --model MODEL --format om --soc-version Ascend910B1" in done.stderr


def test_a_card_without_an_om_has_the_model_converted_and_says_so(bundle, on_card, atc_folder, good_image, tmp_path):
    done = on_card("run", "-m", bundle, "--device", "npu", "-i", good_image, "-o", tmp_path / "out", path=atc_folder)
    assert done.returncode == 0, done.stderr
    assert "atc converts the model for Ascend310P3 first, which takes minutes" in done.stderr
    assert "uadx export --model MODEL --format om --soc-version Ascend310P3" in done.stderr


def test_the_onnx_model_and_its_numbers_stay(uadx, atc, bundle):
    before = open_bundle(bundle)
    uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3")
    after = open_bundle(bundle)
    assert after.artifact.sha256 == before.artifact.sha256
    assert after.manifest.calibration == before.manifest.calibration
    assert uadx("verify", "-m", bundle).code == 0


def test_one_for_each_card_is_kept_and_the_same_again_replaces(uadx, atc, bundle):
    for soc, batches in [("Ascend310P3", "1,2"), ("Ascend910B1", "1,2"), ("Ascend310P3", "4")]:
        assert uadx("export", "-m", bundle, "-f", "om", "--soc-version", soc, "--batch", batches).code == 0
    assert {variant.target for variant in open_bundle(bundle).manifest.variants} == {"Ascend310P3", "Ascend910B1"}
    assert json.loads((bundle / f"{OM}.json").read_text())["gears"] == [4]


def test_another_bundle_or_a_zip_may_be_written_instead(uadx, atc, bundle, tmp_path):
    before = files(bundle)
    done = uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3", "-o", tmp_path / "other.zip")
    assert done.code == 0
    assert files(bundle) == before
    assert len(open_bundle(tmp_path / "other.zip").manifest.variants) == 1
    done = uadx("export", "-m", tmp_path / "other.zip", "-f", "om", "--soc-version", "Ascend910B1")
    assert done.code == 0
    assert len(open_bundle(tmp_path / "other.zip").manifest.variants) == 2


def test_the_shipped_bundle_is_left_alone(uadx, atc, tmp_path):
    done = uadx("export", "-m", "default", "-f", "om", "--soc-version", "Ascend310P3")
    assert done.code == 2
    assert "name another to write: --output MODEL" in done.err
    assert uadx("export", "-m", "default", "-f", "om", "--soc-version", "Ascend310P3", "-o", tmp_path / "m").code == 0


def test_without_atc_the_command_is_printed_and_its_om_taken_over(uadx, no_atc, atc_folder, bundle, tmp_path):
    before = files(bundle)
    asked = ("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3", "--batch", "1,4")
    done = uadx(*asked)
    assert done.code == 4
    assert "to a machine with the CANN toolkit (it needs no card)" in done.err
    assert f"--converted {OM}" in done.err
    assert files(bundle) == before
    [line] = [line.strip() for line in done.err.splitlines() if line.strip().startswith("atc ")]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([atc_folder / "atc", *shlex.split(line)[1:]], cwd=elsewhere, check=True, capture_output=True)
    assert uadx(*asked, "--converted", elsewhere / OM).code == 0
    assert (bundle / OM).read_bytes() == (elsewhere / OM).read_bytes()
    assert json.loads((bundle / f"{OM}.json").read_text())["gears"] == [1, 4]


def test_a_file_that_is_no_om_is_not_taken_over(uadx, bundle, good_image):
    asked = ("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend310P3", "--converted")
    done = uadx(*asked, good_image)
    assert (done.code, done.err) == (
        2,
        f"error: {good_image} is no .om\n  fix: give the file that atc wrote\n",
    )
    done = uadx(*asked, bundle / "missing.om")
    assert done.code == 2
    assert "missing.om cannot be read" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "om"], "an .om is made for one kind of card, and none is named"),
        (["--format", "om", "--soc-version", "310P3"], "'310P3' is no soc version that atc takes"),
        (["--format", "om", "--soc-version", "Ascend310P3", "--precision", "int8"], "an .om is not made in int8"),
        (["--format", "om", "--soc-version", "Ascend310P3", "--batch", "1,x"], "'1,x' is no list of batch sizes"),
        (
            ["--format", "om", "--soc-version", "Ascend310P3", "--batch", "1,99999999"],
            "'1,99999999' is no list of batch sizes of 1 to 1024",
        ),
        (["--format", "omm", "--soc-version", "Ascend310P3"], "no installed backend exports 'omm'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(uadx, atc, bundle, options, words):
    before = files(bundle)
    done = uadx("export", "--model", bundle, *options)
    assert done.code == 2
    assert words in done.err
    assert files(bundle) == before


def test_what_atc_says_against_it_leaves_the_bundle_as_it_was(uadx, atc, bundle):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    done = uadx("export", "-m", bundle, "-f", "om", "--soc-version", "Ascend999")
    assert done.code == 5
    assert "E10001: Value [Ascend999] for parameter [soc_version] is invalid" in done.err
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
