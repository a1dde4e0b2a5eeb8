"""Reads a YAML file that a user wrote. A key given twice is an error, where YAML parsers take the last."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from uadx.errors import ConfigError


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = []
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<, which may be repeated
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"the key {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.append(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str, hint: str) -> object:
    """The content of a file. what: the kind of file, for the message; hint: what to do where it cannot be read.

    Raises ConfigError with the file, and the line where the YAML is at fault.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the {what} file {path} cannot be read", cause_text=str(error), hint=hint) from error
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, TypeError) as error:  # TypeError: a list as a key
        raise ConfigError(f"{path} is not valid YAML", cause_text=str(error)) from error
