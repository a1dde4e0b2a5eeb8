"""`uadx demo`, whole: the table, the figures it must reach, the report."""

from __future__ import annotations

import re
import subprocess

import pytest
from unit.test_run_report import Scripts


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


def test_the_last_line_is_the_report(shown, folder):
    assert shown.splitlines()[-1] == f"look at it: {(folder / 'out' / 'results' / 'report.html').as_uri()}"


def test_the_report_has_every_picture_in_a_file_of_a_few_megabytes(shown, folder):
    path = folder / "out" / "results" / "report.html"
    page = Scripts(path)
    assert len(page.rows) == 130
    assert all(page.pictures)
    assert {found[0].split("/")[0] for found in page.rows} >= {"good", "hole", "stain"}
    assert path.stat().st_size < 3_000_000
