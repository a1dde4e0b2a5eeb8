"""Choices that were measured before: one file for each, in the user's cache. What cannot be read is measured anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from platformdirs import user_cache_path

from uadx.files import write_whole
from uadx.tune.choice import Choice
from uadx.tune.machine_key import key


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    """circumstances: for people, who may wonder why a choice was measured anew; the file's name is their hash."""

    choice: Choice
    circumstances: dict[str, Any]


def place(circumstances: Mapping[str, Any]) -> Path:
    """Where the choice for these circumstances is kept."""
    return user_cache_path("uadx", appauthor=False) / "tune" / f"{key(circumstances)}.json"


def recall(circumstances: Mapping[str, Any]) -> Choice | None:
    """The choice that was made in these circumstances, None where none was or its file is damaged."""
    try:
        return msgspec.json.decode(place(circumstances).read_bytes(), type=_File).choice
    except (OSError, msgspec.MsgspecError):
        return None


def remember(choice: Choice, circumstances: Mapping[str, Any]) -> Path:
    """Keep a choice, in place of an older one; where. Raises OutputError."""
    path = place(circumstances)
    text = msgspec.json.format(msgspec.json.encode(_File(choice, dict(circumstances))), indent=2)
    write_whole(path, text + b"\n")
    return path
