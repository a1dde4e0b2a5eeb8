"""`uadx drift` on results of real runs, repeated and altered."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def rows(product, tmp_path_factory):
    """Rows of good parts of the demo product."""
    from uadx import create_pipeline

    with create_pipeline() as pipeline:
        return [dict(result.json) for result in pipeline.predict(product / "train" / "good")]


def write(path, rows, scores):
    """A results.jsonl with these scores, each with the p-value that the model's calibration gives it."""
    from uadx.bundle.reader import open_bundle

    calibration = open_bundle().calibration("quantile")
    lines = [
        {**rows[0], "score": score, "p_value": calibration.p_value(score), "is_anomaly": score > 0.4}
        for score in scores
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def calibrated():
    from uadx.bundle.reader import open_bundle

    return open_bundle().calibration("quantile").scores


def test_a_run_like_the_calibration_is_no_drift(uadx, rows, tmp_path):
    file = write(tmp_path / "results.jsonl", rows, np.random.default_rng(0).permutation(calibrated())[:300].tolist())
    run = uadx("drift", "--results", file)
    assert run.code == 0, run.err
    assert "No drift: the scores are like those of the calibration" in run.out
    assert run.out.splitlines()[0].split() == ["images", "NG", "median", "higher", "may", "be", "lower", "may", "be"]


def test_higher_scores_are_drift_with_a_page_json_and_advice(uadx, rows, tmp_path):
    shifted = [score + 0.5 for score in calibrated()]
    file = write(tmp_path / "results.jsonl", rows, shifted)
    page = tmp_path / "drift.html"
    run = uadx("drift", "--results", file, "--output", page)
    assert run.code == 9
    assert "Drift: from image 1 on the scores are higher than those of the calibration" in run.out
    assert "uadx recalibrate --model default --data GOOD --output NEW" in run.out
    assert "<polyline" in page.read_text()
    assert "http" not in page.read_text().replace("http://www.w3.org", "")
    found = json.loads(uadx("drift", "--results", file, "--json").out)
    assert found["drift"] is True
    assert found["parts"][0]["drift"] == "higher"


def test_the_results_of_a_real_run_are_read(uadx, product, tmp_path):
    run = uadx("run", "--input", product / "train" / "good", "--output", tmp_path / "out", "--format", "jsonl")
    assert run.code == 0
    run = uadx("drift", "--results", tmp_path / "out" / "results.jsonl")
    assert run.code == 2
    assert run.err.splitlines()[0] == "error: 12 inspected images show no drift or none"


def test_other_results_and_broken_ones_are_refused(uadx, rows, tmp_path):
    other = [{**row, "model": {"name": "nut", "sha256": "0" * 64}, "p_value": 0.123} for row in rows] * 10
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in other))
    run = uadx("drift", "--results", file)
    assert run.code == 2
    assert "has results of the model nut 000000000000, and --model is default" in run.err
    (tmp_path / "notes.txt").write_text("no results\n")
    assert "is not the results.jsonl of a uadx run" in uadx("drift", "--results", tmp_path / "notes.txt").err
    assert "cannot be read" in uadx("drift", "--results", tmp_path / "none.jsonl").err
    wrong = [{**row, "p_value": 0.123} for row in rows] * 20
    (tmp_path / "wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wrong))
    assert (
        "p-values that are not of this model's calibration" in uadx("drift", "--results", tmp_path / "wrong.jsonl").err
    )
    (tmp_path / "errors.jsonl").write_text(json.dumps({**rows[0], "score": None, "p_value": None}) + "\n")
    assert "the results have no inspected image" in uadx("drift", "--results", tmp_path / "errors.jsonl").err


def test_a_form_that_was_added_to_the_bundle_since_changes_nothing(uadx, rows, tmp_path):
    file = write(tmp_path / "results.jsonl", rows, np.random.default_rng(0).permutation(calibrated())[:300].tolist())
    assert uadx("export", "--model", "default", "--format", "openvino", "--output", tmp_path / "edge").code == 0
    run = uadx("drift", "--model", tmp_path / "edge", "--results", tmp_path)  # the folder of the run
    assert run.code == 0, run.err
    assert file.exists()


def test_ng_is_counted_by_the_run_s_own_threshold(uadx, rows, tmp_path):
    file = write(tmp_path / "results.jsonl", rows, np.random.default_rng(0).permutation(calibrated())[:300].tolist())
    parts = json.loads(uadx("drift", "--results", file, "--json").out)["parts"]
    counted = sum(json.loads(line)["is_anomaly"] for line in file.read_text().splitlines())
    assert counted > 0
    assert sum(round(part["ng"] * (part["last"] - part["first"] + 1)) for part in parts) == counted


@pytest.mark.parametrize("option", ["--level", "--defects"])
def test_what_is_no_number_is_refused(uadx, rows, tmp_path, option):
    file = write(tmp_path / "results.jsonl", rows, calibrated()[:200])
    run = uadx("drift", "--results", file, option, "nan")
    assert run.code == 2
    assert "nan is not a finite number" in run.err


def test_a_line_that_is_still_being_written_is_left_for_later(uadx, rows, tmp_path):
    file = write(tmp_path / "results.jsonl", rows, calibrated()[:200])
    with open(file, "a") as lines:
        lines.write('\n{"score": 1.')
    assert uadx("drift", "--results", file).code in {0, 9}
    with open(file, "a") as lines:
        lines.write("\n")
    assert uadx("drift", "--results", file).code == 2  # a line that ended in the middle
