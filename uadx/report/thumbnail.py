"""What the report of a run shows of one result beside its fields."""

from __future__ import annotations

import msgspec


class Thumbnail(msgspec.Struct, frozen=True):
    """name: the input's path below the directory that was named. overlay: address of the overlay, relative to the
    report; empty where none was written. small, large: base64 of pictures; empty where the input could not be read, and
    where no report will show them. score: the image's; None where it could not be read."""

    name: str = ""
    overlay: str = ""
    small: str = ""
    large: str = ""
    score: float | None = None
