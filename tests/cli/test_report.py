"""`uadx run --format html`: when the report is there, what it has of a killed, a watched and a repeated run."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from unit.test_run_report import Scripts


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def facts(page):
    return json.loads(next(text for attributes, text in page.found if attributes.get("id") == "facts"))


def decoded(picture):
    return cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)


def test_the_report_has_a_row_and_a_picture_for_each_result_and_its_path_ends_the_run(uadx, parts, tmp_path):
    out = tmp_path / "out"
    run = uadx("run", "--input", parts, "--output", out, "--format", "jsonl,overlay,html")
    assert run.out.splitlines()[-1] == f"look at it: {(out / 'report.html').as_uri()}"
    page, results = Scripts(out / "report.html"), lines(out)
    assert [found[0] for found in page.rows] == ["a.png", "b.png", "sub/a.png", "sub/broken.png"]
    assert [found[1] for found in page.rows] == [result["score"] for result in results]
    assert page.rows[3][-1] == [results[3]["error"]["type"], results[3]["error"]["message"]]
    assert all((out / found[5]).is_file() for found in page.rows[:3])
    assert [bool(picture) for picture in page.pictures] == [True, True, True, False]
    assert max(decoded(page.pictures[1]).shape[:2]) == 208
    assert sorted(path.name for path in out.iterdir()) == [
        "overlay", "report.html", "results.jsonl", "run.inputs", "run.json",
    ]  # fmt: skip


def test_the_picture_of_a_defect_is_heated_and_outlined_where_it_is_and_a_good_one_is_calm(uadx, parts, tmp_path):
    uadx("run", "--input", parts, "--output", tmp_path / "out", "--format", "jsonl,html")
    page, results = Scripts(tmp_path / "out" / "report.html"), lines(tmp_path / "out")
    good, bad = decoded(page.pictures[0]), decoded(page.pictures[1])
    saturation = [cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)[..., 1].astype(int) for picture in (good, bad)]
    x, y, wide, high = (round(value * 208 / 300) for value in results[1]["regions"][0]["bbox"])
    inside = np.s_[y + high // 4 : y + 3 * high // 4, x + wide // 4 : x + 3 * wide // 4]
    assert saturation[1][inside].mean() > saturation[0].mean() + 60


@pytest.mark.parametrize(
    ("options", "source", "fpr"),
    [((), "model", 0.01), (("--fpr", "0.05"), "fpr", 0.05), (("--threshold", "7"), "own", None)],
)
def test_the_facts_say_where_the_threshold_came_from(uadx, parts, tmp_path, options, source, fpr):
    uadx("run", "--input", parts / "a.png", "--output", tmp_path / "out", "--format", "jsonl,html", *options)
    said, (result,) = facts(Scripts(tmp_path / "out" / "report.html")), lines(tmp_path / "out")
    assert (said["threshold_from"], said["fpr"]) == (source, fpr)
    assert said["threshold"] == result["threshold"]
    assert said["device"] == result["device"]
    assert said["sha256"] == result["model"]["sha256"]
    assert said["calibration"] == sorted(said["calibration"])


def test_odd_names_have_addresses_that_lead_to_their_overlays(uadx, good_image, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for name in (b"100%#?.png", b"a b&.png", b"caf\xe9.png"):
        (images / name.decode("utf-8", "surrogateescape")).write_bytes(good_image.read_bytes())
    uadx("run", "--input", images, "--output", out, "--format", "overlay,html")
    addresses = [found[5] for found in Scripts(out / "report.html").rows]
    assert "overlay/100%25%23%3F.png.jpg" in addresses
    assert all((out / unquote(address, errors="surrogateescape")).is_file() for address in addresses)


def test_a_killed_run_goes_on_and_its_report_has_the_pictures_of_before(uadx, product, tmp_path):
    images, out = tmp_path / "many", tmp_path / "out"
    images.mkdir()
    pictures = sorted((product / "test").rglob("*.png"))
    for index in range(80):
        (images / f"{index:03}.png").symlink_to(pictures[index % len(pictures)])
    args = ("run", "--input", images, "--output", out, "--format", "jsonl,html", "--workers", "1")
    process = subprocess.Popen([sys.executable, "-m", "uadx", *map(str, args)], stderr=subprocess.PIPE)
    journal, deadline = out / "results.jsonl.part", time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 5):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "report.html").exists()
    with open(out / "run.thumbnails", "ab") as file:
        file.write(b'{"name": "cut of')

    run = uadx(*args, "--resume")
    assert run.code == 0
    page = Scripts(out / "report.html")
    assert [found[1] for found in page.rows] == [result["score"] for result in lines(out)]
    assert [found[0] for found in page.rows] == [f"{index:03}.png" for index in range(80)]
    assert all(page.pictures)
    assert page.pictures[0] == page.pictures[len(pictures)]
    assert facts(page)["resumed"] >= 5
    assert not (out / "run.thumbnails").exists()


def test_thumbnails_that_somebody_removed_are_missed_and_the_results_are_not(uadx, parts, tmp_path):
    out = tmp_path / "out"
    args = ("run", "--input", parts, "--output", out, "--format", "jsonl,html")
    uadx(*args)
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, "finished": False}))
    whole = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl.part").write_bytes(b"".join(whole[:2]))
    (out / "results.jsonl").unlink()
    assert "(2 from the earlier run)" in uadx(*args, "--resume").out
    page = Scripts(out / "report.html")
    assert [found[0] for found in page.rows] == [
        str(parts / "a.png"),
        str(parts / "b.png"),
        "sub/a.png",
        "sub/broken.png",
    ]
    assert [bool(picture) for picture in page.pictures] == [False, False, True, False]


def test_a_new_run_without_a_report_leaves_no_report_of_the_one_before(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts, "--output", out, "--format", "jsonl,html")
    uadx("run", "--input", parts / "a.png", "--output", out, "--format", "jsonl")
    assert not (out / "report.html").exists()


def test_a_watched_folder_s_report_has_all_its_runs(good_image, product, tmp_path):
    hot, out = tmp_path / "hot", tmp_path / "out"
    hot.mkdir()
    command = [
        sys.executable,
        "-m",
        "uadx",
        "run",
        "--watch",
        "--input",
        hot,
        "--output",
        out,
        "--format",
        "jsonl,html",
    ]
    for count, source in enumerate((good_image, product / "test" / "hole" / "000.png"), 1):
        (hot / f"{count}.png").write_bytes(source.read_bytes())
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout.readline().startswith((b"OK", b"NG"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        page = Scripts(out / "report.html")
        assert [found[0] for found in page.rows] == [f"{n}.png" for n in range(1, count + 1)]
        assert all(page.pictures)
