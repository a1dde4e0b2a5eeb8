"""`uadx run`: what it writes, what it prints, how it ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

ALL_FORMATS = "jsonl,csv,json,overlay,heatmap,mask,html"


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def test_a_directory_gives_one_line_an_image_in_order_and_exit_8_for_a_bad_file(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts, "--output", tmp_path / "out")
    results = lines(tmp_path / "out")
    assert run.code == 8
    assert [os.path.relpath(r["input_path"], parts) for r in results] == [
        "a.png", "b.png", "sub/a.png", "sub/broken.png",
    ]  # fmt: skip
    assert [r["is_anomaly"] for r in results] == [False, True, False, None]
    assert "4 images, 1 NG, 1 error, " in run.out
    assert "1 of 4 inputs could not be read" in run.err
    assert "Traceback" not in run.err


def test_a_line_has_the_documented_fields(uadx, parts, tmp_path):
    uadx("run", "--input", parts, "--output", tmp_path / "out")
    good, bad, _, broken = lines(tmp_path / "out")
    assert list(good) == [
        "input_path", "frame", "image_size", "windows", "score", "threshold", "pixel_threshold", "is_anomaly",
        "p_value", "unfamiliar", "regions", "model", "device", "ms", "error",
    ]  # fmt: skip
    assert good["image_size"] == list(cv2.imread(str(parts / "a.png")).shape[:2])
    assert good["score"] <= good["threshold"] < bad["score"]
    assert good["regions"] == []
    assert (good["windows"], broken["windows"]) == (1, 0)
    assert bad["p_value"] < 0.05
    height, width = bad["image_size"]
    for region in bad["regions"]:
        x, y, w, h = region["bbox"]
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        assert region["area"] <= w * h
        assert x <= region["peak"][0] < x + w
        assert y <= region["peak"][1] < y + h
        assert region["score"] > bad["threshold"] or region["area"] == 1
    assert bad["device"] == {
        "requested": "cpu", "used": "openvino:CPU", "backend": "openvino", "precision": "f32", "simulated": False,
        "fallback_reason": None,
    }  # fmt: skip
    assert set(bad["model"]) == {"name", "sha256"}
    assert all(bad["ms"][stage] > 0 for stage in ("decode", "infer", "score"))
    assert broken["error"]["type"] == "not_an_image"
    assert broken["error"]["message"].startswith(str(parts / "sub" / "broken.png"))
    assert (broken["score"], broken["is_anomaly"], broken["image_size"]) == (None, None, None)


def test_every_format_mirrors_the_directories_of_the_input(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts, "--output", out, "--format", ALL_FORMATS)
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    names = ["a.png", "b.png", "sub/a.png"]
    expected = ["report.html", "results.csv", "results.jsonl", "run.inputs", "run.json"]
    expected += [f"json/{name}.json" for name in [*names, "sub/broken.png"]]
    expected += [f"overlay/{name}.jpg" for name in names]
    expected += [f"{kind}/{name}.png" for kind in ("heatmap", "mask") for name in names]
    assert written == sorted(expected)


def test_pictures_have_the_size_of_the_image_and_an_ok_image_has_an_empty_mask(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts, "--output", out, "--format", ALL_FORMATS)
    size = cv2.imread(str(parts / "b.png")).shape
    assert cv2.imread(str(out / "overlay" / "b.png.jpg")).shape == size
    assert cv2.imread(str(out / "heatmap" / "b.png.png")).shape == size
    mask = cv2.imread(str(out / "mask" / "b.png.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == size[:2]
    assert set(np.unique(mask)) == {0, 255}
    assert not cv2.imread(str(out / "mask" / "a.png.png"), cv2.IMREAD_UNCHANGED).any()


def test_the_mask_is_the_regions(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts / "b.png", "--output", out, "--format", "jsonl,mask")
    (result,) = lines(out)
    mask = cv2.imread(str(out / "mask" / "b.png.png"), cv2.IMREAD_UNCHANGED)
    assert sum(region["area"] for region in result["regions"]) == np.count_nonzero(mask)


def test_csv_has_one_row_an_image(uadx, parts, tmp_path):
    uadx("run", "--input", parts, "--output", tmp_path / "out", "--format", "csv")
    with open(tmp_path / "out" / "results.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["OK", "NG", "OK", ""]
    assert float(rows[1]["score"]) > float(rows[1]["threshold"])
    assert rows[3]["error"].startswith("not_an_image: ")
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_a_threshold_of_ones_own_decides(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts / "b.png", "--output", tmp_path / "out", "--threshold", 1e6)
    assert run.code == 0
    assert lines(tmp_path / "out")[0]["is_anomaly"] is False


def test_a_laxer_false_alarm_rate_lowers_the_threshold(uadx, parts, tmp_path):
    thresholds = []
    for fpr in ("0.02", "0.2", "0.5"):
        uadx("run", "--input", parts / "a.png", "--output", tmp_path / fpr, "--fpr", fpr)
        thresholds.append(lines(tmp_path / fpr)[0]["threshold"])
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]


def test_a_rate_that_cannot_be_certified_is_refused(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts, "--output", tmp_path / "out", "--fpr", "0.00001")
    assert run.code == 2
    assert "calibration images certify false-alarm rates of" in run.err
    assert "fix: calibrate with at least 99999 held-out good images" in run.err


def test_threshold_and_rate_together_are_refused(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts, "--output", tmp_path / "out", "--fpr", "0.1", "--threshold", "1")
    assert run.code == 2
    assert "give `threshold` or `fpr`, not both" in run.err


def test_fail_on_anomaly_exits_with_10_and_only_where_there_is_one(uadx, parts, tmp_path):
    assert uadx("run", "--input", parts / "b.png", "--output", tmp_path / "1", "--fail-on-anomaly").code == 10
    assert uadx("run", "--input", parts / "a.png", "--output", tmp_path / "2", "--fail-on-anomaly").code == 0
    assert uadx("run", "--input", parts, "--output", tmp_path / "3", "--fail-on-anomaly").code == 10


def test_quiet_prints_nothing_but_errors(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts / "a.png", "--output", tmp_path / "out", "--quiet")
    assert (run.code, run.out, run.err) == (0, "", "")


def test_no_recursive_stays_in_the_directory(uadx, parts, tmp_path):
    assert uadx("run", "--input", parts, "--output", tmp_path / "out", "--no-recursive").code == 0
    assert len(lines(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--input", "nowhere"), "nowhere does not exist"),
        ((), "no --input is given"),
        (
            ("--input", ".", "--format", "jsonl,gif"),
            "'gif' is none of jsonl, csv, parquet, json, overlay, heatmap, mask, html",
        ),
        (("--input", ".", "--batch-size", "0"), "0 is not in the range"),
        (("--input", ".", "--batch-size", "99999999"), "99999999 is not in the range 1<=x<=1024"),
        (("--input", ".", "--pipeline", "ocr"), "there is no pipeline 'ocr'"),
        (("--input", ".", "--pipeline", "nowhere.yaml"), "the pipeline file nowhere.yaml cannot be read"),
    ],
)
def test_wrong_arguments_exit_with_2_and_say_what_is_wrong(uadx, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    run = uadx("run", *args)
    assert run.code == 2
    assert words in run.err
    assert "Traceback" not in run.err
    assert not (tmp_path / "output").exists()


def test_a_missing_model_exits_with_5(uadx, parts, tmp_path):
    run = uadx("run", "--input", parts, "--model", tmp_path / "none", "--output", tmp_path / "out")
    assert run.code == 5
    assert run.err.startswith(f"error: no model bundle at {tmp_path / 'none'}\n  fix: train one: uadx train")


def test_an_unknown_device_exits_with_2_and_an_absent_one_with_4(uadx, parts, tmp_path):
    assert uadx("run", "--input", parts, "--device", "gpo:0", "--output", tmp_path / "out").code == 2
    absent = uadx("run", "--input", parts, "--device", "npu:0", "--output", tmp_path / "out")
    assert absent.code == 4
    assert absent.err.startswith("error: npu:0 is not usable")


def test_an_output_that_cannot_be_written_says_so(uadx, parts, tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = uadx("run", "--input", parts / "a.png", "--output", tmp_path / "file" / "out")
    assert run.code == 1
    assert "cannot be written" in run.err
    assert "fix: choose another place: --output DIR" in run.err


def test_paddlex_spelling_without_a_subcommand(uadx, parts, tmp_path, monkeypatch):
    run = uadx(
        "--pipeline", "anomaly_detection", "--input", parts / "a.png", "--device", "cpu", "--save_path", tmp_path / "o"
    )
    assert run.code == 0
    assert len(lines(tmp_path / "o")) == 1
    config = uadx("--get_pipeline_config", "anomaly_detection", "--config_save_path", tmp_path / "c")
    assert config.code == 0
    assert (tmp_path / "c" / "anomaly_detection.yaml").is_file()
    assert uadx("--get_pipeline_config", "anomaly_detection", "--save_path", tmp_path / "d").code == 0
    assert (tmp_path / "d" / "anomaly_detection.yaml").is_file()
    monkeypatch.chdir(tmp_path)
    assert uadx("--get_pipeline_config", "anomaly_detection").code == 0
    assert (tmp_path / "anomaly_detection.yaml").is_file()
    assert not (tmp_path / "output").exists()


def test_a_configuration_file_is_used_and_an_explicit_option_beats_it(uadx, parts, tmp_path):
    config = tmp_path / "line.yaml"
    config.write_text(f"Global: {{input: '{parts / 'b.png'}'}}\nPipeline: {{threshold: 1000000.0, batch_size: 2}}\n")
    assert uadx("run", "--pipeline", config, "--output", tmp_path / "1").code == 0
    assert lines(tmp_path / "1")[0]["threshold"] == 1e6
    uadx("run", "--pipeline", config, "--fpr", "0.1", "--output", tmp_path / "2")
    assert lines(tmp_path / "2")[0]["is_anomaly"] is True


def test_batches_of_any_size_give_the_same_scores(uadx, product, tmp_path):
    scores = []
    for size in (1, 3, 16):
        uadx("run", "--input", product / "test", "--output", tmp_path / str(size), "--batch-size", size)
        scores.append([r["score"] for r in lines(tmp_path / str(size))])
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4)
    np.testing.assert_allclose(scores[2], scores[0], rtol=1e-4)


def test_both_backends_give_the_same_verdicts_and_scores(uadx, product, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra of its name")
    uadx("run", "--input", product / "test", "--output", tmp_path / "ov", "--device", "openvino:CPU")
    device = "onnxruntime:CPUExecutionProvider"
    uadx("run", "--input", product / "test", "--output", tmp_path / "ort", "--device", device)
    first, second = lines(tmp_path / "ov"), lines(tmp_path / "ort")
    assert {r["device"]["used"] for r in second} == {device}
    assert [r["is_anomaly"] for r in first] == [r["is_anomaly"] for r in second]
    np.testing.assert_allclose([r["score"] for r in first], [r["score"] for r in second], rtol=1e-4)


def test_a_second_run_does_not_inspect_the_pictures_of_the_first(uadx, parts, monkeypatch):
    monkeypatch.chdir(parts)
    for _ in range(2):
        assert uadx("run", "--input", ".").code == 8
        assert len(lines(parts / "output")) == 4


def without_times(folder):
    return [{key: value for key, value in line.items() if key != "ms"} for line in lines(folder)]


def start(*args):
    return subprocess.Popen([sys.executable, "-m", "uadx", *map(str, args)], stderr=subprocess.PIPE)


def start_and_wait(args, out):
    """A run of which some results are written, and its journal."""
    process = start(*args)
    journal = out / "results.jsonl.part"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 5):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process, journal


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_run_that_is_stopped_says_how_it_goes_on(product, tmp_path, number, code, word):
    out = tmp_path / "out"
    names = tmp_path / "list.txt"
    names.write_text("".join(f"{product / 'test' / 'good' / '000.png'}\n" for _ in range(3000)))
    process, journal = start_and_wait(("run", "--input", names, "--output", out), out)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    said = f"what was done is in {out}: the same command with --resume goes on\n\n{word}\n"
    assert (process.returncode, err.decode()[-len(said) :]) == (code, said)
    assert 5 <= journal.read_bytes().count(b"\n") < 3000


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_run_that_waits_for_standard_input_can_be_stopped(product, tmp_path, number, code, word):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "uadx", "run", "--input", "-", "--output", str(out)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(f"{product / 'test' / 'good' / '000.png'}\n".encode())
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not ((out / "results.jsonl.part").exists() and (out / "results.jsonl.part").read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(60)
    assert (process.returncode, process.stderr.read().decode().splitlines()[-1]) == (code, word)
    process.stdin.close()


@pytest.mark.parametrize("formats", ["jsonl", "jsonl,html"])
def test_a_disk_that_is_full_is_told_and_the_run_can_go_on(uadx, product, tmp_path, formats):
    resource = pytest.importorskip("resource", reason="no limits of file sizes on this system")
    out, images = tmp_path / "out", product / "test"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = ["run", "--input", str(images), "--output", str(out), "--format", formats]
    run = subprocess.run([sys.executable, "-m", "uadx", *command], capture_output=True, text=True, preexec_fn=limit)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-3:] == [
        f"error: {out / 'results.jsonl.part'} cannot be written",
        "    [Errno 27] File too large",
        "  fix: make room, then go on: --resume",
    ]
    assert uadx(*command, "--resume").code == 0
    assert len((out / "results.jsonl").read_bytes().splitlines()) == len(list(images.rglob("*.png")))


def test_a_killed_run_goes_on_and_ends_with_the_same_results(uadx, product, tmp_path):
    images = tmp_path / "many"
    images.mkdir()
    for index in range(120):
        source = sorted((product / "test").rglob("*.png"))[index % 16]
        (images / f"{index:03}.png").symlink_to(source)
    uadx("run", "--input", images, "--output", tmp_path / "whole")

    out = tmp_path / "killed"
    args = ("run", "--input", images, "--output", out, "--workers", "1")
    process, journal = start_and_wait(args, out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "results.jsonl").exists()
    with open(journal, "ab") as file:
        file.write(b'{"input_path": "cut of')  # the kill may come in the middle of a line

    done = journal.read_bytes().count(b"\n")
    run = uadx(*args, "--resume")
    assert run.code == 0
    assert f"120 images ({done} from the earlier run)" in run.out
    assert without_times(out) == without_times(tmp_path / "whole")
    assert not journal.exists()

    again = uadx(*args, "--resume")
    assert "120 images (120 from the earlier run)" in again.out


def test_a_run_is_not_resumed_with_another_threshold_or_input(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts, "--output", out)
    run = uadx("run", "--input", parts, "--output", out, "--threshold", "3", "--resume")
    assert run.code == 2
    assert f"error: the run in {out} was made with another threshold" in run.err
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, "finished": False}))
    (out / "results.jsonl").rename(out / "results.jsonl.part")
    (parts / "a.png").unlink()
    run = uadx("run", "--input", parts, "--output", out, "--resume")
    assert run.code == 2
    assert "the input has changed since" in run.err


def test_resuming_a_finished_run_says_so_and_refuses_where_images_were_added(uadx, parts, tmp_path):
    args = ("run", "--input", parts, "--output", tmp_path / "out")
    uadx(*args)
    assert "4 images (4 from the earlier run)" in uadx(*args, "--resume").out
    (parts / "z.png").write_bytes((parts / "a.png").read_bytes())
    run = uadx(*args, "--resume")
    assert run.code == 2
    assert "the input has changed since the run in" in run.err


def test_a_new_run_does_not_leave_the_results_of_an_older_one(uadx, parts, tmp_path):
    uadx("run", "--input", parts, "--output", tmp_path / "out")
    uadx("run", "--input", parts / "a.png", "--output", tmp_path / "out", "--format", "csv")
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_very_long_names_and_very_wide_images_are_written(uadx, parts, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    names = ["あ" * 80 + ".png", "x" * 251 + ".png"]
    for name in names:
        (folder / name).write_bytes((parts / "a.png").read_bytes())
    cv2.imwrite(str(folder / "wide.png"), np.full((20, 70_000), 90, np.uint8))
    run = uadx("run", "--input", folder, "--output", tmp_path / "out", "--format", ALL_FORMATS)
    assert run.code == 0, run.err
    assert len(list((tmp_path / "out" / "overlay").iterdir())) == 3
    assert cv2.imread(str(tmp_path / "out" / "overlay" / "wide.png.png")).shape == (20, 70_000, 3)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_threshold_that_is_no_number_is_refused(uadx, parts, tmp_path, value):
    run = uadx("run", "--input", parts, "--output", tmp_path / "out", "--threshold", value)
    assert run.code == 2
    assert f"`threshold` must be a number from -1e30 to 1e30, not {value}" in run.err


def test_the_device_of_the_environment_beats_the_files_and_the_option_beats_both(parts, tmp_path):
    config = tmp_path / "line.yaml"
    config.write_text("Pipeline: {device: 'openvino:CPU'}")
    base = [sys.executable, "-m", "uadx", "run", "--pipeline", str(config), "--input", str(parts / "a.png")]
    environment = {**os.environ, "UADX_DEVICE": "mlu:0"}
    run = subprocess.run(base, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 4
    assert run.stderr.startswith("error: mlu:0 is not usable")
    run = subprocess.run([*base, "--device", "cpu"], env=environment, capture_output=True, cwd=tmp_path, check=False)
    assert run.returncode == 0


def test_paths_on_standard_input_are_inspected(parts, tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "uadx", "run", "--input", "-", "--output", str(tmp_path / "out")],
        input=f"{parts / 'b.png'}\n{parts / 'a.png'}\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert [r["is_anomaly"] for r in lines(tmp_path / "out")] == [True, False]


def test_nothing_is_drawn_into_a_pipe(parts, tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "uadx", "run", "--model", "default", "--input", str(parts / "a.png")],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert process.stderr == b""
    assert b"\x1b" not in process.stdout
    assert process.stdout.count(b"\n") == 1
