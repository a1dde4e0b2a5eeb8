"""The stand-in as the module `paddle` on sys.path: the real import and the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")

HERE = Path(__file__).parent


@pytest.fixture
def uadx_on_card():
    """uadx_on_card("run", ..., devices=1) in a process that finds the stand-in under the real name."""

    def run(*arguments, **knobs):
        environment = dict(os.environ, XPU_KNOBS=json.dumps(knobs))
        environment.pop("UADX_DEVICE", None)
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "on_path"), str(HERE / "fakes"), *sys.path])
        command = [sys.executable, "-m", "uadx", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)

    return run


def test_the_command_line_lists_the_cards_as_unverified(uadx_on_card):
    done = uadx_on_card("devices", "xpu", "--json", devices=2)
    rows = [row for row in json.loads(done.stdout)["devices"] if row["backend"] == "kunlun"]
    assert [(row["device"], row["kind"], row["status"]) for row in rows] == [
        ("kunlun:0", "xpu:0", "unverified"),
        ("kunlun:1", "xpu:1", "unverified"),
    ]
    assert json.loads(done.stdout)["kinds"]["xpu"]["device"] == "kunlun:0"


def test_the_command_line_runs_a_folder(uadx_on_card, parts, tmp_path):
    done = uadx_on_card("run", "--device", "xpu:1", "--input", parts, "--output", tmp_path / "out")
    assert done.returncode == 8, done.stderr  # one of the files is no picture
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {result["device"]["used"] for result in results} == {"kunlun:1"}
    assert "xpu: clean" in done.stderr


def test_several_cards_share_a_run(uadx_on_card, parts, tmp_path):
    done = uadx_on_card(
        "run", "--device", "xpu:0,1", "--batch-size", "1", "--input", parts, "--output", tmp_path / "out"
    )
    assert done.returncode == 8, done.stderr
    assert "xpu: clean" in done.stderr


def test_verify_passes_and_a_card_that_rounds_is_found_out(uadx_on_card):
    assert uadx_on_card("verify", "--device", "xpu:0").returncode == 0
    done = uadx_on_card("verify", "--device", "xpu:0", bits=10)
    assert done.returncode == 6
    assert "kunlun:0 was asked for f32, but computes in tf32" in done.stderr
    done = uadx_on_card("verify", "--device", "xpu:0", "--precision", "auto", bits=10)
    assert done.returncode == 0, done.stderr
    assert "kunlun:0 (tf32)" in done.stdout


@pytest.mark.parametrize(
    ("knobs", "words", "fix"),
    [
        ({"built_with_xpu": False}, "this Paddle is built for the CPU alone", "paddlepaddle-xpu"),
        ({"driver": False}, "Baidu Kunlun Card is properly installed", "lspci -d 1d22:"),
        ({"devices": 0}, "Paddle counts no card", "lspci -d 1d22:"),
        ({"devices": 1}, "it sees no xpu:1; it sees: xpu:0", "uadx devices xpu"),
    ],
)
def test_what_is_missing_is_said_with_the_fix_and_the_exit_code(uadx_on_card, good_image, tmp_path, knobs, words, fix):
    done = uadx_on_card("run", "--device", "xpu:1", "--input", good_image, "--output", tmp_path / "out", **knobs)
    assert done.returncode == 4, done.stderr
    assert words in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
