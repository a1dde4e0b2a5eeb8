"""`uadx export --precision int8`: an int8 form that is calibrated by itself, held to its own numbers, and named."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from uadx.bundle.manifest import Cost
from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.writer import write_files
from uadx.cli.export import _doubts

HELD_OUT = 4


@pytest.fixture(scope="module")
def trained(product, tmp_path_factory):
    """The bundle that ships, as if four of the product's twelve good images had been held out when it was trained."""
    path = tmp_path_factory.mktemp("trained") / "model"
    shipped = open_bundle(default_path())
    digests = [hashlib.sha256(image.read_bytes()).hexdigest() for image in (product / "train" / "good").iterdir()]
    training = msgspec.structs.replace(
        shipped.manifest.training, held_out=tuple(digest[:16] for digest in sorted(digests)[:HELD_OUT])
    )
    files = {name: (shipped.path / name).read_bytes() for name in shipped.manifest.files}
    write_files(path, msgspec.structs.replace(shipped.manifest, training=training, default_fpr=0.25), files)
    return path


@dataclass(frozen=True)
class Exported:
    """A bundle with its int8 form, and what the command printed."""

    path: Path
    out: str


@pytest.fixture(scope="module")
def exported(trained, product, tmp_path_factory):
    """Made once, by the command: it takes a while."""
    pytest.importorskip("nncf", reason="NNCF is not installed")
    path = tmp_path_factory.mktemp("quantised") / "model"
    shutil.copytree(trained, path)
    command = ["export", "--model", path, "--precision", "int8", "--data", product]
    done = subprocess.run(
        [sys.executable, "-m", "uadx", *map(str, command)], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[:2] == [
        "warning: the ranges of the 8 bits come from 8 images, and other good parts may lie outside: train on 32 or "
        "more, or run f32",
        "warning: int8 was compared with f32 on 16 images, which shows little: name a folder that has 32 or more below "
        "test/, or train on more good images; until then run f32",
    ]
    return Exported(path, done.stdout)


@pytest.fixture
def quantised(exported):
    """Where the bundle with its int8 form lies."""
    return exported.path


def test_the_command_says_what_int8_costs_and_how_to_run_it(exported):
    said = exported.out.splitlines()
    assert said[0] == f"{exported.path} has stfpm.int8.onnx (int8)"
    cost = open_bundle(exported.path).manifest.variants[0].own.cost
    assert said[1] == (
        f"beside f32, on 16 images: {cost.flips} other verdicts, scores in the same order to {cost.agreement:.4f} "
        f"(rank correlation), image AUROC {cost.auroc_f32:.4f} -> {cost.auroc:.4f}"
    )
    assert said[2] == f"uadx run --model {exported.path} --precision int8"
    assert cost.agreement > 0.95
    assert abs(cost.auroc - cost.auroc_f32) < 0.05


FEW_IMAGES = (
    "int8 was compared with f32 on {}, which shows little: name a folder that has 32 or more below test/, or train on "
    "more good images; until then run f32"
)
OTHER_VERDICTS = "int8 gives {} on {} images, and a rank correlation of {}: run f32, or bf16 where the device has it"


@pytest.mark.parametrize(
    ("cost", "doubts"),
    [
        (None, [FEW_IMAGES.format("0 images")]),
        (Cost(images=1, agreement=1.0, flips=0), [FEW_IMAGES.format("1 image")]),
        (
            Cost(images=31, agreement=1.0, flips=1),
            [FEW_IMAGES.format("31 images"), OTHER_VERDICTS.format("1 other verdict", 31, "1.000")],
        ),
        (Cost(images=200, agreement=1.0, flips=3), [OTHER_VERDICTS.format("3 other verdicts", 200, "1.000")]),
        (Cost(images=200, agreement=0.97, flips=2), [OTHER_VERDICTS.format("2 other verdicts", 200, "0.970")]),
        (Cost(images=200, agreement=0.99, flips=2), []),
    ],
)
def test_a_doubtful_int8_form_is_doubted(cost, doubts):
    assert list(_doubts(cost)) == doubts


@pytest.mark.parametrize("device", ["openvino:CPU", "onnxruntime:CPUExecutionProvider"])
def test_every_engine_repeats_the_int8_form_s_own_golden_vectors(uadx, quantised, device):
    pytest.importorskip(device.partition(":")[0], reason=f"no {device} here")
    done = uadx("verify", "--model", quantised, "--device", device, "--precision", "int8", "--json")
    assert done.code == 0
    found = json.loads(done.out)[0]
    assert (found["precision"], found["passed"], found["images"]) == ("int8", True, 3)
    assert all(level["maximum"] > 1e-6 for level in found["levels"].values())  # it is int8 that ran, not the f32 model


def test_results_of_int8_are_judged_by_int8_s_own_threshold(uadx, quantised, product, tmp_path):
    bundle = open_bundle(quantised)
    own = bundle.manifest.variants[0].own
    assert len(own.calibration["quantile"]) == HELD_OUT
    for precision, thresholds in (("int8", bundle.running("int8")), ("f32", bundle)):
        root = tmp_path / precision
        done = uadx(
            "run", "--model", quantised, "--precision", precision, "--fpr", "0.3", "--input", product / "test" / "good",
            "--output", root, "--format", "jsonl",
        )  # fmt: skip
        assert done.code == 0
        line = json.loads((root / "results.jsonl").read_text().splitlines()[0])
        assert line["device"]["precision"] == precision
        assert line["threshold"] == thresholds.thresholds("quantile", 0.3).image
    assert own.calibration != bundle.manifest.calibration


def test_levels_are_scaled_anew_and_trusted_as_before(quantised):
    manifest = open_bundle(quantised).manifest
    own = manifest.variants[0].own.scoring.levels
    for name, level in manifest.scoring.levels.items():
        assert own[name].weight == level.weight
        assert own[name].high != level.high


def test_a_device_is_offered_the_int8_form_only_where_int8_is_asked_for(uadx, quantised):
    done = uadx("verify", "--model", quantised, "--device", "cpu")
    assert done.out.splitlines()[1] == "openvino:CPU (f32), 3 golden images"
    assert done.out.splitlines()[-1] == "  passed"


def test_int8_without_its_form_says_how_to_make_it(uadx, trained, good_image):
    done = uadx("run", "--model", trained, "--device", "openvino:CPU", "--precision", "int8", "--input", good_image)
    assert done.code == 6
    assert done.err.splitlines() == [
        "error: openvino:CPU was asked for int8, but runs in f32",
        "  fix: the bundle has no int8 form; make it: uadx export --precision int8 --model MODEL --data DIR",
    ]


def test_other_images_than_those_of_the_training_are_refused(uadx, trained, product, tmp_path):
    done = uadx("export", "--model", trained, "--precision", "int8", "--data", product / "test" / "hole")
    assert done.code == 2
    assert "holds 2 different readable images" in done.err
    for number, path in enumerate(sorted((product / "test").rglob("*.png"))[:6]):
        shutil.copy(path, tmp_path / f"{number}.png")
    done = uadx("export", "--model", trained, "--precision", "int8", "--data", tmp_path)
    assert done.code == 2
    assert done.err.splitlines() == [
        f"error: 4 of the 4 images that were held out to calibrate this model are not in {tmp_path}",
        "  fix: --data names the folder that it was trained on, with the same files",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), ["error: no --format is given", "  fix: for the int8 form: --precision int8 --data DIR"]),
        (
            ("--precision", "int8"),
            [
                "error: int8 takes --data: its ranges and thresholds come from the good images",
                "  fix: name the folder that the model was trained on: --data DIR",
            ],
        ),
        (
            ("--format", "onnx", "--precision", "bf16"),
            [
                "error: the model is ONNX already, and runs in bf16 where the device does",
                "  fix: the form that is another: --precision int8 --data DIR",
            ],
        ),
    ],
)
def test_what_is_missing_is_said(uadx, trained, given, said):
    done = uadx("export", "--model", trained, *given)
    assert (done.code, done.err.splitlines()) == (2, said)


def test_without_onnx_the_package_to_install_is_named(uadx, trained, product, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = uadx("export", "--model", trained, "--precision", "int8", "--data", product)
    assert (done.code, done.err.splitlines()) == (
        4,
        [
            "error: int8 takes the package 'onnx', which is not installed",
            "  fix: python -m pip install 'uadx[int8]'",
        ],
    )


def test_without_nncf_the_package_to_install_is_named(uadx, trained, product, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    done = uadx(
        "export", "--model", trained, "--precision", "int8", "--data", product, "--output", tmp_path / "new"
    )  # fmt: skip
    assert done.code == 4
    assert done.err.splitlines()[0] == "error: int8 takes NNCF, which cannot be imported here"
    assert done.err.splitlines()[-1] == "  fix: python -m pip install 'uadx[int8]'"
    assert not (tmp_path / "new").exists()


def test_an_option_that_the_format_has_no_use_for_is_refused(uadx, product, tmp_path):
    done = uadx(
        "export", "-m", "default", "-o", tmp_path / "m", "--precision", "int8", "--data", product, "--batch", "4"
    )
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: --batch means nothing for the format 'onnx'",
        "  fix: leave --batch out",
    ]


@pytest.mark.parametrize(
    ("images", "asked", "reason"),
    [
        (31, (), "its verdicts were compared with f32's on 31 images, and unasked int8 takes 32: more images below "
                 "--data, or --precision int8"),
        (31, ("--precision", "int8"), ""),
        (32, (), ""),
    ],
)  # fmt: skip
def test_int8_of_few_compared_images_is_the_fastest_only_where_it_is_asked_for(
    uadx, quantised, tmp_path, monkeypatch, images, asked, reason
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("uadx.tune.choice.HINTS", ("throughput",))
    bundle = open_bundle(quantised)
    (variant,) = bundle.manifest.variants
    own = msgspec.structs.replace(variant.own, cost=Cost(images=images, agreement=1.0, flips=0))
    variants = (msgspec.structs.replace(variant, own=own),)
    files = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    write_files(tmp_path / "model", msgspec.structs.replace(bundle.manifest, variants=variants), files)
    tune = ("tune", "--model", tmp_path / "model", "--device", "openvino:CPU", "--seconds", 0.05, "--batch-size", 1)
    found = json.loads(uadx(*tune, "--json", *asked).out)
    assert [one["reason"] for one in found["tried"] if one["precision"] == "int8"] == [reason]
    if reason:
        assert found["choice"]["precision"] != "int8"
