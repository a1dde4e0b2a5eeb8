"""`uadx run` on videos, cameras and RTSP streams: real files, and a real server on this machine."""

from __future__ import annotations

import copy
import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from rtsp_server import RtspServer

from uadx import create_pipeline
from uadx.errors import InputError, UsageError
from uadx.images import camera as camera_module
from uadx.images import live as live_module
from uadx.images.video import frames_to_come
from uadx.output.run_folder import RunFolder

PATIENCE = 60.0
FRAMES, HOLE, FPS = 12, 5, 4
"""The videos here: so many frames, one of them with a hole, so many a second."""


def lines(folder, name="results.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def pictures(product):
    """Good parts, and one with a hole."""
    names = [f"good/{n % 4:03}.png" for n in range(FRAMES)]
    names[HOLE] = "hole/000.png"
    return [cv2.imread(str(product / "test" / name)) for name in names]


@pytest.fixture
def write_video(pictures, tmp_path):
    """write_video("line.avi") writes the pictures as a video, .avi and .mkv as JPEG, others as MPEG-4."""

    def write(name="line.avi"):
        path = tmp_path / name
        code = "MJPG" if path.suffix in {".avi", ".mkv"} else "mp4v"
        height, width = pictures[0].shape[:2]
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), FPS, (width, height))
        assert writer.isOpened()
        for picture in pictures:
            writer.write(picture)
        writer.release()
        return path

    return write


@pytest.fixture
def serve(pictures):
    """serve(...) starts a server of the pictures, over and over; all are stopped at the end."""
    servers = []

    def start(only=None, **settings):
        shown = pictures if only is None else [pictures[only]]
        padded = [cv2.resize(picture, (304, 304)) for picture in shown]
        servers.append(RtspServer(lambda n: padded[n % len(padded)], **settings))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


# video files


@pytest.mark.parametrize("name", ["line.avi", "line.mkv", "line.mp4", "LINE.MP4"])
def test_every_frame_of_a_video_is_inspected_in_order_and_has_its_time(uadx, write_video, tmp_path, name):
    video = write_video(name)
    run = uadx("run", "--input", video, "--output", tmp_path / "out")
    assert run.code == 0, run.err
    found = lines(tmp_path / "out")
    assert [line["input_path"] for line in found] == [f"{video}#{n}" for n in range(FRAMES)]
    assert [line["frame"] for line in found] == [
        {"index": n, "time_s": n / FPS, "captured_at": None, "dropped": 0} for n in range(FRAMES)
    ]
    assert [line["frame"]["index"] for line in found if line["is_anomaly"]] == [HOLE]
    assert f"{FRAMES} images, 1 NG, 0 errors" in run.out
    assert run.err == "no --model is given: this is the demo product's, which knows nothing but its mesh\n"
    drawn = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "overlay").rglob("*.jpg"))
    assert drawn == [f"overlay/{name}/{n:06}.jpg" for n in range(FRAMES)]


def test_fps_takes_so_many_frames_of_each_second_and_max_frames_ends_it(uadx, write_video, tmp_path):
    video = write_video()
    for options, expected in (
        (("--fps", "2"), [0, 2, 4, 6, 8, 10]),
        (("--fps", "0.5"), [0, 8]),
        (("--fps", "1000"), list(range(FRAMES))),
        (("--max-frames", "3"), [0, 1, 2]),
        (("--fps", "2", "--max-frames", "3"), [0, 2, 4]),
    ):
        assert uadx("run", "--input", video, "--output", tmp_path / "out", *options).code == 0
        assert [line["frame"]["index"] for line in lines(tmp_path / "out")] == expected, options


def test_a_row_of_the_csv_has_the_frame_too(uadx, write_video, tmp_path):
    uadx("run", "--input", write_video(), "--output", tmp_path / "out", "--format", "csv")
    with open(tmp_path / "out" / "results.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["time_s"], row["captured_at"]) for row in rows[:3]] == [
        ("0", "0.0", ""), ("1", "0.25", ""), ("2", "0.5", ""),
    ]  # fmt: skip


def without_times(results):
    return [{key: value for key, value in line.items() if key != "ms"} for line in results]


def test_a_run_that_was_broken_off_goes_on_where_it_was(uadx, write_video, tmp_path, monkeypatch):
    video = write_video()
    uadx("run", "--input", video, "--output", tmp_path / "whole")
    add = RunFolder.add

    def broken_off(folder, *given):
        if folder.counts.images == 7:
            raise KeyboardInterrupt
        add(folder, *given)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "add", broken_off)
        assert uadx("run", "--input", video, "--output", tmp_path / "out").code == 130
    run = uadx("run", "--input", video, "--output", tmp_path / "out", "--resume")
    assert run.code == 0, run.err
    assert f"{FRAMES} images (7 from the earlier run), 1 NG" in run.out
    assert without_times(lines(tmp_path / "out")) == without_times(lines(tmp_path / "whole"))
    other = uadx("run", "--input", video, "--output", tmp_path / "out", "--resume", "--fps", "1")
    assert other.code == 2
    assert "was made with another input" in other.err
    os.utime(video, ns=(1, 1))
    changed = uadx("run", "--input", video, "--output", tmp_path / "out", "--resume")
    assert changed.code == 2
    assert f"the input has changed since the run in {tmp_path / 'out'}: first at {video}#0" in changed.err


def test_a_damaged_part_of_a_video_is_an_error_and_the_rest_is_inspected(uadx, write_video, tmp_path):
    video = write_video("line.avi")
    data = bytearray(video.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"00dc" and data[at + 8 : at + 10] == b"\xff\xd8"]
    data[starts[3] + 8 : starts[4]] = bytes(starts[4] - starts[3] - 8)
    video.write_bytes(data)
    run = uadx("run", "--input", video, "--output", tmp_path / "out")
    found = lines(tmp_path / "out")
    assert run.code == 8
    assert [(line["frame"]["index"], line["error"] and line["error"]["type"]) for line in found] == [
        (n, "unreadable" if n == 3 else None) for n in range(FRAMES)
    ]
    assert found[3]["error"]["message"] == f"{video}#3: a frame cannot be decoded: damaged"
    assert run.err.endswith(f"1 of {FRAMES} inputs could not be read\n")


@pytest.mark.parametrize("name", ["line.avi", "line.mkv"])
def test_a_video_that_is_cut_short_gives_its_frames_and_one_error(uadx, write_video, tmp_path, name):
    video = write_video(name)
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    run = uadx("run", "--input", video, "--output", tmp_path / "out")
    *frames, last = lines(tmp_path / "out")
    assert run.code == 8
    assert 3 <= len(frames) < FRAMES
    assert {line["error"] for line in frames} == {None}
    assert last["error"] == {
        "type": "truncated",
        "message": f"{video}#{len(frames)}: the video ends after {len(frames)} of {FRAMES} frames",
    }
    assert last["frame"]["index"] == len(frames)


def test_what_is_no_video_is_an_error_that_says_so(uadx, write_video, tmp_path):
    (tmp_path / "text.mp4").write_text("no video at all" * 99)
    (tmp_path / "empty.mp4").touch()
    whole = write_video("cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "list.txt").write_text("text.mp4\nempty.mp4\ncut.mp4\ngone.mp4\n")
    run = uadx("run", "--input", tmp_path / "list.txt", "--output", tmp_path / "out")
    assert run.code == 8
    assert [line["error"]["type"] for line in lines(tmp_path / "out")] == [
        "not_a_video", "empty", "not_a_video", "not_found",
    ]  # fmt: skip
    assert [line["frame"] for line in lines(tmp_path / "out")] == [None] * 4
    no_video = "OpenCV's FFmpeg finds no video in it"
    assert [line for line in run.err.splitlines() if line.startswith("error: ")] == [
        f"error: {tmp_path}/text.mp4: {no_video}",
        f"error: {tmp_path}/empty.mp4: the file is empty",
        f"error: {tmp_path}/cut.mp4: {no_video}: it has no index, as a recording that was cut off",
        f"error: {tmp_path}/list.txt, line 4: {tmp_path}/gone.mp4 does not exist: No such file or directory",
    ]


def test_ffmpeg_and_opencv_print_nothing_of_their_own(write_video, tmp_path):
    video = write_video("cut.mp4")
    video.write_bytes(video.read_bytes()[:3000])
    command = [sys.executable, "-m", "uadx", "run", "--quiet", "--input", video, "--output", tmp_path / "out"]
    run = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE)
    assert run.stderr == (
        f"error: {video}: OpenCV's FFmpeg finds no video in it: it has no index, as a recording that was cut off\n"
        "1 of 1 input could not be read\n"
    )


def test_how_many_frames_there_will_be_is_known_beforehand(write_video, tmp_path):
    video = write_video()
    (tmp_path / "text.mp4").write_text("no video")
    assert frames_to_come(video, fps=None, max_frames=None) == FRAMES
    assert frames_to_come(video, fps=2, max_frames=None) == 6
    assert frames_to_come(video, fps=2, max_frames=3) == 3
    assert frames_to_come(tmp_path / "text.mp4", fps=None, max_frames=None) is None


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 there")
def test_a_video_whose_name_is_not_utf8_is_an_error_and_not_the_end_of_the_process(uadx, write_video, tmp_path):
    os.rename(write_video(), tmp_path / os.fsdecode(b"line\xff.avi"))
    run = uadx("run", "--input", tmp_path / "*.avi", "--output", tmp_path / "out")
    assert run.code == 8
    assert "a video's name must be UTF-8: rename the file" in run.err


def test_a_list_and_a_glob_may_name_videos_and_a_directory_holds_images(uadx, write_video, good_image, tmp_path):
    (tmp_path / "box").mkdir()
    write_video("box/one.avi")
    write_video("box/two.mp4")
    (tmp_path / "box" / "part.png").write_bytes(good_image.read_bytes())
    (tmp_path / "list.txt").write_text("box/part.png\nbox/one.avi\n")
    out = tmp_path / "out"
    uadx("run", "--input", tmp_path / "list.txt", "--output", out, "--max-frames", "2")
    assert [line["input_path"] for line in lines(out)] == [
        f"{tmp_path}/box/part.png", f"{tmp_path}/box/one.avi#0", f"{tmp_path}/box/one.avi#1",
    ]  # fmt: skip
    assert sorted(str(path.relative_to(out / "overlay")) for path in (out / "overlay").rglob("*.jpg")) == [
        "box/one.avi/000000.jpg", "box/one.avi/000001.jpg", "box/part.png.jpg",
    ]  # fmt: skip
    uadx("run", "--input", tmp_path / "box" / "*.[am]*", "--output", out, "--fps", "1", "--format", "jsonl")
    assert [os.path.basename(line["input_path"]) for line in lines(out)] == [
        f"{name}#{n}" for name in ("one.avi", "two.mp4") for n in (0, 4, 8)
    ]
    run = uadx("run", "--input", tmp_path / "box", "--output", out, "--format", "jsonl")
    assert len(lines(out)) == 1
    assert "2 files left out" in run.out


@pytest.mark.parametrize("what", ["parts", "parts/a.png", "http://127.0.0.1:1/a.png"])
def test_frames_cannot_be_chosen_of_what_has_none(uadx, parts, what, monkeypatch):
    monkeypatch.chdir(parts.parent)
    run = uadx("run", "--input", what, "--fps", "2")
    assert run.code == 2
    assert "error: --fps and --max-frames choose frames of a video or a camera; " in run.err


def test_from_python_a_video_gives_its_frames_and_their_pictures(write_video):
    video = write_video()
    with create_pipeline(device="cpu") as pipeline:
        results = list(pipeline.predict(video, fps=2))
        assert [result["frame"]["time_s"] for result in results] == [0, 0.5, 1, 1.5, 2, 2.5]
        capture = cv2.VideoCapture(str(video))
        np.testing.assert_array_equal(results[0].image, capture.read()[1])
        assert results[0].img.shape == results[0].image.shape
        for again in (copy.deepcopy(results[1]), pickle.loads(pickle.dumps(results[1]))):
            np.testing.assert_array_equal(again.image, results[1].image)
            assert again.json == results[1].json
        mixed = list(pipeline.predict([str(video), results[0].image], fps=1))
        assert [result["frame"] and result["frame"]["index"] for result in mixed] == [0, 4, 8, None]
        for still in (results[0].image, b"", video.parent, "http://h/a.png", [video.parent]):
            with pytest.raises(UsageError, match="the input has none"):
                pipeline.predict(still, fps=1)
        for wrong in (0, -1, float("nan"), "2"):
            with pytest.raises(UsageError, match="not a number of frames a second"):
                pipeline.predict(video, fps=wrong)


# live streams


def test_an_rtsp_stream_gives_results_with_the_time_of_capture(uadx, serve, tmp_path):
    server = serve()
    before = time.time()
    run = uadx("run", "--input", server.url, "--output", tmp_path / "out", "--max-frames", "3")
    assert run.code == 0, run.err
    found = lines(tmp_path / "out")
    for line in found:
        frame = line["frame"]
        assert line["input_path"] == f"{server.url}#{frame['captured_at']}"
        assert before <= seconds(frame["captured_at"]) <= time.time()
        assert line["image_size"] == [304, 304]
    indexes = [line["frame"]["index"] for line in found]
    assert indexes == sorted(set(indexes))
    assert [line["frame"]["dropped"] for line in found] == [
        index - before - 1 for before, index in zip([-1, *indexes], indexes, strict=False)
    ]
    assert f"inspecting {server.url}; Ctrl-C ends it" in run.err
    assert "3 images, " in run.out
    assert "of them passed over" in run.out
    assert len(list((tmp_path / "out" / "overlay" / f"127.0.0.1_{server.port}" / "line1").glob("*.jpg"))) == 3


def seconds(iso):
    from datetime import datetime

    return datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp()


def test_ng_frames_get_a_line_each_and_good_ones_none(uadx, serve, tmp_path):
    asked = ("--output", tmp_path / "out", "--max-frames", "2", "--format", "jsonl")
    bad = uadx("run", "--input", serve(only=HOLE).url, *asked, "--fail-on-anomaly")
    assert bad.code == 10
    assert [line.split()[2] for line in bad.out.splitlines()[:2]] == [
        line["input_path"] for line in lines(tmp_path / "out")
    ]
    good = uadx("run", "--input", serve(only=0).url, *asked)
    assert [line.split()[0] for line in good.out.splitlines()] == ["2", "the"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_run_in_good_order(serve, tmp_path, how):
    server = serve()
    command = [sys.executable, "-m", "uadx", "run", "--input", server.url, "--output", tmp_path / "out"]
    process = subprocess.Popen(
        [*map(str, command), "--format", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        journal = tmp_path / "out" / "results.jsonl.part"
        end = time.monotonic() + PATIENCE
        while not (journal.exists() and journal.read_text().count("\n") >= 2):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert len(lines(tmp_path / "out")) >= 2
    assert f"{len(lines(tmp_path / 'out'))} images" in out


def test_resume_goes_on_with_a_live_run_that_was_ended(uadx, serve, tmp_path):
    server = serve()
    asked = ("run", "--input", server.url, "--output", tmp_path / "out", "--max-frames", "2", "--resume")
    assert uadx(*asked).code == 0
    second = uadx(*asked)
    assert second.code == 0, second.err
    assert "4 images (2 from the earlier run)" in second.out
    times = [line["frame"]["captured_at"] for line in lines(tmp_path / "out")]
    assert times == sorted(set(times))
    assert uadx(*asked, "--format", "csv").err.splitlines()[-2:] == [
        "error: a live stream that goes on keeps its results in results.jsonl",
        "  fix: let --format have jsonl",
    ]


def test_a_stream_that_breaks_off_and_comes_back_is_inspected_on(uadx, serve, tmp_path, monkeypatch):
    server = serve()
    broken = []

    def add_and_break(folder, *given, add=RunFolder.add):
        add(folder, *given)
        if not broken:
            broken.append(True)
            server.stop()
            threading.Timer(0.5, server.start).start()

    monkeypatch.setattr(RunFolder, "add", add_and_break)
    run = uadx("run", "--input", server.url, "--output", tmp_path / "out", "--max-frames", "6", "--format", "jsonl")
    assert run.code == 0, run.err
    assert len(lines(tmp_path / "out")) == 6
    assert f"warning: {server.url} broke off: connecting again, for 60 s" in run.err
    assert f"warning: {server.url} is back" in run.err


def test_a_stream_that_is_gone_for_good_ends_the_run_with_an_error_and_loses_nothing(
    uadx, serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(live_module, "GIVEN_UP", 3.0)
    server = serve()

    def add_and_stop(folder, *given, add=RunFolder.add):
        add(folder, *given)
        if folder.counts.images == 1:
            server.stop()

    monkeypatch.setattr(RunFolder, "add", add_and_stop)
    run = uadx("run", "--input", server.url, "--output", tmp_path / "out", "--format", "jsonl")
    *frames, last = lines(tmp_path / "out")
    assert run.code == 8
    assert {line["error"] for line in frames} == {None}
    assert last["error"]["type"] == "unreachable"
    assert last["error"]["message"].startswith(
        f"{server.url} broke off and was not back within 3 s: 127.0.0.1 does not"
    )
    assert f"error: {last['error']['message']}" in run.err


def test_a_stream_that_cannot_be_opened_says_why(uadx, serve, tmp_path):
    server = serve(user_password="admin:s3cret")
    gone = RtspServer(lambda n: None)
    with gone:
        pass
    why = {
        server.url: "127.0.0.1 asks for a user and password: rtsp://USER:PASSWORD@...",
        server.url.replace("//", "//admin:wr0ng@"): "127.0.0.1 refuses this user and password",
        gone.url: f"127.0.0.1 does not answer on port {gone.port}: Connection refused",
    }
    for address, reason in why.items():
        run = uadx("run", "--input", address, "--output", tmp_path / "out", "--quiet")
        assert run.code == 8
        assert run.err.endswith(f"error: {address.replace('admin:wr0ng@', '')} cannot be opened\n    {reason}\n")
    assert not (tmp_path / "out").exists()


def test_a_camera_that_is_not_there_says_so(uadx, tmp_path):
    for name in ("63", "camera:63", "/dev/video63"):
        run = uadx("run", "--input", name, "--output", tmp_path / "out", "--quiet")
        assert run.code == 8
        assert "error: camera:63 cannot be opened\n    there is no " in run.err
        assert "(tried with " in run.err


def test_a_camera_by_its_number_gives_results_with_its_name(uadx, write_video, tmp_path, monkeypatch):
    """A video stands in for the device, and ends as one that is unplugged."""
    video = str(write_video())
    monkeypatch.setattr(camera_module, "open_capture", lambda target: cv2.VideoCapture(video))
    run = uadx("run", "--input", "0", "--output", tmp_path / "out", "--max-frames", "3")
    assert run.code == 0, run.err
    found = lines(tmp_path / "out")
    assert [line["input_path"] for line in found] == [f"camera:0#{line['frame']['captured_at']}" for line in found]
    assert len(list((tmp_path / "out" / "overlay" / "camera_0").glob("*.jpg"))) == 3


def test_a_password_is_used_and_never_shown(uadx, serve, tmp_path):
    server = serve(user_password="admin:s3cret", only=HOLE)
    address = server.url.replace("//", "//admin:s3cret@")
    everything = "jsonl,csv,json,overlay"
    run = uadx("run", "--input", address, "--output", tmp_path / "out", "--max-frames", "1", "--format", everything)
    assert run.code == 0, run.err
    (tmp_path / "list.txt").write_text(address)
    others = [
        uadx("run", "--input", address, "--watch"),
        uadx("run", "--input", tmp_path / "list.txt", "--output", tmp_path / "out2"),
        uadx("run", "--input", address.replace(str(server.port), "port")),
        uadx("run", "--input", address, "--output", tmp_path / "out", "--threshold", "1", "--resume"),
    ]
    assert all(other.code for other in others)
    server.stop()
    others += [run, uadx("run", "--input", address, "--output", tmp_path / "out3")]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "list.txt"]
    assert {path.name for path in written} >= {"results.jsonl", "results.csv", "run.json", "run.inputs"}
    assert not [path for path in written if b"s3cret" in path.read_bytes() or "s3cret" in str(path)]
    assert not [other for other in others if "s3cret" in other.out + other.err]


def test_a_stream_is_an_input_of_its_own_and_not_one_of_a_list(uadx, serve, good_image, tmp_path):
    (tmp_path / "list.txt").write_text(f"{good_image}\n{serve().url}\n")
    run = uadx("run", "--input", tmp_path / "list.txt", "--output", tmp_path / "out")
    assert run.code == 8
    assert [line["error"] and line["error"]["type"] for line in lines(tmp_path / "out")] == [None, "unsupported"]
    watched = uadx("run", "--input", serve().url, "--output", tmp_path / "out", "--watch")
    assert watched.err.splitlines()[-2:] == [
        "error: --watch is for a folder",
        "  fix: leave it out: a camera or a stream is watched anyway",
    ]


def test_from_python_leaving_a_live_stream_lets_go_of_it(serve):
    server = serve()
    with create_pipeline(device="cpu") as pipeline:
        results = pipeline.predict(server.url, fps=20)
        first = next(results)
        assert first["frame"]["captured_at"]
        assert first.img.shape == (304, 304, 3)
        results.close()
        assert "uadx-camera" not in {thread.name for thread in threading.enumerate()}
        assert next(pipeline.predict(server.url, batch_size=5))["error"] is None
        with pytest.raises(InputError) as refused:
            pipeline.predict(63)
        assert refused.value.kind == "unreachable"


def test_a_stream_that_stands_still_is_connected_to_again(pictures, tmp_path, uadx, monkeypatch):
    for module in (live_module, camera_module):
        monkeypatch.setattr(module, "TIMEOUT", 4.0)
    stuck = threading.Event()
    picture = cv2.resize(pictures[0], (304, 304))

    def stuck_once(n):
        if n == 40 and not stuck.is_set():
            stuck.set()
            time.sleep(PATIENCE)
        return picture

    with RtspServer(stuck_once) as server:
        run = uadx("run", "--input", server.url, "--output", tmp_path / "out", "--fps", "1", "--max-frames", "5")
    assert run.code == 0, run.err
    assert stuck.is_set()
    assert f"warning: {server.url} is back" in run.err
