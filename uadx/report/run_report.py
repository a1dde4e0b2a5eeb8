"""report.html: one file that shows a whole run, in bounded memory and of bounded size, however many images it had.

The results lie in it as blocks of JSON, each followed by a block of pictures that the page decodes when they are shown.
Nothing is fetched; the browser is told to run this script and no other.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from itertools import compress, islice
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from uadx.files import whole_file
from uadx.report import bounds
from uadx.report.facts import Facts
from uadx.report.thumbnail import Thumbnail

BLOCK = 100
"""Results of a block."""
SCRIPTS = ("texts.js", "results.js", "threshold.js", "gallery.js", "tables.js", "page.js")


def write_report(
    path: Path,
    results: Callable[[], Iterator[dict[str, Any]]],
    thumbnails: Callable[[], Iterator[Thumbnail]],
    facts: Facts,
) -> None:
    """Write the page whole or not at all. results: the JSON fields of each, anew at each call; thumbnails: likewise,
    in the same order. Of more results than uadx.report.bounds has rows for some are left out, and the page says so.
    Raises OutputError."""
    ranks = bounds.places(fields["score"] for fields in results())
    shown = bounds.has_row(ranks)
    head, tail = _frame(msgspec.structs.replace(facts, left_out=int((~shown).sum())))
    with whole_file(path) as file:
        file.write(head)
        triples = compress(zip(results(), thumbnails(), ranks, strict=True), shown)
        while block := list(islice(triples, BLOCK)):
            rows = [_row(fields, thumbnail) for fields, thumbnail, _ in block]
            file.write(_data("rows", for_script(rows)))
            pictures = [
                one.large if rank < bounds.LARGE else one.small if rank < bounds.SMALL else "" for _, one, rank in block
            ]
            file.write(_data("pictures", "\n".join(pictures)))
        file.write(tail)


def _row(fields: dict[str, Any], thumbnail: Thumbnail) -> list[Any]:
    """What results.js reads: name, score, unfamiliar, number of regions, size, overlay, error."""
    return [
        thumbnail.name or fields["input_path"],
        fields["score"],
        int(fields["unfamiliar"] is True),
        len(fields["regions"]),
        fields["image_size"],
        thumbnail.overlay,
        fields["error"] and [fields["error"]["type"], fields["error"]["message"]],
    ]


def for_script(value: Any) -> str:
    """JSON in ASCII that can stand in a script element: no `<` can end it, U+2028 and lone surrogates are escapes."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(kind: str, text: str) -> bytes:
    return f'<script type="text/plain" class="{kind}">{text}</script>\n'.encode()


def _frame(facts: Facts) -> tuple[bytes, bytes]:
    """What stands before the results and behind them."""
    here, service = files("uadx.report").joinpath("run_page"), files("uadx.serve").joinpath("page")
    style = "\n".join(
        folder.joinpath(name).read_text("utf-8")
        for folder, name in ((service, "colours.css"), (service, "page.css"), (here, "page.css"))
    )
    # in one scope, so that one hash names them all
    script = service.joinpath("calibration.js").read_text("utf-8") + "".join(
        here.joinpath(name).read_text("utf-8") for name in SCRIPTS
    )
    page = Template(here.joinpath("page.html").read_text("utf-8")).substitute(
        title=escape(facts.input),
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src 'self' file: data:; base-uri 'none'; form-action 'none'",
        style=style,
        facts=for_script(msgspec.to_builtins(facts)),
        script=script,
        icon=base64.b64encode(service.joinpath("icon.svg").read_bytes()).decode(),
        results="\0",
    )
    head, tail = page.split("\0")
    return head.encode(), tail.encode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
