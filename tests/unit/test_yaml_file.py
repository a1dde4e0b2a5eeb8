"""YAML files that users write."""

import pytest

from uadx.errors import ConfigError
from uadx.yaml_file import read_yaml


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_yaml(path, "devices", "correct it")

    return read_text


def test_a_key_given_twice_is_an_error_with_its_line(read):
    with pytest.raises(ConfigError, match=r"mine\.yaml is not valid YAML") as caught:
        read("a: 1\nb: {c: 2,\n  c: 3}\n")
    assert "the key 'c' is given twice" in caught.value.cause_text
    assert "line 3" in caught.value.cause_text


def test_merged_keys_may_be_overridden(read):
    assert read("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n")["mine"] == {"a": 1, "b": 3}


def test_a_byte_order_mark_is_no_part_of_the_first_key(read):
    assert read(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


@pytest.mark.parametrize("text", ["a: [", "? [1]\n: 2\n", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_plain_yaml_is_an_error(read, text):
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read(text)


def test_a_file_that_is_no_text_names_itself_and_the_fix(read):
    with pytest.raises(ConfigError, match=r"^the devices file .*mine\.yaml cannot be read") as caught:
        read(b"\xff\xfe\x00")
    assert caught.value.hint == "correct it"
