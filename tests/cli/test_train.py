"""`uadx train`: real trainings on a few pictures; skipped where torch is not installed, but for its own refusal."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from uadx.bundle.reader import open_bundle
from uadx.errors import UadxWarning
from uadx.lock import try_lock
from uadx.scoring.calibration import Calibration

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install 'uadx[torch]'")


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_training_says_which_extra_is_missing(uadx, product, tmp_path):
    run = uadx("train", "--data", product, "--output", tmp_path / "m")
    assert run.code == 4
    assert run.err == (
        "error: training needs the package torch, which is not installed\n  fix: python -m pip install 'uadx[torch]'\n"
    )


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from uadx.cli import main; main(sys.argv[1:])"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 4, "training needs the package torch"),
        (("--data", "nowhere"), 2, "--data nowhere is not a directory"),
        (("--image-size", "100"), 2, "--image-size '100' is no size"),
        (("--seed", "x"), 2, "--seed"),
    ],
)
def test_a_wrong_argument_is_named_before_a_missing_torch(product, tmp_path, args, code, words):
    command = [sys.executable, "-c", WITHOUT_TORCH, "train", "--data", str(product), "--output", str(tmp_path / "m")]
    run = subprocess.run([*command, *args], capture_output=True, text=True, check=False)
    assert run.returncode == code
    assert words in run.stderr


def test_a_folder_with_defects_beside_the_good_images_is_refused(uadx, product, tmp_path):
    run = uadx("train", "--data", product / "test", "--output", tmp_path / "model")
    assert (run.code, run.err.splitlines()) == (
        2,
        [
            f"error: {product / 'test'} has good/ beside bent_wire/, broken_thread/, contamination/, glue/ and 2 more, "
            "whose images would be taken for good",
            f"  fix: name the folder of the good ones: --data {product / 'test' / 'good'}",
        ],
    )


@pytest.fixture(scope="module")
def trained(product, tmp_path_factory):
    """A bundle trained for two epochs on the demo product's 12 good images."""
    from uadx.train.build import Progress, TrainOptions, train

    path = tmp_path_factory.mktemp("trained") / "mesh"
    with pytest.warns(UadxWarning, match="2 held-out images can certify no threshold to rely on"):
        train(TrainOptions(product, path, epochs=2, seed=3), Progress())
    return path


@needs_torch
def test_a_folder_of_good_images_becomes_a_bundle_that_inspects(uadx, trained, product, tmp_path):
    run = uadx("run", "--model", trained, "--input", product / "test", "--output", tmp_path / "out")
    assert run.code == 0
    info = uadx("info", trained).out
    assert "10 good images, 2 epochs, seed 3" in info
    assert "2 held-out good images" in info
    assert "false-alarm rates of 0.3333 and more" in info


@needs_torch
def test_a_training_leaves_a_page_beside_its_bundle(uadx, product, tmp_path):
    run = uadx("train", "--data", product, "--output", tmp_path / "mesh", "--epochs", 2, "--image-size", 64)
    page = tmp_path / "mesh.training.html"
    assert run.out.splitlines()[-1] == f"look at it: {page.as_uri()}"
    text = page.read_text("utf-8")
    manifest = open_bundle(tmp_path / "mesh").manifest
    assert "Taught by 10 good images, 2 times each, and calibrated by 2 others." in text
    threshold = Calibration(manifest.calibration["quantile"]).threshold(manifest.default_fpr)
    assert f"Its threshold is {threshold:.4g}" in text
    assert "<td>1.0%</td><td>takes 99 held-out images</td>" in text
    assert text.count("<figure") == 2 + 8  # the held-out images by name, and drawn defects
    held_out = [path.name for path in (product / "train" / "good").iterdir() if f"<span>{path.name}</span>" in text]
    assert len(held_out) == 2
    assert "loss: from " in text
    assert not re.search(r"(src|href)=.http", text)


@needs_torch
def test_the_page_of_a_training_that_was_killed_has_its_whole_curve(product, tmp_path):
    from uadx.stfpm.training import Recipe, Trainer
    from uadx.train.teacher import load_teacher

    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    shown = np.full((8, 2), 64)
    trainer = Trainer(images, shown, load_teacher("default").weights, Recipe(3))
    epochs = trainer.run(tmp_path / "state")
    next(epochs)
    again = Trainer(images, shown, load_teacher("default").weights, Recipe(3))
    assert again.restore(tmp_path / "state")
    assert [epoch.number for epoch in again.run(tmp_path / "state")] == [2, 3]
    assert len(again.losses) == 3
    assert again.losses[0] == trainer.losses[0]


@needs_torch
def test_the_golden_vectors_are_what_the_engine_gives(trained):
    from uadx import create_pipeline

    with create_pipeline(model=trained) as pipeline:
        golden = pipeline.bundle.golden
        maps = pipeline.inspector.level_maps(golden.images)
    for name, expected in golden.maps.items():
        np.testing.assert_allclose(maps[name], expected, atol=1e-4)


@needs_torch
def test_the_same_seed_gives_the_same_bundle(uadx, trained, product, tmp_path):
    command = ("train", "--data", product / "train" / "good", "--epochs", 2, "--seed", 3)
    assert uadx(*command, "--output", tmp_path / "mesh").code == 0
    for file in trained.iterdir():
        assert (tmp_path / "mesh" / file.name).read_bytes() == file.read_bytes(), file.name


@needs_torch
def test_a_killed_training_goes_on_and_gives_the_same_bundle(product, tmp_path):
    # processes of their own, as a user's are: what other tests loaded into this one may change the last bits
    def command(path):
        options = ["--data", str(product), "--epochs", "4", "--image-size", "128", "--output", str(path)]
        return [sys.executable, "-m", "uadx", "train", *options]

    whole, path = tmp_path / "whole" / "mesh", tmp_path / "killed" / "mesh"
    subprocess.run(command(whole), check=True)
    path.parent.mkdir()
    process = subprocess.Popen(command(path))
    deadline = time.monotonic() + 120
    while not list(path.parent.glob("mesh.training/*.checkpoint")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = subprocess.run(command(path), capture_output=True, text=True, check=True)
    assert "going on after epoch" in again.stderr
    assert (path / "stfpm.onnx").read_bytes() == (whole / "stfpm.onnx").read_bytes()
    assert sorted(p.name for p in path.parent.iterdir()) == ["mesh", "mesh.training.html"]


@needs_torch
def test_a_model_is_taught_on_and_says_from_which(uadx, trained, product, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for number, path in enumerate(sorted((product / "test").rglob("*.png"))[:6]):  # none of them taught it
        (other / f"new{number}.png").write_bytes(path.read_bytes())
    for path in sorted((product / "train" / "good").iterdir())[:6]:
        (other / path.name).write_bytes(path.read_bytes())
    before = open_bundle(trained)
    run = uadx("train", "--from", trained, "--data", other, "--output", tmp_path / "on", "--epochs", 1)
    assert run.code == 0, run.err
    after = open_bundle(tmp_path / "on")
    assert after.manifest.parent == before.sha256
    assert after.manifest.teacher == before.manifest.teacher
    assert after.manifest.input == before.manifest.input
    assert not set(after.manifest.training.held_out) & set(before.manifest.training.taught)
    assert set(before.manifest.training.taught) < set(after.manifest.training.taught)  # and so for all that follow
    assert before.sha256 in uadx("info", tmp_path / "on").out
    from uadx.stfpm.graph import network_weights

    old, new = (network_weights(one.artifact.path.read_bytes(), "student") for one in (before, after))
    moved = max(float(abs(old[name].astype(float) - new[name]).max() / abs(old[name]).max()) for name in old)
    assert 0 < moved < 1  # it goes on from what the model knows


@needs_torch
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--teacher", "torchvision"), "--teacher cannot be given beside --from"),
        (("--tile", "64"), "--tile cannot be given beside --from"),
        (("--image-size", "64"), "--image-size cannot be given beside --from"),
    ],
)
def test_what_a_model_brings_with_it_is_not_chosen_anew(uadx, trained, product, tmp_path, given, words):
    run = uadx("train", "--from", trained, "--data", product, "--output", tmp_path / "m", *given)
    assert run.code == 2
    assert run.err == f"error: {words}\n  fix: the model keeps its teacher, size and tiles\n"


@needs_torch
def test_the_model_that_is_taught_on_stays_as_it_is(uadx, trained, product):
    run = uadx("train", "--from", trained, "--data", product, "--output", trained)
    assert run.code == 2
    assert "--output is the model itself" in run.err


@needs_torch
def test_images_that_all_taught_the_model_calibrate_nothing(uadx, trained, product, tmp_path):
    taught = tmp_path / "taught"
    taught.mkdir()
    known = set(open_bundle(trained).manifest.training.taught)
    for path in (product / "train" / "good").iterdir():
        if hashlib.sha256(path.read_bytes()).hexdigest()[:16] in known:
            (taught / path.name).write_bytes(path.read_bytes())
    for command in (("train", "--from", trained), ("recalibrate", "--model", trained)):
        run = uadx(*command, "--data", taught, "--output", tmp_path / "m")
        assert run.code == 2
        assert run.err.splitlines() == [
            f"error: no image of {taught} is left to calibrate by: all 10 taught the model, which repeats them too "
            "well",
            "  fix: bring good images that did not teach it",
        ]


@needs_torch
def test_two_trainings_do_not_share_a_folder(uadx, product, tmp_path):
    work = tmp_path / "mesh.training"
    work.mkdir()
    with open(work / "lock", "wb") as lock:
        assert try_lock(lock)
        run = uadx("train", "--data", product, "--output", tmp_path / "mesh")
    assert run.code == 2
    assert run.err.splitlines() == [
        f"error: another uadx train is at work in {work}",
        "  fix: wait until it ends, or choose another --output",
    ]
    assert (work / "lock").exists()


@needs_torch
def test_unreadable_files_and_copies_are_left_out_and_named(uadx, product, tmp_path):
    data = tmp_path / "good"
    data.mkdir()
    for index, source in enumerate(sorted((product / "train" / "good").iterdir())[:6]):
        (data / f"{index}.png").write_bytes(source.read_bytes())
    (data / "copy.png").write_bytes((data / "0.png").read_bytes())
    (data / "notes.png").write_bytes(b"not a picture")
    run = uadx("train", "--data", data, "--output", tmp_path / "m.zip", "--epochs", 1, "--image-size", 64)
    assert run.code == 0
    assert f"warning: skipped: {data / 'notes.png'}" in run.err
    assert (
        "warning: 1 held-out image can certify no threshold to rely on: 1 good part in 2 may lie above it. A "
        "false-alarm rate of 5 % takes 95 good images, 1 % takes 495. Until then look at scores and heat maps, "
        "and trust no verdict"
    ) in run.err.splitlines()
    assert "1 held-out image certifies no lower rate: 5 % takes 95 good images, 1 % takes 495" in run.out.splitlines()
    page = (tmp_path / "m.training.html").read_text("utf-8")
    assert "Taught by 5 good images, 1 time each, and calibrated by 1 other." in page
    training = json.loads(uadx("info", tmp_path / "m.zip", "--json").out)["training"]
    assert (training["skipped"], training["duplicates"], training["images"]) == (1, 1, 5)


@needs_torch
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--data", "nowhere"), "--data nowhere is not a directory"),
        (("--image-size", "100"), "--image-size '100' is no size that the network can take"),
        (("--same-part", "("), "'(' is no regular expression"),
        (("--same-part", "lot"), "--same-part 'lot' matches no picture's path, such as "),
        (("--device", "npu"), "--device 'npu' is nothing to train on"),
        (("--teacher", "resnet50"), "--teacher 'resnet50' is neither 'default', 'torchvision' nor a file of weights"),
        (("--teacher", "gone.pth"), "--teacher gone.pth: no such file"),
    ],
)
def test_wrong_arguments_exit_with_2(uadx, product, tmp_path, args, words):
    run = uadx("train", "--data", product, "--output", tmp_path / "m", *args)
    assert run.code == 2
    assert words in run.err
    assert not list(tmp_path.iterdir())


@needs_torch
def test_too_few_images_are_refused(uadx, product, tmp_path):
    data = tmp_path / "good"
    data.mkdir()
    for source in sorted((product / "train" / "good").iterdir())[:3]:
        (data / source.name).write_bytes(source.read_bytes())
    run = uadx("train", "--data", data, "--output", tmp_path / "m")
    assert run.code == 2
    assert "holds 3 different readable images; training needs at least 5" in run.err
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@needs_torch
def test_images_of_which_next_to_nothing_is_left_at_the_models_size_are_refused_and_taught_as_tiles(uadx, tmp_path):
    import cv2

    data = tmp_path / "good"
    data.mkdir()
    rng = np.random.default_rng(0)
    for name in "abcdef":
        cv2.imwrite(str(data / f"{name}.png"), rng.integers(0, 256, (16, 2400, 3), np.uint8))
    command = ("train", "--data", data, "--output", tmp_path / "m", "--epochs", 1)
    run = uadx(*command)
    assert run.code == 2
    assert run.err.splitlines()[-3:] == [
        f"warning: skipped: {data / 'f.png'}: 2400 x 16 pixels are 736 x 4 at the model's size, which shows no part: "
        "cut it into tiles (--tile)",
        f"error: {data} holds 0 different readable images; training needs at least 5",
        "  fix: mend what was skipped, or bring more pictures of good parts: 20 are a start, 200 make a "
        "threshold for 2.5 % false alarms",
    ]
    assert uadx(*command, "--tile", 128).code == 0


@needs_torch
def test_an_output_that_is_no_bundle_is_not_written_over(uadx, product, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    run = uadx("train", "--data", product, "--output", tmp_path)
    assert run.code == 2
    assert "is there already and is no model bundle" in run.err
    assert (tmp_path / "precious.txt").read_text() == "mine"


@needs_torch
@pytest.mark.parametrize("content", [b"", b"junk" * 100])
def test_a_damaged_checkpoint_is_named_and_the_training_starts_anew(tmp_path, content):
    from uadx.stfpm.network import Trunk
    from uadx.stfpm.training import Recipe, Trainer

    images = np.zeros((4, 32, 32, 3), np.uint8)
    (tmp_path / "checkpoint").write_bytes(content)
    trainer = Trainer(images, np.full((4, 2), 32), Trunk().folded(), Recipe(epochs=1))
    with pytest.warns(UadxWarning, match="is damaged and not taken up"):
        assert not trainer.restore(tmp_path / "checkpoint")


@needs_torch
def test_pictures_of_a_part_are_held_out_together_and_certify_as_one(uadx, product, tmp_path):
    folder = tmp_path / "views"
    folder.mkdir()
    for part, source in enumerate(sorted((product / "train" / "good").iterdir())):
        image = cv2.imread(str(source))
        for view in range(2):
            cv2.imwrite(str(folder / f"part{part:02d}_{view}.png"), np.clip(image * (1 - 0.2 * view), 0, 255))
    run = uadx("train", "--data", folder, "--output", tmp_path / "model", "--epochs", 1, "--same-part", r"part(\d+)")
    assert run.code == 0, run.err
    assert "the 6 held-out pictures show 3 parts, which certify a false-alarm rate of 25 % and more" in run.err
    assert "3 held-out parts certify no lower rate: 5 % takes 95 good parts, 1 % takes 495" in run.out
    manifest = open_bundle(tmp_path / "model").manifest
    assert manifest.default_fpr == 0.25
    names = {hashlib.sha256(path.read_bytes()).hexdigest()[:16]: path.name for path in folder.iterdir()}
    assert sorted(names[digest][:6] for digest in manifest.training.held_out)[::2] == sorted(
        {names[digest][:6] for digest in manifest.training.held_out}
    )


@needs_torch
def test_renaming_the_files_changes_neither_split_nor_order(product, tmp_path):
    from uadx.images.framing import Framing
    from uadx.train.dataset import read_good_images
    from uadx.train.split import by_seed

    good = product / "train" / "good"
    (tmp_path / "renamed").mkdir()
    for index, source in enumerate(sorted(good.iterdir(), reverse=True)):
        (tmp_path / "renamed" / f"{index}.png").write_bytes(source.read_bytes())
    before, after = (
        read_good_images(folder, tmp_path / f"{index}.npy", Framing(64, 64), by_seed(0))
        for index, folder in enumerate((good, tmp_path / "renamed"))
    )
    assert before.held_out.digests == after.held_out.digests
    assert before.train.digests == after.train.digests


@needs_torch
def test_a_teacher_in_a_checkpoint_of_lightning_and_dataparallel_is_found(tmp_path):
    import torch

    from uadx.stfpm.network import Trunk
    from uadx.train.teacher import load_teacher

    state = Trunk().state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "wrapped.pth")
    plain, wrapped = (load_teacher(str(tmp_path / f"{name}.pth")) for name in ("plain", "wrapped"))
    assert wrapped.sha256 == plain.sha256


@needs_torch
def test_a_full_disk_is_said_before_the_training_begins(uadx, product, tmp_path, monkeypatch):
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.posix_fallocate", no_room, raising=False)
    done = uadx("train", "--data", product, "--output", tmp_path / "m")
    assert done.code == 1
    images = tmp_path / "m.training" / "images.npy"
    assert done.err.splitlines() == [
        f"error: {images} cannot be written",
        "    [Errno 28] No space left on device",
        "  fix: make room there, or choose another --output",
    ]
    assert not images.exists()


@needs_torch
def test_a_disk_that_fills_while_it_trains_is_said_in_the_systems_words(uadx, product, tmp_path):
    resource = pytest.importorskip("resource", reason="no file sizes can be limited here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))  # the images have room, a checkpoint has not
    try:
        run = uadx("train", "--data", product, "--output", tmp_path / "m", "--epochs", 1, "--image-size", 64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.code == 1
    first, cause, fix = run.err.splitlines()[-3:]
    assert re.fullmatch(rf"error: {tmp_path}/m.training/\S+\.checkpoint cannot be written", first)
    assert cause == "    [Errno 27] File too large"
    assert fix == "  fix: make room there, or choose another place"
    assert not list(tmp_path.iterdir())  # no half file, and no folder of a training of which nothing is done


@needs_torch
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_teacher_file_is_taken_by_its_names(uadx, product, tmp_path, suffix):
    import torch
    from safetensors.torch import save_file

    from uadx.stfpm.network import Trunk

    torch.manual_seed(0)
    state = {**Trunk().state_dict(), "fc.weight": torch.zeros(3, 3)}
    path = tmp_path / f"mine{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    command = ("train", "--data", product, "--output", tmp_path / "m", "--epochs", 1, "--image-size", 64)
    assert uadx(*command, "--teacher", path).code == 0
    assert re.search(r"^teacher +mine$", uadx("info", tmp_path / "m").out, re.MULTILINE)


@needs_torch
def test_a_teacher_file_that_runs_code_or_is_no_resnet18_is_refused(uadx, product, tmp_path):
    import pickle

    import torch

    from uadx.stfpm.network import Trunk

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(print))
    (tmp_path / "junk.pth").write_bytes(b"junk" * 100)
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    blind, unfit = Trunk().state_dict(), Trunk().state_dict()
    blind["layer2.0.conv1.weight"].zero_()
    unfit["layer1.0.bn1.weight"][0] = float("nan")
    torch.save(blind, tmp_path / "blind.pth")
    torch.save(unfit, tmp_path / "unfit.pth")
    refused = {
        "evil": "cannot be read as plain weights\n    UnpicklingError: torch reads nothing but tensors from it",
        "junk": "cannot be read as plain weights\n    KeyError: 1785425525",
        "other": "the weights have no entry `conv1.weight`",
        "blind": "blind.pth sees nothing: all of `layer2.0.conv1.weight` is 0",
        "unfit": "unfit.pth holds values that are no numbers in float16: `layer1.0.conv1.weight`",
    }
    for name, words in refused.items():
        run = uadx("train", "--data", product, "--output", tmp_path / "m", "--teacher", tmp_path / f"{name}.pth")
        assert run.code == 5
        assert words in run.err
