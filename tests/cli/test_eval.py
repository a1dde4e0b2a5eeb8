"""`uadx eval` on real files: table, JSON, page, exit codes."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET

import cv2
import msgspec
import numpy as np
import pytest

from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.writer import write_files


@pytest.fixture(scope="module")
def labelled(product, tmp_path_factory):
    """The product's test set, three kinds of it."""
    root = tmp_path_factory.mktemp("labelled")
    for kind in ("good", "hole", "stain"):
        shutil.copytree(product / "test" / kind, root / "test" / kind)
    shutil.copytree(product / "ground_truth", root / "ground_truth")
    return root


def test_figures_are_printed_and_a_page_and_a_record_are_written(uadx, labelled, tmp_path):
    run = uadx("eval", "--data", labelled, "--output", tmp_path / "out")
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert lines[0].split() == ["kind", "images", "NG", "AUROC", "AUPR", "F1max", "pixAUROC", "AUPRO", "AUPRO5%"]
    assert lines[1].split() == ["good", "4", "0"]
    assert lines[2].split()[:6] == ["hole", "2", "2", "1.000", "1.000", "1.000"]
    assert "0.0 % false alarms (0 of 4)" in run.out
    assert run.out.splitlines()[-1].endswith((tmp_path / "out" / "index.html").as_uri())

    record = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert [kind["kind"] for kind in record["kinds"]] == ["good", "hole", "stain"]
    assert record["kinds"][1]["auroc"] == {"value": 1.0, "low": pytest.approx(0.342, abs=1e-3), "high": 1.0}
    assert record["device"] == {"used": "openvino:CPU", "simulated": False}

    page = (tmp_path / "out" / "index.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)  # nothing from elsewhere
    assert "<script" not in page
    assert page.count("<figure") == 4 + 4
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(chart)
    assert page.count("<svg") == 4


def test_every_image_has_its_score_or_its_error_in_a_table(uadx, labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "data")
    (tmp_path / "data" / "test" / "good" / "broken.png").write_bytes(b"no picture")
    run = uadx("eval", "--data", tmp_path / "data", "-o", tmp_path / "out")
    assert run.code == 8
    with open(tmp_path / "out" / "images.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    (broken,) = (row for row in rows if row["error"])
    assert broken["input_path"].endswith("broken.png")
    assert broken["error"].startswith("not_an_image: ")
    assert {row["verdict"] for row in rows if "/hole/" in row["input_path"]} == {"NG"}


def test_json_is_printed_when_asked_for(uadx, labelled, tmp_path):
    run = uadx("eval", "--data", labelled, "-o", tmp_path / "out", "--json")
    assert json.loads(run.out) == json.loads((tmp_path / "out" / "eval.json").read_text())


def test_another_threshold_changes_the_verdicts_and_not_the_ranks(uadx, labelled, tmp_path):
    first = json.loads(uadx("eval", "--data", labelled, "-o", tmp_path / "a", "--json").out)
    other = json.loads(uadx("eval", "--data", labelled, "-o", tmp_path / "b", "--json", "--threshold", -100).out)
    assert (first["kinds"][0]["flagged"], other["kinds"][0]["flagged"]) == (0, 4)
    assert first["total"]["auroc"] == other["total"]["auroc"]
    assert "which was given" in (tmp_path / "b" / "index.html").read_text()


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_measured(uadx, labelled, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(labelled, data)
    (data / "test" / "good" / "broken.png").write_bytes(b"junk")
    run = uadx("eval", "--data", data, "-o", tmp_path / "out")
    assert run.code == 8
    assert "broken.png" in run.err
    assert "Inputs that could not be read and count for nothing: 1." in run.out


def test_without_a_model_or_without_defects_the_output_says_so(uadx, labelled, tmp_path):
    shutil.copytree(labelled / "test" / "good", tmp_path / "test" / "good")
    run = uadx("eval", "--data", tmp_path, "-o", tmp_path / "out")
    assert run.err == "no --model is given: this is the demo product's, which knows nothing but its mesh\n"
    assert "0.0 % false alarms (0 of 4)\n" in run.out
    assert "defects found" not in run.out


def test_images_of_another_product_are_noted_in_every_output(uadx, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "test" / "good").mkdir(parents=True)
    for number in range(5):
        cv2.imwrite(str(tmp_path / "test" / "good" / f"{number}.png"), rng.integers(0, 256, (300, 300, 3), np.uint8))
    run = uadx("eval", "--model", "default", "--data", tmp_path, "-o", tmp_path / "out")
    words = "5 of 5 images look unlike what the model was calibrated on"
    assert words in run.out
    assert words in (tmp_path / "out" / "index.html").read_text()
    assert words in json.loads((tmp_path / "out" / "eval.json").read_text())["notes"][0]


def test_images_that_taught_or_calibrated_the_model_are_said_everywhere_and_measured_all_the_same(
    uadx, labelled, tmp_path
):
    shipped = open_bundle(default_path())
    good = sorted((labelled / "test" / "good").iterdir())
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in good]
    training = msgspec.structs.replace(
        shipped.manifest.training, taught=tuple(digests[:2]), held_out=(*shipped.manifest.training.held_out, digests[2])
    )
    files = {name: (shipped.path / name).read_bytes() for name in shipped.manifest.files}
    write_files(tmp_path / "model", msgspec.structs.replace(shipped.manifest, training=training), files)
    run = uadx("eval", "--model", tmp_path / "model", "--data", labelled, "-o", tmp_path / "out", "--json")
    words = (
        "of 8 test images 2 taught the model and 1 calibrated it: the figures are better than those of new parts "
        "would be. Test on images that the training had not"
    )
    assert (run.code, run.err) == (0, f"warning: {words}\n")
    record = json.loads(run.out)
    assert record["known"] == {"taught": 2, "calibrated": 1}
    assert record["total"]["auroc"]["value"] > 0.9
    assert f"<p><strong>Mind: {words}.</strong></p>" in (tmp_path / "out" / "index.html").read_text()


def test_images_that_the_training_had_not_are_no_matter(uadx, labelled, tmp_path):
    run = uadx("eval", "--model", "default", "--data", labelled, "-o", tmp_path / "out", "--json")
    assert run.err == ""
    assert json.loads(run.out)["known"] == {"taught": 0, "calibrated": 0}
    assert "Mind:" not in (tmp_path / "out" / "index.html").read_text()


def test_a_simulator_says_so(uadx, labelled, tmp_path):
    run = uadx("eval", "--data", labelled, "-o", tmp_path / "out", "-d", "kunlun-sim:0")
    assert run.err.splitlines()[0] == "SIMULATED: kunlun-sim:0 is no hardware"
    assert "SIMULATED" in run.out
    assert "SIMULATED" in (tmp_path / "out" / "index.html").read_text()


def test_a_bad_mask_is_an_error_of_its_own_and_the_rest_is_measured(uadx, labelled, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(labelled, data)
    mask = data / "ground_truth" / "hole" / "000_mask.png"
    mask.write_bytes(b"no picture")
    run = uadx("eval", "--data", data, "-o", tmp_path / "out")
    assert run.code == 8
    assert f"error: the mask {mask} does not fit its image: no picture that can be read" in run.err
    assert json.loads((tmp_path / "out" / "eval.json").read_text())["total"]["aupro"]["value"] > 0


def test_a_folder_that_is_no_test_set_is_refused_with_the_layout(uadx, tmp_path):
    (tmp_path / "photos").mkdir()
    run = uadx("eval", "--data", tmp_path / "photos")
    fix = "good images go to test/good, those of a defect to test/<its name>, masks to ground_truth/<its name>"
    assert run.code == 2
    assert run.err.splitlines() == [f"error: {tmp_path / 'photos'} has no sub-folder 'good'", f"  fix: {fix}"]
    run = uadx("eval", "--data", tmp_path / "none")
    assert run.err.splitlines()[0] == f"error: --data {tmp_path / 'none'} is not a directory"
