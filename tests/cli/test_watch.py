"""`uadx run --watch`: a folder that a camera fills, a process that is stopped, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import PurePosixPath

import pytest

from uadx.errors import UsageError
from uadx.images import watch
from uadx.images.watch import HotFolder

PATIENCE = 60.0


class Watching:
    """A `uadx run --watch` in a process of its own."""

    def __init__(self, folder, out) -> None:
        self.out = out
        command = [sys.executable, "-m", "uadx", "run", "--watch", "--input", folder, "--output", out]
        self.process = subprocess.Popen(
            [*map(str, command), "--format", "jsonl", "--device", "openvino:CPU"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def inspected(self):
        """The names of what has a line by now."""
        journal = self.out / "results.jsonl.part"
        text = journal.read_text("utf-8") if journal.exists() else ""
        return [os.path.basename(json.loads(line)["input_path"]) for line in text.splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def wait_for(self, *names):
        end = time.monotonic() + PATIENCE
        while self.inspected() != list(names):
            assert time.monotonic() < end, (self.inspected(), names)
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def stop(self, how=signal.SIGTERM):
        """End it; what it printed."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path):
    """Watch tmp_path/hot into tmp_path/out; none is left running."""
    (tmp_path / "hot").mkdir()
    started = []

    def watching():
        started.append(Watching(tmp_path / "hot", tmp_path / "out"))
        return started[-1]

    yield watching
    for one in started:
        one.process.kill()
        one.process.communicate()


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch")
def test_files_are_taken_as_they_come_and_a_signal_ends_the_run_in_good_order(start, good_image, tmp_path):
    hot = tmp_path / "hot"
    shutil.copy(good_image, hot / "before.png")
    watching = start()
    watching.wait_for("before.png")
    half = good_image.read_bytes()
    (hot / "slow.png").write_bytes(half[:2000])
    (hot / "notes.txt").write_text("no image")
    shutil.copy(good_image, hot / "quick.png")
    watching.wait_for("before.png", "quick.png")  # slow.png is waited for, and holds up nobody
    (hot / "slow.png").write_bytes(half)
    watching.wait_for("before.png", "quick.png", "slow.png")
    code, out, err = watching.stop()
    assert code == 0, err
    assert [line["error"] for line in lines(tmp_path / "out")] == [None, None, None]
    assert [line.split()[::2] for line in out.splitlines()[:3]] == [
        ["OK", str(hot / name)] for name in ("before.png", "quick.png", "slow.png")
    ]
    assert out.splitlines()[3] == (f"3 images, 0 NG, 0 errors, on openvino:CPU (f32), results in {tmp_path / 'out'}")
    assert f"watching {hot}; Ctrl-C ends it" in err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_it_goes_on_after_a_restart_with_what_is_new(start, good_image, tmp_path, how):
    hot = tmp_path / "hot"
    shutil.copy(good_image, hot / "a.png")
    first = start()
    first.wait_for("a.png")
    first.stop(how)
    shutil.copy(good_image, hot / "b.png")
    second = start()
    second.wait_for("a.png", "b.png")
    rewritten = time.time_ns() + 2_000_000_000
    os.utime(hot / "a.png", ns=(rewritten, rewritten))  # another picture of the same name
    second.wait_for("a.png", "b.png", "a.png")
    code, out, _ = second.stop()
    assert code == 0
    assert "3 images (1 from the earlier run), 0 NG" in out
    assert len(lines(tmp_path / "out")) == 3


def test_a_file_that_never_becomes_whole_is_handed_on_in_the_end(tmp_path, good_image, monkeypatch):
    monkeypatch.setattr(watch, "GIVEN_UP", 1.0)
    (tmp_path / "cut.png").write_bytes(good_image.read_bytes()[:2000])
    stop = threading.Event()
    began = time.monotonic()
    source = next(iter(HotFolder(str(tmp_path), True, stop)))
    assert source.label == str(tmp_path / "cut.png")
    assert time.monotonic() - began >= 1.0


def test_what_is_taken_away_is_forgotten_and_new_when_it_comes_back(tmp_path, good_image, monkeypatch):
    monkeypatch.setattr(watch, "SETTLED", 0.0)
    stop = threading.Event()
    sources = iter(HotFolder(str(tmp_path), True, stop))
    shutil.copy2(good_image, tmp_path / "a.png")
    assert next(sources).output.name == "a.png"
    (tmp_path / "a.png").unlink()
    shutil.copy2(good_image, tmp_path / "b.png")
    assert next(sources).output.name == "b.png"
    shutil.copy2(good_image, tmp_path / "a.png")
    assert next(sources).output.name == "a.png"
    stop.set()
    assert list(sources) == []


def test_a_signal_does_not_wait_for_a_full_folder(tmp_path, good_image, monkeypatch):
    monkeypatch.setattr(watch, "SETTLED", 0.0)
    for name in ("a", "b", "c"):
        shutil.copy2(good_image, tmp_path / f"{name}.png")
    stop = threading.Event()
    sources = iter(HotFolder(str(tmp_path), True, stop))
    assert next(sources).output.name == "a.png"
    stop.set()
    assert list(sources) == []


def test_a_folder_that_is_away_for_a_moment_makes_no_file_new(tmp_path, good_image, monkeypatch):
    monkeypatch.setattr(watch, "SETTLED", 0.0)
    shutil.copy2(good_image, tmp_path / "a.png")
    sources = iter(HotFolder(str(tmp_path), True, threading.Event()))
    assert next(sources).output.name == "a.png"
    looks = iter([iter([(PurePosixPath(), OSError("the share is away"))])])
    real = watch.walk
    monkeypatch.setattr(watch, "walk", lambda *given, **named: next(looks, None) or real(*given, **named))
    threading.Timer(1.0, lambda: shutil.copy2(good_image, tmp_path / "b.png")).start()
    assert next(sources).output.name == "b.png"


def test_a_file_that_is_not_whole_is_read_once_as_long_as_it_stays_so(tmp_path, good_image, monkeypatch):
    monkeypatch.setattr(watch, "GIVEN_UP", 1.5)
    looked = []
    monkeypatch.setattr(watch, "_is_whole", lambda path: bool(looked.append(path)))
    shutil.copy2(good_image, tmp_path / "a.png")
    next(iter(HotFolder(str(tmp_path), True, threading.Event())))
    assert looked == [tmp_path / "a.png"]


def test_only_a_folder_is_watched(uadx, good_image, tmp_path):
    with pytest.raises(UsageError, match="is not a directory"):
        HotFolder(str(good_image), True, threading.Event())
    done = uadx("run", "--watch", "--input", good_image, "--output", tmp_path / "out")
    assert (done.code, done.err.splitlines()[-2:]) == (
        2,
        [f"error: --watch: {good_image} is not a directory", "  fix: name the folder that the camera writes to"],
    )


def test_it_needs_its_results_file(uadx, tmp_path):
    (tmp_path / "hot").mkdir()
    done = uadx("run", "--watch", "--input", tmp_path / "hot", "--output", tmp_path / "out", "--format", "overlay")
    assert (done.code, done.err.splitlines()[-2:]) == (
        2,
        ["error: --watch keeps its results in results.jsonl", "  fix: let --format have jsonl"],
    )
