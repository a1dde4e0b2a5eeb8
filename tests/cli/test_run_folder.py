"""The folder of a run: who may write to it, what of it is input again, when a run may go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from uadx.errors import UsageError
from uadx.images.sources import expand
from uadx.output.run_folder import RunFolder


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]


def unfinish(out, results=None):
    """Make a finished run look as if it had been killed after so many results."""
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, "finished": False}))
    whole = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl.part").write_bytes(b"".join(whole[:results]))
    (out / "results.jsonl").unlink()


def rewrite(path, other):
    """Put other content of the same name there, as a camera does that counts its files anew."""
    path.write_bytes(other.read_bytes())
    later = time.time_ns() + 2_000_000_000
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize("finished", [True, False])
def test_a_file_whose_content_changed_since_is_named_and_the_run_not_resumed(uadx, parts, tmp_path, finished):
    out = tmp_path / "out"
    args = ("run", "--input", parts, "--output", out)
    uadx(*args)
    if not finished:
        unfinish(out, results=3)
    rewrite(parts / "b.png", parts / "a.png")
    run = uadx(*args, "--resume")
    assert run.code == 2
    assert f"the input has changed since the run in {out}: first at {parts / 'b.png'}" in run.err
    assert "fix: start anew, without --resume" in run.err


def test_the_time_of_a_change_alone_is_a_change(uadx, parts, tmp_path):
    args = ("run", "--input", parts, "--output", tmp_path / "out")
    uadx(*args)
    rewrite(parts / "a.png", parts / "a.png")
    assert uadx(*args, "--resume").code == 2


def test_a_missing_file_that_came_back_is_a_change(uadx, parts, tmp_path):
    (tmp_path / "list.txt").write_text(f"{parts / 'a.png'}\n{parts / 'late.png'}\n")
    args = ("run", "--input", tmp_path / "list.txt", "--output", tmp_path / "out")
    assert uadx(*args).code == 8
    assert uadx(*args, "--resume").code == 8
    (parts / "late.png").write_bytes((parts / "a.png").read_bytes())
    run = uadx(*args, "--resume")
    assert run.code == 2
    assert f"first at {parts / 'late.png'}" in run.err


def test_a_file_that_was_not_inspected_yet_may_change(uadx, parts, tmp_path):
    out = tmp_path / "out"
    args = ("run", "--input", parts, "--output", out)
    uadx(*args)
    unfinish(out, results=1)
    rewrite(parts / "b.png", parts / "a.png")
    assert uadx(*args, "--resume").code == 8
    assert [line["is_anomaly"] for line in lines(out)] == [False, False, False, None]
    assert "4 images (4 from the earlier run)" in uadx(*args, "--resume").out


def test_results_whose_stamps_were_lost_are_made_again(uadx, parts, tmp_path):
    out = tmp_path / "out"
    args = ("run", "--input", parts, "--output", out)
    uadx(*args)
    unfinish(out)
    os.truncate(out / "run.inputs", 40)
    run = uadx(*args, "--resume")
    assert "4 images (1 from the earlier run)" in run.out
    assert len(lines(out)) == 4


def test_the_bookkeeping_does_not_show_in_the_results(uadx, parts, tmp_path):
    uadx("run", "--input", parts / "a.png", "--output", tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert not {"size", "mtime_ns", "stamp"} & line.keys()
    assert (tmp_path / "out" / "run.inputs").stat().st_size == 33


def test_a_second_run_into_a_folder_that_is_being_written_is_refused(uadx, parts, tmp_path):
    out = tmp_path / "out"
    uadx("run", "--input", parts, "--output", out)
    before = (out / "results.jsonl").read_bytes()
    holder = subprocess.Popen(
        [sys.executable, "-m", "uadx", "run", "--input", "-", "--output", str(out)],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    holder.stdin.write(f"{parts / 'a.png'}\n".encode())
    holder.stdin.flush()
    deadline = time.monotonic() + 60
    while not (out / "results.jsonl.part").exists():
        assert time.monotonic() < deadline
        assert holder.poll() is None
        time.sleep(0.02)
    for more in ((), ("--resume",)):
        run = uadx("run", "--input", parts, "--output", out, *more)
        assert run.code == 2
        assert run.err.splitlines()[-2:] == [
            f"error: another uadx run is writing to {out}",
            "  fix: wait until it ends, or choose another folder (--output DIR on the command line)",
        ]
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert uadx("run", "--input", parts, "--output", out).code == 8
    assert len(lines(out)) == len(before.splitlines())


def test_a_folder_is_free_again_when_its_run_has_ended_or_was_refused(parts, tmp_path):
    identity = {"input": "x", "threshold": 1.0}
    for _ in range(2):
        with RunFolder(tmp_path, (), identity, resume=False), pytest.raises(UsageError, match="another uadx run"):
            RunFolder(tmp_path, (), identity, resume=False)
    with pytest.raises(UsageError, match="made with another threshold"):
        RunFolder(tmp_path, (), {**identity, "threshold": 2.0}, resume=True)
    RunFolder(tmp_path, (), identity, resume=True).__exit__(None, None, None)


def test_what_a_run_was_made_with_is_told_in_words(tmp_path):
    with RunFolder(tmp_path, (), {"formats": ["csv"], "threshold": 1.0, "max_pixels": 5}, resume=False):
        pass
    with pytest.raises(UsageError) as caught:
        RunFolder(tmp_path, (), {"formats": ["mask"], "threshold": 2.0, "max_pixels": 5}, resume=True)
    assert caught.value.message.endswith("was made with another set of formats and another threshold")


def test_the_pictures_of_other_runs_in_the_input_are_not_inspected(uadx, parts):
    for name in ("run1", "run2"):
        uadx("run", "--input", parts, "--output", parts / name, "--format", "jsonl,overlay,heatmap,mask")
        assert len(lines(parts / name)) == 4


def test_a_folder_the_user_named_is_inspected_though_a_run_drew_it(uadx, parts, tmp_path):
    uadx("run", "--input", parts, "--output", tmp_path / "first")
    uadx("run", "--input", tmp_path / "first" / "overlay", "--output", tmp_path / "second")
    assert len(lines(tmp_path / "second")) == 3


def test_a_summary_counts_the_files_that_are_no_images_by_name(parts, tmp_path):
    from uadx import create_pipeline
    from uadx.output.runner import run

    for name in ("notes.md", "sub/data.csv"):
        (parts / name).write_text("no picture")
    with create_pipeline(device="cpu") as pipeline:
        for resume in (False, True):
            summary = run(pipeline, expand(str(parts)), tmp_path / "out", (), what=str(parts), resume=resume)
            assert (summary.counts.images, summary.skipped) == (4, 2)
