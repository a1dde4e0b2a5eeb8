"""`uadx import`: models that anomalib taught."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from uadx import create_pipeline
from uadx.bundle.reader import open_bundle

torch = pytest.importorskip("torch", reason="importing takes the extra torch")
onnx = pytest.importorskip("onnx", reason="importing takes the extra torch")

from stfpm_of_anomalib import Stfpm, checkpoint, drawn, transform  # noqa: E402

SIZE = (64, 96)


@pytest.fixture(scope="module")
def model():
    return drawn()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("anomalib") / "model.ckpt"
    torch.save(checkpoint(model, SIZE), path)
    return path


@pytest.fixture(scope="module")
def good(product):
    return product / "train" / "good"


@pytest.fixture(scope="module")
def bundle(file, good, tmp_path_factory):
    from uadx.anomalib.convert import import_model

    path = tmp_path_factory.mktemp("imported") / "mesh"
    import_model(file, good, path)
    return path


@pytest.fixture
def refused(uadx, good, tmp_path):
    """Import what cannot be: refused(content) -> what is said, and nothing is written. content: a file, or what torch
    is to save."""

    def attempt(content, name="model.ckpt", code=5, **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        words = [word for option, value in options.items() for word in (f"--{option.replace('_', '-')}", value)]
        run = uadx("import", path, "--data", good, "--output", tmp_path / "new", *words)
        assert run.code == code, run.err
        assert not (tmp_path / "new").exists()
        assert "Traceback" not in run.err
        return run.err

    return attempt


def pixels_of(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def maps_of(model, images):
    """anomalib's level maps of uint8 RGB [N, H, W, 3]."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        return [level[:, 0].numpy() for level in model.model.level_maps((pixels_of(images) - mean) / deviation)]


def test_a_checkpoint_becomes_a_bundle_that_inspects(uadx, file, good, product, tmp_path):
    output = tmp_path / "mesh"
    run = uadx("import", file, "--data", good, "--output", output)
    assert run.code == 0, run.err
    first, second, *rest = run.out.splitlines()
    assert first == "anomalib checkpoint: resnet18, 64 x 96, 100 epochs"
    assert second.startswith("its level maps are anomalib's to ")
    assert any(line.startswith("calibrated on 12 good images: threshold ") for line in rest)
    assert uadx("verify", "--model", output, "--device", "cpu").code == 0
    run = uadx("run", "--model", output, "--input", product / "test", "--output", tmp_path / "out")
    assert run.code == 0, run.err
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(rows) == len(list(product.glob("test/*/*.png")))
    assert all(np.isfinite(row["score"]) for row in rows)


def test_the_bundle_says_where_it_comes_from(uadx, bundle, file):
    import hashlib

    manifest = open_bundle(bundle).manifest
    assert manifest.parent == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (manifest.training.by, manifest.training.images, manifest.training.epochs) == ("anomalib", 0, 100)
    assert len(manifest.training.held_out) == 12
    assert manifest.input.fit == "stretch"  # anomalib's resize squashes
    assert "images that only anomalib knows, 100 epochs" in uadx("info", bundle).out


@pytest.mark.parametrize("device", ["openvino:CPU", "onnxruntime:CPUExecutionProvider", "torch:cpu"])
def test_level_maps_are_those_of_anomalib(device, model, bundle):
    from uadx.api import ModelArtifact
    from uadx.devices.compiling import Request
    from uadx.devices.opened import open_model
    from uadx.pipeline.batches import run_batch

    images = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3), np.uint8)
    images[0] //= 8
    images[1, :, :] = 128
    with open_model(Request((ModelArtifact(bundle / "stfpm.onnx", "onnx", ""),), "f32"), device).compiled as compiled:
        found = run_batch(compiled, images)
    for number, expected in enumerate(maps_of(model, images), 1):
        assert 1e-3 < expected.max() < 2
        np.testing.assert_allclose(found[f"level{number}"], expected, atol=1e-5, rtol=0)


def test_the_score_by_the_product_is_anomalibs(model, bundle, good):
    from uadx.images.preprocess import stretch

    with create_pipeline(model=bundle, device="cpu", fusion="product") as pipeline:
        (result,) = pipeline.predict(next(good.iterdir()))
    image = stretch(result.image, *SIZE).pixels
    with torch.no_grad():
        expected = model(pixels_of(image[None])).max()
    assert result["score"] == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_weights_alone_are_taken_at_anomalibs_size_or_the_one_that_is_given(suffix, uadx, model, good, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    torch.save(model.state_dict() if suffix == "pt" else model.model.state_dict(), path)
    size = {"pt": "64x96", "pth": "64"}[suffix]
    run = uadx("import", path, "--data", good, "--output", tmp_path / "m", "--image-size", size)
    assert run.code == 0, run.err
    assert f"anomalib weights: resnet18, 64 x {96 if suffix == 'pt' else 64}, which the file does not say" in run.out
    from uadx.anomalib.checkpoint import read_checkpoint
    from uadx.anomalib.convert import DEFAULT_SIZE

    assert read_checkpoint(path).size is None
    assert DEFAULT_SIZE == (256, 256)


def exported(model, path, dynamo):
    """As anomalib exports: the newer exporter puts the weights into a file of their own."""
    pixels = torch.zeros(1, 3, *SIZE)
    torch.onnx.export(
        model, (pixels,), str(path), dynamo=dynamo, input_names=["input"], output_names=["anomaly_map"],
        **({"external_data": True, "verbose": False} if dynamo else {"opset_version": 14}),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of torch, of its older exporter
@pytest.mark.parametrize("dynamo", [False, True], ids=["older exporter", "newer exporter"])
def test_an_onnx_export_gives_the_same_level_maps_as_the_checkpoint(dynamo, uadx, model, bundle, good, tmp_path):
    if dynamo and find_spec("onnxscript") is None:
        pytest.skip("onnxscript, which torch's newer exporter needs, is not installed")
    path = tmp_path / "model.onnx"
    exported(model, path, dynamo)
    assert (tmp_path / "model.onnx.data").exists() == dynamo
    run = uadx("import", path, "--data", good, "--output", tmp_path / "m")
    assert run.code == 0, run.err
    assert run.out.startswith("anomalib ONNX file: resnet18, 64 x 96\n")
    expected, found = open_bundle(bundle).golden, open_bundle(tmp_path / "m").golden
    np.testing.assert_array_equal(found.images, expected.images)
    for name, level in expected.maps.items():
        np.testing.assert_allclose(found.maps[name], level, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_an_export_without_the_file_of_its_weights_says_so(uadx, model, good, tmp_path):
    path = tmp_path / "model.onnx"
    exported(model, path, dynamo=False)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx.data")
    (tmp_path / "model.onnx.data").unlink()
    run = uadx("import", path, "--data", good, "--output", tmp_path / "m")
    assert run.code == 5
    assert "must lie beside it" in run.err


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_of_another_model_is_refused(uadx, bundle, good, tmp_path):
    run = uadx("import", bundle / "stfpm.onnx", "--data", good, "--output", tmp_path / "m")
    assert run.code == 5
    assert "holds no STFPM model of anomalib: it has no teacher" in run.err


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_that_normalises_otherwise_is_refused(uadx, good, tmp_path, monkeypatch):
    monkeypatch.setattr("stfpm_of_anomalib.MEAN", [0.5, 0.5, 0.5])
    exported(drawn(), tmp_path / "model.onnx", dynamo=False)
    run = uadx("import", tmp_path / "model.onnx", "--data", good, "--output", tmp_path / "m")
    assert run.code == 5
    assert "it does not normalise pixels as for ImageNet" in run.err


def test_a_checkpoint_of_another_model_is_told_apart(refused, model):
    padim = {"state_dict": {"model.feature_extractor.feature_extractor.conv1.weight": torch.zeros(64, 3, 7, 7)}}
    said = refused(padim)
    assert "holds no STFPM model of anomalib: it has no teacher" in said
    assert "its weights begin with model.feature_extractor.feature_extractor.conv1.weight" in said
    assert "it has no weights" in refused({"state_dict": {}})
    lacking = {name: value for name, value in model.state_dict().items() if "student" not in name}
    assert "it has no student" in refused(lacking)
    assert "holds a list and no state dict" in refused([1, 2])


def test_other_backbones_and_layers_are_told_by_the_weights(refused, model):
    """wide_resnet50_2 has bottlenecks, resnet34 has more blocks of the same shape."""
    at = "model.teacher_model.feature_extractor.layer1.0"
    wide = {f"{at}.conv1.weight": torch.zeros(128, 64, 1, 1), f"{at}.conv3.weight": torch.zeros(256, 128, 1, 1)}
    said = refused(model.state_dict() | wide)
    assert f"its teacher is no ResNet-18 up to layer3: it has `{'layer1.0.conv3.weight'}`" in said
    assert "fix: uadx takes anomalib's Stfpm as it is by default: resnet18" in said
    more = {"model.student_model.feature_extractor.layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}
    assert "its student is no ResNet-18 up to layer3: it has `layer1.2.conv1.weight`" in refused(
        model.state_dict() | more
    )
    less = {name: value for name, value in model.state_dict().items() if "layer3" not in name}
    assert "it has no `layer3.0.conv1.weight`" in refused(less)
    grey = {"model.teacher_model.feature_extractor.conv1.weight": torch.zeros(64, 1, 7, 7)}
    assert "its `conv1.weight` has shape [64, 1, 7, 7], not [64, 3, 7, 7]" in refused(model.state_dict() | grey)
    two = checkpoint(model, SIZE)
    two["hyper_parameters"]["layers"] = ["layer2", "layer3"]
    assert "it compares layer2, layer3" in refused(two)


def test_weights_that_are_no_numbers_are_refused(refused, model):
    name = "model.student_model.feature_extractor.layer2.0.bn1.bias"
    assert "`layer2.0.bn1.bias`" in refused(model.state_dict() | {name: torch.full((128,), torch.nan)})


def test_images_that_were_prepared_otherwise_are_refused(refused, model):
    crop = transform("CenterCrop", size=[224, 224])
    said = refused(checkpoint(model, SIZE, more=[crop]))
    assert "its images were prepared by CenterCrop(size=[224, 224]), which uadx cannot repeat" in said
    assert "250 x 250 pixels, and uadx takes multiples of 16" in refused(checkpoint(model, (250, 250)), code=2)
    shorter = checkpoint(model)
    shorter["anomalib_pre_processor_config"] = {"transform": transform("Resize", size=[256])}
    assert "Resize(size=[256])" in refused(shorter)
    plain = checkpoint(model)
    plain["anomalib_pre_processor_config"] = {"transform": transform("Resize", size=[256, 256])}
    assert "its images were not normalised as for ImageNet" in refused(plain)
    bare = checkpoint(model)
    bare["anomalib_components_enabled"] = {"pre_processor": False}
    del bare["anomalib_pre_processor_config"]
    assert "its images were not resized" in refused(bare)
    older = {**bare, "hyper_parameters": {"pre_processor": False}}
    del older["anomalib_components_enabled"]
    assert "its images were not resized" in refused(older)


def test_a_size_that_contradicts_the_file_is_refused(refused, model):
    assert "--image-size is another than" in refused(checkpoint(model, SIZE), code=2, image_size="128")
    assert "no size that the network can take" in refused(checkpoint(model, SIZE), code=2, image_size="100")


class Code:
    """A class of its own, as an export of anomalib's holds the whole module."""


def test_files_that_hold_code_are_refused_with_the_way_round(refused, model):
    said = refused({"model": model}, "model.pt")
    assert "cannot be read as plain weights" in said
    assert "torch.load('model.pt', weights_only=False)['model'].state_dict(), 'weights.pt')" in said
    old = checkpoint(model, SIZE)
    old["hyper_parameters"]["pre_processor"] = Code()
    said = refused(old, "old.ckpt")
    assert "torch.load('old.ckpt', weights_only=False)['state_dict'], 'weights.pt')" in said


def test_the_way_round_works(uadx, model, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": model}, "model.pt")
    said = uadx("import", "model.pt", "--data", good, "--output", "m").err
    (line,) = [line for line in said.splitlines() if "python -c" in line]
    exec(line.partition('python -c "')[2].rstrip('"'), {})
    assert uadx("import", "weights.pt", "--data", good, "--output", "m", "--image-size", "64").code == 0


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"no file of torch's", b"\x80\x04."])
def test_files_that_are_broken_are_refused(refused, content):
    assert "cannot be read as plain weights" in refused(content)


def test_an_onnx_file_that_is_broken_is_refused(refused):
    assert "cannot be read as an ONNX model" in refused(b"no file of ONNX's", "model.onnx")


def test_files_of_other_kinds_and_missing_ones_are_refused(refused, uadx, good, tmp_path):
    assert "is no file that can be imported" in refused(b"<xml>", "model.xml", code=2)
    run = uadx("import", tmp_path / "none.ckpt", "--data", good, "--output", tmp_path / "new")
    assert (run.code, "no such file" in run.err) == (2, True)


def test_what_taught_the_model_does_not_calibrate_it(uadx, file, product, tmp_path):
    run = uadx("import", file, "--data", product, "--output", tmp_path / "m")
    assert run.code == 2
    assert "what taught the model cannot calibrate it" in run.err
    assert str(product / "test" / "good") in run.err


def test_an_imported_model_is_recalibrated_but_not_taught_on(uadx, bundle, good, product, tmp_path):
    (tmp_path / "new").mkdir()
    for index, path in enumerate(sorted(product.glob("test/*/*.png"))[:6]):
        (tmp_path / "new" / f"{index}.png").write_bytes(path.read_bytes())
    run = uadx("recalibrate", "--model", bundle, "--data", tmp_path / "new", "--output", tmp_path / "again")
    assert run.code == 0, run.err
    assert open_bundle(tmp_path / "again").manifest.parent == open_bundle(bundle).sha256
    run = uadx("train", "--from", bundle, "--data", good, "--output", tmp_path / "on")
    assert run.code == 2
    assert "was taught by anomalib, and its student is of another kind than uadx teaches" in run.err
    assert not list(tmp_path.glob("on*"))


def test_nothing_is_written_over(uadx, file, good, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(b"mine")
    run = uadx("import", file, "--data", good, "--output", tmp_path / "photos")
    assert run.code == 2
    assert (tmp_path / "photos" / "one.png").read_bytes() == b"mine"


def test_features_near_zero_are_told_from_anomalibs(refused, model):
    """anomalib divides by the norm alone, uadx's eps is not nothing beside features that are."""
    state = model.state_dict()
    for which in ("teacher", "student"):
        at = f"model.{which}_model.feature_extractor.layer3.1"
        for name in ("bn1", "bn2"):
            state |= {f"{at}.{name}.{part}": state[f"{at}.{name}.{part}"] * 1e-4 for part in ("weight", "bias")}
        at = f"model.{which}_model.feature_extractor.layer3.0"
        for name in ("bn2", "downsample.1"):
            state |= {f"{at}.{name}.{part}": state[f"{at}.{name}.{part}"] * 1e-4 for part in ("weight", "bias")}
    said = refused(state, code=6, image_size="64")
    assert "would not repeat the level maps" in said
    assert "level3 differs by" in said


@pytest.mark.skipif(find_spec("anomalib") is None, reason="anomalib, 6.4 GB with what it needs, is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_anomalib_itself_gives_its_own_maps(uadx, product, good, tmp_path, monkeypatch):
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **options: create(*a, **{**options, "pretrained": False}))
    from anomalib.data import Folder
    from anomalib.engine import Engine
    from anomalib.models import Stfpm as Real

    torch.manual_seed(0)
    real = Real()
    data = Folder("mesh", "train/good", root=product, normal_test_dir="test/good", num_workers=0, train_batch_size=4)
    engine = Engine(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path / "results")
    engine.fit(real, data)
    real.eval()
    (path,) = (tmp_path / "results").rglob("*.ckpt")
    run = uadx("import", path, "--data", product / "test" / "good", "--output", tmp_path / "m")
    assert run.code != 0
    assert "5" in run.err  # four images are too few
    run = uadx("import", path, "--data", good, "--output", tmp_path / "m")
    assert run.code == 0, run.err
    assert run.out.startswith("anomalib checkpoint: resnet18, 256 x 256, 1 epoch\n")
    golden = open_bundle(tmp_path / "m").golden
    restated = Stfpm()
    restated.load_state_dict({name: value for name, value in real.state_dict().items() if name.startswith("model.")})
    for number, expected in enumerate(maps_of(restated.eval(), golden.images), 1):
        np.testing.assert_allclose(golden.maps[f"level{number}"], expected, atol=1e-5)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = real.model((pixels_of(golden.images) - mean) / deviation).anomaly_map[:, 0].numpy()
    from uadx.scoring.fusion import fuse_product

    np.testing.assert_allclose(fuse_product(golden.maps, 256, 256), expected, rtol=1e-4, atol=1e-7)


def test_without_torch_importing_says_which_extra_is_missing(uadx, file, good, tmp_path, monkeypatch):
    monkeypatch.setattr("uadx.cli.packages.find_spec", lambda module: None)
    run = uadx("import", file, "--data", good, "--output", tmp_path / "m")
    assert run.code == 4
    assert "importing needs the package torch" in run.err
    assert "pip install 'uadx[torch]'" in run.err
