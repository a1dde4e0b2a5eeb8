"""Writing and reading model bundles; what a corrupt or foreign one is told."""

import contextlib
import json
import os
import zipfile

import msgspec
import numpy as np
import pytest

from uadx.bundle.manifest import SCHEMA, Input, Manifest, Teacher, Training, encode
from uadx.bundle.reader import open_bundle
from uadx.bundle.writer import write_bundle
from uadx.errors import BundleError, UsageError
from uadx.scoring.fusion import LevelScale, Scoring

MODEL = b"\x08\x08\x12\x04uadx"  # the least protobuf: ir_version 8, producer "uadx"
GOLDEN = {
    "image": np.zeros((1, 32, 32, 3), np.uint8),
    **{f"level{n}": np.full((1, 16 >> n, 16 >> n), n, np.float32) for n in (1, 2, 3)},
}
CHANGED = (
    "it was changed since it was written: its seal is another (for another threshold: --threshold, --fpr, or "
    "uadx recalibrate)"
)


def manifest(**changes):
    values = {
        "schema": SCHEMA,
        "name": "part",
        "created_by": "uadx test",
        "input": Input(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
        "scoring": Scoring(levels={f"level{n}": LevelScale(low=0.1, high=0.2) for n in (1, 2, 3)}),
        "calibration": {"quantile": (0.5, 0.7), "product": (0.1, 0.2)},
        "default_fpr": 1 / 3,
        "teacher": Teacher(id="t", sha256="0" * 64),
        "training": Training(images=8, held_out=("0" * 16, "1" * 16), fingerprint="0" * 64, seed=0, epochs=1),
        "files": {},
    }
    return Manifest(**{**values, **changes})


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "part"
    write_bundle(path, manifest(), MODEL, GOLDEN)
    return path


def edit(bundle, change):
    """Change the manifest and seal it again, as somebody who means harm would."""
    path = bundle / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    try:
        path.write_bytes(encode(msgspec.convert(content, Manifest)))
    except msgspec.ValidationError:
        path.write_text(json.dumps(content))


def refused(path):
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert caught.value.exit_code == 5
    return caught.value


def test_a_bundle_reads_back_as_it_was_written(bundle):
    opened = open_bundle(bundle)
    assert opened.manifest.calibration["quantile"] == (0.5, 0.7)
    assert opened.artifact.path.read_bytes() == MODEL
    assert opened.calibration("product").threshold(0.5) == 0.2
    np.testing.assert_array_equal(opened.golden.maps["level2"], GOLDEN["level2"])


def test_a_zip_is_the_same_bundle(bundle, tmp_path):
    write_bundle(tmp_path / "part.zip", manifest(), MODEL, GOLDEN)
    assert open_bundle(tmp_path / "part.zip").sha256 == open_bundle(bundle).sha256


def test_a_bundle_zipped_by_hand_with_its_folder_is_read_too(bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "hand.zip", "w") as packed:
        for file in bundle.iterdir():
            packed.write(file, f"part/{file.name}")
    assert open_bundle(tmp_path / "hand.zip").sha256 == open_bundle(bundle).sha256


def test_the_same_content_gives_the_same_bytes(bundle, tmp_path):
    write_bundle(tmp_path / "again", manifest(), MODEL, GOLDEN)
    for file in bundle.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("ending", ["", ".zip"])
@pytest.mark.parametrize(("before", "after"), [(b"0.7", b"0.9"), (b'"schema": 2', b'"schema": 1')])
def test_a_bundle_that_was_changed_or_is_older_is_written_over_by_the_training_that_its_error_advises(
    tmp_path, ending, before, after
):
    path = tmp_path / f"part{ending}"
    write_bundle(path, manifest(), MODEL, GOLDEN)
    if ending:
        with zipfile.ZipFile(path) as packed:
            contents = {name: packed.read(name) for name in packed.namelist()}
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in contents.items():
                packed.writestr(name, data.replace(before, after, 1) if name == "manifest.json" else data)
    else:
        (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes().replace(before, after, 1))
    assert "train it anew: uadx train" in refused(path).hint
    write_bundle(path, manifest(), MODEL, GOLDEN)
    assert open_bundle(path).manifest.calibration["quantile"] == (0.5, 0.7)


def test_writing_over_an_old_bundle_replaces_it_whole(bundle):
    write_bundle(bundle, manifest(name="new"), MODEL, GOLDEN)
    assert open_bundle(bundle).manifest.name == "new"
    assert sorted(file.name for file in bundle.iterdir()) == ["golden.npz", "manifest.json", "stfpm.onnx"]
    assert sorted(file.name for file in bundle.parent.iterdir()) == ["part"]


def test_what_is_no_bundle_or_holds_more_is_never_written_over(bundle, tmp_path):
    (bundle / "results.txt").write_text("mine")
    (tmp_path / "photos.zip").write_bytes(b"my photos")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "manifest.json").write_text("{}")
    for path in (bundle, tmp_path / "photos.zip", tmp_path / "folder"):
        with pytest.raises(UsageError, match="is there already and is no model bundle, or holds other files too"):
            write_bundle(path, manifest(), MODEL, GOLDEN)
    assert (bundle / "results.txt").read_text() == "mine"
    assert (tmp_path / "photos.zip").read_bytes() == b"my photos"


def test_a_link_to_a_bundle_stays_a_link(bundle, tmp_path):
    (tmp_path / "current").symlink_to(bundle)
    write_bundle(tmp_path / "current", manifest(name="new"), MODEL, GOLDEN)
    assert (tmp_path / "current").is_symlink()
    assert open_bundle(bundle).manifest.name == "new"


def test_a_changed_model_file_is_named_with_both_hashes(bundle):
    (bundle / "stfpm.onnx").write_bytes(MODEL + b"!")
    error = refused(bundle)
    assert error.message == f"{bundle}: stfpm.onnx is corrupt or was changed: its sha256 is not the manifest's"
    assert "manifest " in error.cause_text
    assert "file     " in error.cause_text


def test_a_missing_file_is_named(bundle):
    (bundle / "golden.npz").unlink()
    assert refused(bundle).message == f"{bundle}: golden.npz cannot be read"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("name", ["manifest.json", "stfpm.onnx", "golden.npz"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    error = refused(bundle)
    assert name in error.message
    assert error.cause_text == "it is no regular file"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["input"].update(height="tall"), "Expected `int`, got `str` - at `$.input.height`"),
        (lambda m: m["input"].update(height=100), "multiple of 16 - at `$.input.height`"),
        (lambda m: m.pop("teacher"), "Object missing required field `teacher`"),
        (lambda m: m.update(color="blue"), "Object contains unknown field `color`"),
        (lambda m: m["calibration"].pop("product"), "`calibration` must hold the scores of quantile and product"),
        (lambda m: m["calibration"].update(quantile=[2, 1]), "values must be in ascending order"),
        (lambda m: m["calibration"].update(quantile=[]), "length >= 1 - at `$.calibration[...]`"),
        (lambda m: m["scoring"]["levels"].pop("level2"), "`scoring.levels` must be level1, level2 and level3"),
        (lambda m: m["scoring"]["levels"]["level2"].update(high=0.1), "`high` must be above `low`"),
        (lambda m: m["scoring"]["levels"]["level2"].update(weight=-0.5), "no `weight` may be below 0"),
        (lambda m: [one.update(weight=0) for one in m["scoring"]["levels"].values()], "and one must be above"),
        (lambda m: m["scoring"]["levels"]["level1"].update(high=float("inf")), "at `$.scoring.levels[...].high`"),
        (lambda m: m["pixel_calibration"].update(quantile=[2, 1]), "`pixel_calibration`: values must be in ascending"),
        (lambda m: m["base_levels"].update(quantile=[2, 1]), "`base_levels`: values must be in ascending order"),
        (lambda m: m["input"].update(width=0), "at `$.input.width`"),
        (lambda m: m["input"].update(std=[0.2, 0, 0.2]), "> 0.0 - at `$.input.std[1]`"),
        (lambda m: m.update(default_fpr=0.01), "`default_fpr` is lower than what the scores of `calibration` certify"),
        (lambda m: m["scoring"].update(top_fraction=1.5), "<= 1.0 - at `$.scoring.top_fraction`"),
        (lambda m: m["scoring"].update(top_fraction=0), "> 0.0 - at `$.scoring.top_fraction`"),
        (lambda m: m["scoring"].update(smoothing=-1), ">= 0.0 - at `$.scoring.smoothing`"),
        (lambda m: m.update(schema=1), "it has schema 1, this uadx reads schema 2"),
        (lambda m: m["files"].update({"stfpm.onnx": "abc"}), "at `$.files[...]`"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(bundle, change, words):
    edit(bundle, change)
    error = refused(bundle)
    assert error.message == f"{bundle}: manifest.json is not valid"
    assert words in error.cause_text


def test_a_bundle_of_a_newer_uadx_asks_for_that_and_not_for_a_training(bundle):
    edit(bundle, lambda m: m.update(schema=99))
    error = refused(bundle)
    assert error.cause_text == "it has schema 99, this uadx reads schema 2"
    assert error.hint == "a newer uadx wrote it: python -m pip install --upgrade uadx"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"0.7", b"0.9"),  # the highest calibration score, and so the threshold
        (b"0.7", b"0.70"),
        (b'"top_fraction": 0.03', b'"top_fraction": 0.02'),
        (b'"low": 0.1', b'"low": 0.11'),
        (b'"name": "part"', b'"name": "tool"'),
    ],
)
def test_a_manifest_that_was_changed_by_a_digit_is_refused(bundle, before, after):
    path = bundle / "manifest.json"
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))
    error = refused(bundle)
    assert error.message == f"{bundle}: manifest.json is not valid"
    assert error.cause_text == CHANGED
    assert error.hint == "copy the bundle again from where it was made, or train it anew: uadx train"


def test_any_damaged_byte_of_the_manifest_is_noticed(bundle):
    path = bundle / "manifest.json"
    content = path.read_bytes()
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused(bundle)


def test_a_manifest_without_a_seal_is_refused(bundle):
    path = bundle / "manifest.json"
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps(content))
    assert refused(bundle).cause_text == CHANGED


@pytest.mark.parametrize("name", ["../escape.bin", "/etc/hostname", "C:\\x", "a/../../b"])
def test_a_manifest_that_lists_a_path_outside_the_bundle_is_refused(bundle, name):
    edit(bundle, lambda m: m["files"].update({name: "0" * 64}))
    assert refused(bundle).message == f"{bundle}: manifest.json lists {name!r}, a path outside the bundle"


def test_a_manifest_without_a_model_is_refused(bundle):
    edit(bundle, lambda m: m["files"].pop("stfpm.onnx"))
    assert refused(bundle).message == f"{bundle}: manifest.json lists no stfpm.onnx"


def test_a_zip_with_a_path_outside_the_bundle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../evil.txt", "x")
    assert "holds '../evil.txt', a path outside the bundle" in refused(tmp_path / "evil.zip").message
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_model_that_points_to_outside_data_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor])).SerializeToString()
    write_bundle(tmp_path / "external", manifest(), model, GOLDEN)
    assert "stfpm.onnx points to data outside itself" in refused(tmp_path / "external").message


def test_a_disguised_pointer_to_outside_data_is_refused_too(tmp_path):
    entry = b"\x0a\x88\x00location\x12\x0b/etc/passwd"  # the key's length written in two bytes instead of one
    tensor = b"\x6a" + bytes([len(entry)]) + entry
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    write_bundle(tmp_path / "external", manifest(), b"\x3a" + bytes([len(graph)]) + graph, GOLDEN)
    assert "stfpm.onnx points to data outside itself" in refused(tmp_path / "external").message


def test_a_model_that_is_no_protobuf_is_refused(tmp_path):
    write_bundle(tmp_path / "junk", manifest(), b"not a model", GOLDEN)
    assert refused(tmp_path / "junk").message == f"{tmp_path / 'junk'}: stfpm.onnx is no ONNX model"


def test_a_damaged_zip_is_refused_wherever_the_damage_is(tmp_path):
    path = tmp_path / "part.zip"
    golden = {**GOLDEN, "image": np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)}
    write_bundle(path, manifest(), MODEL, golden)
    whole = path.read_bytes()
    for at in range(40, len(whole) - 4, len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF, whole[at + 1] ^ 0xFF]) + whole[at + 2 :])
        with contextlib.suppress(BundleError):  # some bytes of a zip are nobody's: dates, attributes
            assert open_bundle(path).manifest.name == "part"


def test_foreign_things_are_told_from_bundles(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut off")
    assert "neither a directory nor a .zip" in refused(tmp_path / "picture.png").message
    assert "is not a model bundle: its manifest.json cannot be read" in refused(tmp_path / "folder").message
    assert "neither a directory nor a .zip" in refused(tmp_path / "cut.zip").message
    assert refused(tmp_path / "nowhere").message == f"no model bundle at {tmp_path / 'nowhere'}"


def test_golden_vectors_never_unpickle(bundle):
    np.savez(bundle / "golden.npz", image=np.array([{"evil": 1}], object))
    import hashlib

    digest = hashlib.sha256((bundle / "golden.npz").read_bytes()).hexdigest()
    edit(bundle, lambda m: m["files"].update({"golden.npz": digest}))
    with pytest.raises(BundleError, match=r"golden.npz cannot be read"):
        _ = open_bundle(bundle).golden
