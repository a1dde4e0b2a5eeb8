"""`uadx train --each`: real trainings of several products in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install 'uadx[torch]'")

SMALL = ("--epochs", "1", "--image-size", "64")


@pytest.fixture
def products(product, tmp_path):
    """Two products, one with images in a folder and one in MVTec layout, and a folder without images."""
    root = tmp_path / "products"
    (root / "plain").mkdir(parents=True)
    (root / "mvtec" / "train").mkdir(parents=True)
    (root / "plain" / "images").symlink_to(product / "train" / "good")
    (root / "mvtec" / "train" / "good").symlink_to(product / "train" / "good")
    (root / "empty").mkdir()
    return root


def test_each_folder_becomes_a_bundle_and_one_that_cannot_costs_no_other(uadx, products, product, tmp_path):
    models = tmp_path / "models"
    (products / "plain" / "more").mkdir()
    (products / "plain" / "more" / "broken.png").write_bytes(b"no picture")
    run = uadx("train", "--each", "--data", products, "--output", models, *SMALL)
    assert run.code == 8
    said = run.err.splitlines()
    assert f"error: empty: no image in {products / 'empty'}" in said
    assert [line for line in said if line.startswith("warning: plain: skipped: ")]
    assert {line.split(": ")[1] for line in said} == {"empty", "mvtec", "plain"}
    heading, empty, mvtec, plain = run.out.splitlines()
    assert heading.split() == ["product", "good", "images", "threshold", "false", "alarms", "seconds", "bundle"]
    assert empty.split() == ["empty", "failed"]
    assert mvtec.split()[:3] == ["mvtec", "trained", "12"]
    assert plain.split()[:3] == ["plain", "trained", "12"]
    assert plain.split()[-1] == str(models / "plain")
    assert sorted(path.name for path in models.iterdir() if path.is_dir()) == ["mvtec", "plain"]
    looked_at = ("--input", product / "test" / "good", "--output", tmp_path / "looked_at")
    assert uadx("run", "--model", models / "plain", *looked_at).code == 0


def test_what_is_there_is_kept_so_that_the_same_command_goes_on(uadx, products, tmp_path):
    models = tmp_path / "models"
    (products / "empty").rmdir()
    assert uadx("train", "--data", products / "plain", "--output", models / "plain", "--seed", 5, *SMALL).code == 0
    before = (models / "plain" / "manifest.json").read_bytes()
    run = uadx("train", "--each", "--data", products, "--output", models, *SMALL)
    assert run.code == 0, run.err
    assert [line.split()[1] for line in run.out.splitlines()[1:]] == ["trained", "kept"]
    assert (models / "plain" / "manifest.json").read_bytes() == before
    single = tmp_path / "mvtec"
    assert uadx("train", "--data", products / "mvtec", "--output", single, *SMALL).code == 0
    assert (single / "stfpm.onnx").stat().st_size == (models / "mvtec" / "stfpm.onnx").stat().st_size


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_trainings_too(products, tmp_path, number):
    models = tmp_path / "models"
    command = ["train", "--each", "--data", str(products), "--output", str(models), "--epochs", "500"]
    process = subprocess.Popen([sys.executable, "-m", "uadx", *command], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(models.glob("*.training/*.checkpoint")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert "the same command keeps what is done and goes on with the rest" in said
    assert not list(models.glob("*/manifest.json"))
    lock = next(models.glob("*.training/lock"))
    again = uadx_train_once(lock, products, models)
    assert again.returncode == 0, again.stderr  # no training is left that holds the lock


def uadx_train_once(lock, products, models):
    name = lock.parent.name.removesuffix(".training")
    command = ["train", "--data", str(products / name), "--output", str(models / name), *SMALL]
    return subprocess.run([sys.executable, "-m", "uadx", *command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("product", "is one product in MVTec layout\n  fix: leave out --each\n"),
        ("product/train/good", "has no folder, and so no product\n  fix: leave out --each to train on its images\n"),
        ("nowhere", "is not a directory\n  fix: name a folder that has a folder for each product\n"),
    ],
)
def test_what_is_no_folder_of_products_is_refused(uadx, product, tmp_path, given, words):
    path = tmp_path / given if given == "nowhere" else product.parent / given.replace("product", product.name)
    run = uadx("train", "--each", "--data", path, "--output", tmp_path / "models")
    assert run.code == 2
    assert run.err.endswith(words)


def test_a_device_that_is_not_there_is_said_once(uadx, products, tmp_path):
    run = uadx("train", "--each", "--data", products, "--output", tmp_path / "models", "--device", "gpu:98,99")
    assert run.code == 4
    assert run.err.count("error:") == 1
    assert "--device gpu:98: torch sees 0 CUDA devices" in run.err
