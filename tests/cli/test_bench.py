"""`uadx bench` on real engines: what it measures and prints. How fast they are is nobody's test."""

from __future__ import annotations

import json
import os

import pytest

from uadx.bench.measure import Figures, _arguments
from uadx.pipeline.config import PipelineConfig

QUICK = ("--seconds", 0.2, "--rounds", 2)


def test_the_engine_alone_and_files_to_results_are_measured(uadx, parts):
    done = uadx("bench", "--device", "openvino:CPU", "--input", parts, *QUICK, "--json")
    assert done.code == 0
    (found,) = json.loads(done.out)
    assert found["label"] == "openvino:CPU (f32)"
    assert (len(found["engine"]), len(found["whole"]), len(found["rest"])) == (2, 2, 2)
    around = sorted(1e3 * rest["core_seconds"] / rest["images"] for rest in found["rest"])
    assert around[0] <= found["core_ms_around"] <= around[1]
    latency = found["latency_ms"]
    assert latency["p50"] > 0
    many = len(found["latency"])
    assert [percent for percent in (50, 95, 99) if latency[f"p{percent}"] is None] == [
        percent for percent in (50, 95, 99) if many * (100 - percent) < 100
    ]
    ratios = sorted(whole["images"] / whole["seconds"] / (engine["images"] / engine["seconds"])
                    for whole, engine in zip(found["whole"], found["engine"], strict=True))  # fmt: skip
    assert ratios[0] <= found["share_of_engine"] <= ratios[1]
    assert list(found["stages"]) == ["decode", "score", "json"]
    assert found["started"]["first_result"] > 0


def test_a_percentile_that_no_image_lies_above_is_not_given():
    found = Figures("chip", latency=[float(n) for n in range(20)])
    assert (found.percentile(50), found.percentile(95), found.percentile(99)) == (9.5, pytest.approx(18.05), None)


def test_a_busy_machine_is_told(uadx, parts, monkeypatch):
    for load, told in ((0.0, False), (1e6, True)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0), raising=False)
        done = uadx("bench", "--device", "openvino:CPU", "--input", parts, "--seconds", 0.01, "--rounds", 1)
        line = "the machine was busy with something else when this began: measure again when it is quiet"
        assert (done.out.splitlines()[-1] == line) is told


def test_each_round_inspects_every_image_at_least_once_and_counts_bad_ones(uadx, parts):
    done = uadx("bench", "--device", "openvino:CPU", "--input", parts, "--seconds", 0.01, "--rounds", 1, "--json")
    (found,) = json.loads(done.out)
    many = found["whole"][0]["images"]
    assert many >= 4
    assert found["unread"] == many // 4 / many  # every fourth one
    assert done.err == (
        f"warning: {100 * found['unread']:.0f} % of the inputs cannot be read, and count as images: the rates from "
        "files to results are none of good files\n"
    )


def test_several_devices_stand_in_one_table_with_the_cost_of_each_stage(uadx, parts):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    devices = ("openvino:CPU", "onnxruntime:CPUExecutionProvider")
    named = [word for device in devices for word in ("--device", device)]
    done = uadx("bench", *named, "--input", parts, *QUICK, "--format", "jsonl,overlay")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["engine", "p50", "p95", "p99", "files", "share", "around", "start", "memory"]
    assert [line.partition("  ")[0] for line in lines[2:4]] == [f"{device} (f32)" for device in devices]
    for device, line in zip(devices, lines[4:6], strict=True):
        label, _, stages = line.partition(": core-milliseconds an image: ")
        assert label == f"{device} (f32)"
        assert [stage.split()[0] for stage in stages.split(", ")] == ["decode", "score", "json", "overlay"]


def test_without_images_it_makes_some(uadx):
    done = uadx("bench", "--device", "openvino:CPU", "--seconds", 0.1, "--rounds", 1)
    assert done.code == 0
    assert done.out.splitlines()[2].startswith("openvino:CPU (f32)")


def test_a_simulator_has_no_speed(uadx):
    done = uadx("bench", "--device", "ascend-sim:0", *QUICK)
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: ascend-sim:0 is simulated: its speed is that of no hardware",
        "  fix: name a real device: `uadx devices` lists them",
    ]


def test_the_process_whose_start_is_measured_is_asked_for_the_same(tmp_path):
    config = PipelineConfig(
        model="m", device="npu:1", precision="f16", batch_size=2, workers=3, devices_file="devices.yaml"
    )
    assert _arguments(config, "photos") == [
        "--input", "photos", "--model", "m", "--device", "npu:1", "--precision", "f16", "--batch-size", "2",
        "--workers", "3", "--devices-file", "devices.yaml",
    ]  # fmt: skip


def test_input_without_images_is_named_before_anything_is_measured(uadx, tmp_path):
    done = uadx("bench", "--device", "openvino:CPU", "--input", tmp_path, *QUICK)
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: no image in {tmp_path}")
