"""`uadx check`: table, JSON, page, exit codes."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec

import pytest


@pytest.fixture
def spoilt(product, tmp_path):
    """A set with a leak, an unreadable file and a copy."""
    data = tmp_path / "data"
    shutil.copytree(product, data)
    shutil.copy(data / "train" / "good" / "000.png", data / "test" / "good" / "leak.png")
    shutil.copy(data / "train" / "good" / "001.png", data / "train" / "good" / "zcopy.png")
    (data / "test" / "hole" / "broken.png").write_bytes(b"junk")
    return data


def test_what_is_wrong_is_printed_recorded_and_shown(uadx, spoilt, tmp_path):
    run = uadx("check", "--data", spoilt, "--output", tmp_path / "out", "--quick")
    assert run.code == 9
    lines = run.out.splitlines()
    assert "error: 1 picture in train and in test alike (the very same file)" in lines
    assert "    train/good/000.png = test/good/leak.png" in lines
    assert "  fix: remove them from one side: a test on what was trained on says nothing" in lines
    assert "warning: 1 repeated image to train on (the very same file)" in lines
    assert "30 images: 2 errors, 2 warnings" in lines
    record = json.loads((tmp_path / "out" / "check.json").read_text())
    assert record["images"] == 30
    assert record["unread"] == [
        {"path": "test/hole/broken.png", "reason": "its content is not that of a known image format"}
    ]
    assert {finding["weight"] for finding in record["findings"]} == {"error", "warning"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("<img") == 4
    assert "test/hole/broken.png" in page


def test_json_is_printed_when_asked_for(uadx, spoilt, tmp_path):
    run = uadx("check", "--data", spoilt, "-o", tmp_path / "out", "--quick", "--json")
    assert json.loads(run.out) == json.loads((tmp_path / "out" / "check.json").read_text())


def test_warnings_alone_end_with_0(uadx, product, tmp_path):
    run = uadx("check", "--data", product, "-o", tmp_path / "out", "--quick")
    assert (run.code, run.out.splitlines()[0]) == (0, "warning: 12 good images to train on")


@pytest.mark.parametrize("names", [["000"], ["000", "001", "002"], ["000"] * 6])
def test_fewer_different_images_than_a_training_takes_are_an_error_in_its_words(uadx, product, tmp_path, names):
    (tmp_path / "data").mkdir()
    for number, name in enumerate(names):
        shutil.copy(product / "train" / "good" / f"{name}.png", tmp_path / "data" / f"{number}.png")
    run = uadx("check", "--data", tmp_path / "data", "-o", tmp_path / "out", "--quick")
    assert run.code == 9
    said = [
        f"error: {tmp_path / 'data'} holds {len(set(names))} different readable images; training needs at least 5",
        "  fix: bring more pictures of good parts: 20 are a start, 200 make a threshold for 2.5 % false alarms",
    ]
    assert run.out.splitlines()[:2] == said
    assert run.out.splitlines()[-2].startswith(f"{len(names)} image{'s' * (len(names) > 1)}: 1 error")
    if find_spec("torch") is not None:
        assert uadx("train", "--data", tmp_path / "data", "-o", tmp_path / "m").err.splitlines()[-2:] == said


def test_an_output_that_cannot_be_written_is_said_before_a_picture_is_read(uadx, product, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file in its place")
    monkeypatch.setattr("uadx.check.survey.survey", pytest.fail)
    run = uadx("check", "--data", product, "-o", tmp_path / "taken" / "out")
    assert run.code == 1
    first, cause, fix = run.err.splitlines()
    assert first == f"error: {tmp_path / 'taken' / 'out'} cannot be written"
    assert str(tmp_path / "taken") in cause
    assert fix == "  fix: choose another place: --output DIR"


def test_an_empty_mask_file_is_a_finding(uadx, product, tmp_path):
    shutil.copytree(product, tmp_path / "data")
    (tmp_path / "data" / "ground_truth" / "hole" / "000_mask.png").write_bytes(b"")
    run = uadx("check", "--data", tmp_path / "data", "-o", tmp_path / "out", "--quick")
    assert run.code == 9
    assert run.out.splitlines()[:2] == [
        "error: 1 image whose mask has another size, or is no picture",
        "    test/hole/000.png",
    ]


def test_the_search_for_hidden_defects_says_what_it_did(uadx, product, tmp_path):
    run = uadx("check", "--data", product, "-o", tmp_path / "out")
    assert run.code == 0
    if find_spec("torch") is None:
        assert "were not looked for: the package 'torch' is not installed" in run.out
        assert "fix: python -m pip install 'uadx[torch]', or --quick" in run.out
    else:
        assert "good image" in run.out
        assert (tmp_path / "out" / "index.html").read_text().count("<img") >= 1


def test_a_folder_without_images_is_a_usage_error(uadx, tmp_path):
    run = uadx("check", "--data", tmp_path)
    assert (run.code, run.err.splitlines()) == (
        2,
        [f"error: {tmp_path} holds no image", "  fix: good images go to DIR itself, or to DIR/train/good"],
    )
