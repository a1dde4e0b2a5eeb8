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
