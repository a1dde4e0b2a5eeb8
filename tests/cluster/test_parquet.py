"""results.parquet: the results as a typed table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uadx[parquet]'")


def test_its_rows_are_those_of_the_json_lines(uadx, parts: Path, tmp_path: Path):
    import pyarrow.parquet

    assert uadx("run", "--input", parts, "--output", tmp_path, "--format", "jsonl,parquet").code == 8
    table = pyarrow.parquet.read_table(tmp_path / "results.parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(table) == len(lines) == 4
    for row, line in zip(table, lines, strict=True):
        for name in ("input_path", "score", "threshold", "pixel_threshold", "is_anomaly", "p_value", "regions"):
            assert row[name] == line[name]
        assert (row["device_used"], row["model_sha256"]) == (line["device"]["used"], line["model"]["sha256"])
    assert (table[0]["height"], table[0]["width"]) == tuple(lines[0]["image_size"])
    broken = table[-1]
    assert broken["score"] is broken["is_anomaly"] is broken["height"] is None
    assert broken["error_type"] == lines[-1]["error"]["type"]


def test_without_pyarrow_nothing_is_inspected_and_the_command_that_installs_it_is_named(
    uadx, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    finished = uadx("run", "--input", parts, "--output", tmp_path / "out", "--format", "parquet")
    assert finished.code == 4
    assert "the format 'parquet' takes the package 'pyarrow', which is not installed" in finished.err
    assert "fix: python -m pip install 'uadx[parquet]'" in finished.err
    assert not (tmp_path / "out").exists()
