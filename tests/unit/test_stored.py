"""Images in object stores and on other file systems, by the addresses that fsspec knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from uadx.errors import InputError, UnavailableError, UsageError
from uadx.images.decode import Limits, load
from uadx.images.sources import expand
from uadx.output.stamps import stamp

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'uadx[storage]'")
PNG = cv2.imencode(".png", np.full((8, 9, 3), 77, np.uint8))[1].tobytes()
RECORD = json.dumps({"run": {}, "finished": True, "counts": {}}).encode()


@pytest.fixture(params=["memory", "file", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty folder in each of three kinds of storage: this process, the disk, an S3 server."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        yield "s3://parts/line1"
        return
    yield f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/line1"


def put(url: str, content: bytes = PNG) -> None:
    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, content)


def outputs(inputs: object, **options: Any) -> list[str]:
    return [str(source.output) for source in expand(inputs, **options)]


def test_a_folder_gives_its_images_in_natural_order_and_below_it(root: str):
    for name in ["10.png", "2.png", "notes.md", "sub/1.JPG", ".hidden.png", "a/b/deep.png"]:
        put(f"{root}/{name}")
    assert outputs(root) == ["2.png", "10.png", "a/b/deep.png", "sub/1.JPG"]
    assert outputs(f"{root}/", recursive=False) == ["2.png", "10.png"]
    for source in expand(root):
        assert source.label == f"{root.replace('memory://', 'memory:///')}/{source.output}"
        assert load(source, Limits()).shape == (8, 9, 3)


def test_a_file_has_its_name_and_in_a_list_its_folders(root: str):
    put(f"{root}/sub/one.png")
    assert outputs(f"{root}/sub/one.png") == ["one.png"]
    (listed,) = outputs([f"{root}/sub/one.png"])
    assert listed == f"{root.partition('://')[2]}/sub/one.png".lstrip("/")


def test_a_glob_takes_files_of_any_name(root: str):
    for name in ["1.png", "2.dat", "sub/3.png"]:
        put(f"{root}/{name}")
    assert outputs(f"{root}/*") == ["1.png", "2.dat"]
    assert outputs(f"{root}/**/3*") == ["sub/3.png"]


def test_what_is_not_there_is_said(root: str):
    put(f"{root}/notes.md")
    assert refusal(f"{root}/part.png") == f"{root}/part.png does not exist"
    assert refusal(f"{root}/*.jpg") == f"no file matches {root}/*.jpg"
    assert refusal(root) == f"no image in {root}"
    (source,) = expand([f"{root}/part.png"])
    with pytest.raises(InputError) as caught:
        load(source, Limits())
    assert caught.value.kind == "not_found"


def refusal(what: str) -> str:
    with pytest.raises(UsageError) as caught:
        expand(what)
    return caught.value.message


def test_a_file_that_goes_or_is_too_large_costs_itself_alone(root: str):
    put(f"{root}/1.png")
    put(f"{root}/2.png")
    gone, large = expand(root)
    fs, path = fsspec.core.url_to_fs(f"{root}/1.png")
    fs.rm(path)
    kinds = []
    for source in (gone, large):
        with pytest.raises(InputError) as caught:
            load(source, Limits(max_bytes=10))
        kinds.append(caught.value.kind)
    assert kinds == ["not_found", "too_large"]


def test_a_change_of_the_file_changes_its_stamp(root: str):
    put(f"{root}/1.png")
    (before,) = expand(root)
    assert stamp(before) == stamp(next(expand(root)))
    put(f"{root}/1.png", PNG + b"more")
    assert stamp(before) != stamp(next(expand(root)))


def test_pictures_that_a_run_drew_are_left_out(root: str):
    put(f"{root}/1.png")
    put(f"{root}/out/overlay/1.png.jpg")
    assert outputs(root) == ["1.png", "out/overlay/1.png.jpg"]
    put(f"{root}/out/run.json", RECORD)
    assert outputs(root) == ["1.png"]


def test_addresses_that_nobody_knows_are_refused_and_in_a_list_lose_nothing_else(tmp_path: Path):
    assert refusal("nosuch://host/a.png") == "nosuch://host/a.png: no address that fsspec knows"
    (tmp_path / "a.png").write_bytes(PNG)
    unknown, known = expand(["nosuch://host/a.png", tmp_path / "a.png"])
    assert isinstance(unknown.data, InputError)
    assert load(known, Limits()).shape == (8, 9, 3)


def test_without_fsspec_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UnavailableError) as caught:
        expand("s3://bucket/parts")
    assert caught.value.message == "s3:// takes the package 'fsspec', which is not installed"
    assert caught.value.hint == "python -m pip install 'uadx[storage]'"
    (source,) = expand(["s3://bucket/parts"])
    assert isinstance(source.data, InputError)
    assert caught.value.message in source.data.message
