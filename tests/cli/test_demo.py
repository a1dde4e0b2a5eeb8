"""`uadx demo`, whole: the table, the figures it must reach, the page in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(folder):
    """What the command prints, run once as a user runs it."""
    import sys

    run = subprocess.run(
        [sys.executable, "-m", "uadx", "demo", "--output", str(folder / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def test_the_table_has_a_row_for_each_kind_and_easy_kinds_reach_the_mark(shown):
    rows = {line.split()[0]: line.split() for line in shown.splitlines()[1:9]}
    assert rows["good"][1] == "40"
    assert int(rows["good"][2]) <= 2
    for kind in ("hole", "glue", "bent_wire"):
        assert float(rows[kind][3]) >= 0.99, rows[kind]
        assert float(rows[kind][4]) >= 0.9, rows[kind]
    for kind in ("broken_thread", "contamination", "stain"):
        assert float(rows[kind][3]) > 0.7, rows[kind]


def test_a_line_below_the_table_says_what_the_false_alarm_rate_means(shown):
    line = shown.splitlines()[9]
    assert re.fullmatch(
        r"false-alarm rate 0\.01: the threshold is set so that of 1,000 good parts about 10 or fewer are called NG; "
        r"here it was \d of 40",
        line,
    )


def test_a_second_demo_takes_the_folder_of_the_first_and_counts_only_its_own_pictures(shown, folder, uadx):
    out = folder / "out"
    (out / "product" / "test" / "good" / "mine.png").write_bytes((out / "product/test/hole/000.png").read_bytes())
    again = uadx("demo", "--output", out)
    assert again.code == 0, again.err
    assert again.out.splitlines()[1].split()[:2] == ["good", "40"]


def test_a_folder_with_files_of_ones_own_is_refused_and_left_as_it_was(uadx, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    run = uadx("demo", "--output", tmp_path)
    assert run.code == 2
    assert run.err.startswith(
        f"error: {tmp_path} holds files that are not the demo's\n  fix: name a folder that is empty"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_last_line_is_the_page(shown, folder):
    assert shown.splitlines()[-1] == f"look at it: {(folder / 'out' / 'index.html').as_uri()}"


def test_the_page_is_one_file_without_network(shown, folder):
    text = (folder / "out" / "index.html").read_text("utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)""", text)
    assert "<script" not in text
    assert text.count("<figure") == 130
    assert len(text) < 6_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome is installed")
def test_the_filter_of_the_page_hides_the_other_kinds_in_a_browser(shown, folder, tmp_path):
    page = (folder / "out" / "index.html").read_text("utf-8")
    probe = (
        "<script>document.getElementById('k-hole').click();"
        "document.title = [...document.querySelectorAll('figure')]"
        ".filter(f => getComputedStyle(f).display !== 'none').length + ' shown';</script>"
    )
    (tmp_path / "probe.html").write_text(page + probe, "utf-8")
    run = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", *QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", (tmp_path / "probe.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "<title>15 shown</title>" in run.stdout
