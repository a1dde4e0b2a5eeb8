"""Which images an input means, in which order, under which names."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest

from uadx.errors import InputError, UsageError
from uadx.images.decode import Limits, load
from uadx.images.source import Source, Url
from uadx.images.sources import IMAGE_SUFFIXES, expand

PNG = cv2.imencode(".png", np.full((8, 9, 3), 77, np.uint8))[1].tobytes()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str, content: bytes = PNG) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def labels(inputs: object, **options: Any) -> list[str]:
    return [source.label for source in expand(inputs, **options)]


def outputs(inputs: object, **options: Any) -> list[str]:
    return [str(source.output) for source in expand(inputs, **options)]


def decodes(source: Source) -> bool:
    return load(source, Limits()).shape == (8, 9, 3)


def refusal(inputs: object, **options: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        expand(inputs, **options)
    return caught.value


def errors(inputs: object) -> list[str | None]:
    """The kind of error for each image, None for those that decode."""

    def kind(source: Source) -> str | None:
        try:
            load(source, Limits())
        except InputError as error:
            return error.kind
        return None

    return [kind(source) for source in expand(inputs)]


def run_python(code: str, *arguments: str, content: bytes = b"") -> str:
    """What a program prints, in a process of its own and in this working directory."""
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, input=content, stdout=subprocess.PIPE, env=environment, check=True).stdout.decode()


# files and directories


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_file_is_itself_whatever_its_suffix(as_path: type):
    make("photos/a.dat")
    (only,) = expand(as_path("photos/a.dat"))
    assert only == Source(os.path.join("photos", "a.dat"), PurePosixPath("a.dat"), Path("photos/a.dat"))


def test_a_directory_is_its_images_natural_order_files_first():
    make("d/img10.png", "d/img2.png", "d/IMG1.png", "d/b/x.png", "d/a/10.png", "d/a/9.png")
    assert outputs("d") == ["IMG1.png", "img2.png", "img10.png", "a/9.png", "a/10.png", "b/x.png"]


def test_labels_are_paths_that_can_be_opened():
    make("d/sub/a.png")
    (only,) = expand("d")
    assert only.label == os.path.join("d", "sub", "a.png")
    assert decodes(only)


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_each_image_suffix_is_found_in_any_letter_case(suffix: str):
    make(f"d/a{suffix}", f"d/b{suffix.upper()}", "d/notes.md", "d/data.csv", "d/noext")
    assert outputs("d") == [f"a{suffix}", f"b{suffix.upper()}"]


def test_files_of_a_directory_that_are_no_images_by_name_are_counted():
    make("d/a.png", "d/notes.md", "d/sub/data.csv", "d/sub/b.png", "d/.hidden")
    found = expand("d")
    assert [str(source.output) for source in found] == ["a.png", "sub/b.png"]
    assert found.skipped == 2


def test_the_pictures_that_a_run_drew_are_no_input():
    make("d/a.png", "d/run1/overlay/a.png.jpg", "d/run1/heatmap/x/a.png", "d/run1/mask/a.png", "d/run1/own.png")
    record = {"run": {}, "finished": True, "counts": {}}
    Path("d/run1/run.json").write_text(json.dumps(record))
    assert outputs("d") == ["a.png", "run1/own.png"]
    assert outputs("d/**/*.*g") == ["a.png", "run1/own.png"]
    assert outputs("d/run1/mask") == ["a.png"]


@pytest.mark.parametrize("text", [None, "[1]", "{}", "no json", '{"run": "a race"}'])
def test_a_folder_called_mask_beside_another_s_run_json_is_a_folder(text: str | None):
    make("d/mask/a.png")
    if text is not None:
        Path("d/run.json").write_text(text)
    assert outputs("d") == ["mask/a.png"]


def test_only_the_directory_itself_where_recursion_is_off():
    make("d/a.png", "d/sub/b.png")
    assert outputs("d", recursive=False) == ["a.png"]


def test_hidden_names_are_left_out():
    make("d/a.png", "d/._a.png", "d/.cache/b.png")
    assert outputs("d") == ["a.png"]


def test_a_directory_with_an_image_s_suffix_is_a_directory():
    make("d/x.png/a.png")
    assert outputs("d") == ["x.png/a.png"]


def test_a_directory_named_by_its_parent_is_found():
    make("d/sub/a.png", "e/b.png")
    os.chdir("d/sub")
    assert outputs("..") == ["sub/a.png"]
    assert outputs("../../e") == ["b.png"]


def test_a_link_to_an_image_is_an_image():
    make("d/a.png")
    Path("d/b.png").symlink_to("a.png")
    assert all(decodes(source) for source in expand("d"))
    assert outputs("d") == ["a.png", "b.png"]


def test_a_directory_that_links_to_itself_is_walked_once():
    make("d/sub/a.png")
    Path("d/sub/again").symlink_to("..", target_is_directory=True)
    Path("d/here").symlink_to(".", target_is_directory=True)
    assert outputs("d") == ["sub/a.png"]


def test_a_linked_directory_comes_once_and_under_its_own_name_first():
    make("d/z/a.png")
    Path("d/a_link").symlink_to("z", target_is_directory=True)
    assert outputs("d") == ["z/a.png"]


def test_a_link_to_a_directory_elsewhere_is_followed_once():
    make("elsewhere/a.png", "d/b.png")
    Path("d/link1").symlink_to("../elsewhere", target_is_directory=True)
    Path("d/link2").symlink_to("../elsewhere", target_is_directory=True)
    assert outputs("d") == ["b.png", "link1/a.png"]


def test_dangling_and_looping_links_are_images_that_fail():
    make("d/ok.png")
    Path("d/dangling.png").symlink_to("gone.png")
    Path("d/loop.png").symlink_to("loop.png")
    assert outputs("d") == ["dangling.png", "loop.png", "ok.png"]
    assert errors("d") == ["not_found", "unreadable", None]


AS_NOBODY = """
import os, sys
from uadx.errors import InputError, UsageError
from uadx.images.decode import Limits, load
from uadx.images.sources import expand
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    for source in expand(sys.argv[1]):
        try:
            print(source.output, load(source, Limits()).shape)
        except InputError as error:
            print(source.output, error.kind, error.cause_text)
except UsageError as error:
    print(error.message, error.cause_text)
"""


def as_nobody(name: str) -> list[str]:
    """Permissions hold for everyone but root, as whom tests may run."""
    Path().chmod(0o755)
    return run_python(AS_NOBODY, name).splitlines()


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_sub_directory_that_cannot_be_listed_is_one_error_among_the_images():
    make("d/a.png", "d/closed/b.png", "d/open/c.png")
    Path("d/closed").chmod(0)
    try:
        assert as_nobody("d") == [
            "a.png (8, 9, 3)",
            "closed unreadable Permission denied",
            "open/c.png (8, 9, 3)",
        ]
    finally:
        Path("d/closed").chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_directory_that_cannot_be_listed_is_refused():
    make("d/a.png")
    Path("d").chmod(0)
    try:
        assert as_nobody("d") == ["d cannot be listed Permission denied"]
    finally:
        Path("d").chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_a_name_that_is_no_utf8_can_be_read_and_printed():
    make("d/ok.png")
    with open(b"d/\xe9t\xe9.png", "wb") as file:
        file.write(PNG)
    for source in expand("d"):
        assert decodes(source)
        json.dumps(source.label).encode()
        source.label.encode()


@pytest.mark.skipif(os.name != "posix", reason="file names with newlines")
def test_a_name_with_a_newline_is_shown_on_one_line():
    make("d/a\nb\x1b.png", content=b"no image")
    (only,) = expand("d")
    assert only.label == "d/a\\nb\\x1b.png"
    with pytest.raises(InputError, match="its content is not that"):
        load(only, Limits())
    assert "\n" not in refusal("d/a\nc").message


def test_a_large_directory_takes_memory_for_its_entries_only():
    Path("d").mkdir()
    for number in range(5000):
        Path(f"d/{number}.png").touch()
    tracemalloc.start()
    count = sum(1 for _ in expand("d"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5000
    assert peak / count < 1500


def test_images_come_before_the_walk_is_done():
    make("d/a/1.png", "d/b/2.png")
    found = expand("d")
    assert str(next(found).output) == "a/1.png"
    make("d/b/3.png")
    assert [str(source.output) for source in found] == ["b/2.png", "b/3.png"]


# globs


def test_a_glob_is_the_files_that_match_whatever_their_suffix():
    make("d/a1.png", "d/a10.png", "d/a2.dat", "d/b.png", "d/sub/a3.png")
    assert outputs("d/a*") == ["a1.png", "a2.dat", "a10.png"]


def test_two_stars_stand_for_any_number_of_directories():
    make("d/a.png", "d/x/a.png", "d/x/y/a.png", "d/x/b.jpg")
    assert outputs("d/**/a.png") == ["a.png", "x/a.png", "x/y/a.png"]
    assert outputs("d/**") == ["a.png", "x/a.png", "x/b.jpg", "x/y/a.png"]
    assert outputs("d/**/x/**/a.png") == ["x/a.png", "x/y/a.png"]


def test_a_star_stays_within_one_directory():
    make("d/x/1/a.png", "d/y/a.png")
    assert outputs("d/*/a.png") == ["y/a.png"]


def test_question_marks_and_sets_match_single_letters():
    make("a1.png", "a2.png", "a33.png", "b1.png")
    assert outputs("[a-b]?.png") == ["a1.png", "a2.png", "b1.png"]


def test_an_absolute_glob_matches(folder: Path):
    make("d/a.png")
    assert outputs(str(folder / "*" / "*.png")) == ["d/a.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file():
    make("part[1].png", "part1.png")
    assert outputs("part[1].png") == ["part[1].png"]


def test_a_directory_whose_name_looks_like_a_glob_is_searched():
    make("line[1]/a.png", "line1/b.png")
    assert outputs("line[1]/*.png") == ["a.png"]


def test_a_glob_is_not_caught_by_links_in_a_circle():
    make("d/a.png")
    Path("d/loop").symlink_to(".", target_is_directory=True)
    assert outputs("d/**/*.png") == ["a.png"]


def test_a_glob_without_a_match_is_refused_at_once():
    make("d/a.jpg")
    assert "no file matches" in refusal("d/*.png").message
    assert "no file matches" in refusal("nowhere/*.png").message


# URLs


def test_a_url_is_placed_by_host_and_path():
    (only,) = expand("https://cam.local:8080/line/../1/shot.jpg")
    assert only.data == Url("https://cam.local:8080/line/../1/shot.jpg")
    assert only.label == only.data.address
    assert str(only.output) == "cam.local_8080/line/__/1/shot.jpg"


def test_urls_that_differ_in_their_query_are_placed_apart():
    one, two = outputs(["http://h/shot.jpg?camera=1", "http://h/shot.jpg?camera=2" + "x" * 500])
    assert one != two
    assert one.endswith("/shot.jpg")
    assert max(map(len, two.split("/"))) < 20


def test_a_url_without_a_path_has_a_name():
    assert outputs("http://camera") == ["camera/index"]


def test_a_stream_in_a_list_is_refused():
    assert "by http or https" in refusal("rtsp://cam/1").message
    assert errors(["rtsp://cam/1"]) == ["unsupported"]


@pytest.mark.parametrize("address", ["http://user:s3cret@h/a.png", "ftp://user:s3cret@h/a.png"])
def test_a_password_in_a_url_is_refused_and_not_repeated(address: str):
    assert "s3cret" not in str(refusal(address))
    (only,) = expand([address])
    assert "s3cret" not in only.label + str(only.output) + str(only.data)


# lists


def test_a_list_keeps_its_order_and_the_directories_of_its_items():
    make("b/x.png", "a/x.png", "c.png")
    assert labels(["c.png", "b", Path("a/x.png")]) == ["c.png", "b/x.png", "a/x.png"]
    assert outputs(["c.png", "b", "a/*.png"]) == ["c.png", "b/x.png", "a/x.png"]


def test_no_output_is_absolute_or_leaves_its_directory(folder: Path):
    make("a/x.png", "b/x.png")
    os.chdir("b")
    found = outputs([str(folder / "a"), "../a", "../a/*.png", "./x.png", "x.png"])
    assert found == [f"{folder}/a/x.png"[1:], "__/a/x.png", "__/a/x.png", "x.png", "x.png"]


def test_lists_nest_and_mix():
    make("a.png")
    array = np.zeros((8, 9, 3), np.uint8)
    inputs = ("a.png", [array, (PNG, {"img": array})], {"input": ["a.png", bytearray(PNG)]})
    assert labels(inputs) == ["a.png", "array[0]", "bytes[0]", "array[1]", "a.png", "bytes[1]"]
    assert errors(inputs) == [None] * 6


def test_bad_items_of_a_list_are_errors_of_their_own():
    make("a.png", "empty/readme.md")
    bad = ["missing.png", "a.png", "empty", "x/*.png", "", "a\0b", []]
    assert errors(bad) == ["not_found", None, "empty", "not_found", "not_found", "not_found", "empty"]
    assert labels(bad)[:5] == ["missing.png", "a.png", "empty", "x/*.png", "input[4]"]
    assert all(source.output.parts for source in expand(bad))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([3], "a builtins.int as input[0]"),
        (["a.png", None], "a builtins.NoneType as input[1]"),
        (["a.png", (b"", [1.5])], "a builtins.float as input[1][1][0]"),
        ([{"img": 3}], "a builtins.int as input[0]"),
        (["a.png", {"image": "b.png"}], "input[1]: a mapping must have one of the keys"),
    ],
)
def test_a_list_with_an_item_of_a_wrong_type_is_refused_at_once_and_the_item_named(inputs: Any, words: str):
    assert words in refusal(inputs).message


@pytest.mark.parametrize("inputs", [[], (), {"img": []}])
def test_an_empty_list_is_refused(inputs: object):
    assert "empty" in refusal(inputs).message


def test_a_list_file_is_relative_to_its_own_directory(folder: Path):
    make("data/a.png", "data/sub/b.png", "data/c d.png")
    text = f"# good parts\n\na.png\r\n  sub \n{folder / 'data' / 'c d.png'}\nhttp://h/x.png\n*.png\n"
    Path("data/parts.TXT").write_text(text, encoding="utf-8-sig")
    assert labels("data/parts.TXT") == [
        "data/a.png", "data/sub/b.png", str(folder / "data" / "c d.png"), "http://h/x.png",
        "data/a.png", "data/c d.png",
    ]  # fmt: skip
    assert outputs("data/parts.TXT") == [
        "a.png", "sub/b.png", f"{folder}/data/c d.png"[1:], "h/x.png", "a.png", "c d.png",
    ]  # fmt: skip


def test_bad_lines_of_a_list_file_are_errors_of_their_own():
    make("lists/a.png")
    Path("lists/parts.list").write_text("missing.png\na.png\n")
    assert errors("lists/parts.list") == ["not_found", None]
    assert labels("lists/parts.list")[0] == os.path.join("lists", "missing.png")


def test_an_error_of_a_list_file_names_the_list_and_the_line():
    make("lists/a.png")
    Path("lists/parts.txt").write_text("# parts\n\na.png\n  missing.png\n")
    *_, last = expand("lists/parts.txt")
    with pytest.raises(InputError) as caught:
        load(last, Limits())
    assert caught.value.message == f"{Path('lists/parts.txt')}, line 4: {Path('lists/missing.png')} does not exist"


def test_a_list_file_that_names_itself_ends():
    Path("me.txt").write_text("me.txt\n")
    assert errors("me.txt") == ["not_an_image"]


def test_a_list_file_without_lines_is_refused():
    Path("none.txt").write_text("# nothing\n\n")
    assert "names no image" in refusal("none.txt").message


def test_an_image_under_a_list_s_suffix_is_an_image():
    make("a.txt")
    (only,) = expand("a.txt")
    assert decodes(only)


def test_list_files_in_a_directory_are_not_followed():
    make("d/a.png")
    Path("d/list.txt").write_text("nothing.png\n")
    assert outputs("d") == ["a.png"]


# standard input

STDIN = """
from uadx.errors import InputError, UsageError
from uadx.images.decode import Limits, load
from uadx.images.sources import expand
try:
    for source in expand("-"):
        try:
            print(source.label, source.output, load(source, Limits(max_bytes=5000)).shape)
        except InputError as error:
            print(source.label, source.output, error.kind)
except UsageError as error:
    print("refused:", error.message)
"""


def through_stdin(content: bytes) -> list[str]:
    return run_python(STDIN, content=content).splitlines()


def test_standard_input_is_paths_line_by_line():
    make("a.png", "d/b.png")
    assert through_stdin(b"a.png\n\n# c.png\nd\nmissing.png\n") == [
        "a.png a.png (8, 9, 3)",
        "d/b.png d/b.png (8, 9, 3)",
        "missing.png missing.png not_found",
    ]


def test_standard_input_is_paths_between_nuls_as_find_print0_writes_them():
    make("a.png", "# b .png", " c\nd.png", "e/" + "x" * 200 + ".png")
    names = [b"# b .png", b" c\nd.png", b"a.png", b"e/" + b"x" * 200 + b".png", b"missing.png"]
    shown = "\n".join(through_stdin(b"".join(name + b"\0" for name in names)))
    assert shown.count("(8, 9, 3)") == 4
    assert shown.endswith("missing.png missing.png not_found")


def test_an_error_of_standard_input_names_the_line():
    code = STDIN.replace("error.kind", "error.message")
    make("a.png")
    assert "standard input, line 2: b.png does not exist" in run_python(code, content=b"a.png\nb.png\n")
    assert "standard input, entry 2: b.png does not exist" in run_python(code, content=b"a.png\0b.png\0")


def test_standard_input_may_be_one_image():
    assert through_stdin(PNG) == ["stdin stdin (8, 9, 3)"]
    assert through_stdin(PNG + bytes(5000)) == ["stdin stdin too_large"]


def test_a_path_that_begins_like_a_bitmap_is_a_path():
    make("BMW 3 series, left door, station 7, second shift, unit 00041.png")
    (line,) = through_stdin(b"BMW 3 series, left door, station 7, second shift, unit 00041.png\n")
    assert line.endswith("(8, 9, 3)")


def test_an_empty_standard_input_is_refused():
    assert through_stdin(b"") == ["refused: standard input names no image"]


# pixels and encoded bytes


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"img": x}, lambda x: {"input": x, "label": 1}])
def test_arrays_and_bytes_have_numbered_names(wrap: Any):
    (array,) = expand(wrap(np.zeros((4, 5, 3), np.uint8)))
    assert (array.label, str(array.output)) == ("array[0]", "array_0")
    (data,) = expand(wrap(PNG))
    assert (data.label, str(data.output)) == ("bytes[0]", "bytes_0")


def test_an_array_that_is_changed_later_does_not_change_what_is_inspected():
    array = np.zeros((4, 5, 3), np.uint8)
    sources = expand(array)
    array[:] = 200
    (only,) = sources
    assert isinstance(only.data, np.ndarray)
    assert not only.data.any()


# what is refused when expand is called


@pytest.mark.parametrize("inputs", [None, 5, 1.5, object(), {1, 2}, io.BytesIO(PNG), (x for x in "ab")])
def test_another_type_is_refused_with_what_would_do(inputs: object):
    error = refusal(inputs)
    assert type(inputs).__qualname__ in error.message
    assert "ndarray" in error.message


@pytest.mark.parametrize("inputs", [{}, {"image": 1}, {"img": PNG, "input": PNG}])
def test_a_mapping_needs_one_of_its_keys(inputs: object):
    assert "'img' and 'input'" in refusal(inputs).message


@pytest.mark.parametrize("inputs", ["", "a\0b.png", "x" * 5000 + ".png", "nowhere/deep/a.png"])
def test_what_is_no_path_of_a_file_is_refused(inputs: str):
    refusal(inputs)


def test_a_missing_path_is_refused_with_close_names():
    make("photos/part_01.png", "photos/other.jpg")
    assert refusal("photos/part_1.png").hint == f"did you mean {os.path.join('photos', 'part_01.png')}?"
    assert refusal("phots/part_01.png").hint == "did you mean photos?"
    error = refusal("zzz")
    assert "zzz does not exist" in error.message
    assert error.hint is None


@pytest.mark.parametrize("names", [(), ("d/notes.txt", "d/sub/data.csv")])
def test_a_directory_without_images_is_refused(names: tuple[str, ...]):
    Path("d").mkdir()
    make(*names)
    assert "no image in d" in refusal("d").message


def test_a_directory_whose_files_have_other_suffixes_is_told_of_globs():
    make("d/a.raw")
    assert "a quoted glob takes files of any name" in (refusal("d").hint or "")


def test_images_only_below_a_directory_are_hinted_at_where_recursion_is_off():
    make("d/sub/a.png")
    assert "sub-directories were not searched" in refusal("d", recursive=False).message
