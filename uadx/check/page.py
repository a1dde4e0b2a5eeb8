"""The page of `uadx check`: every finding with the pictures it is about, without script or network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath
from string import Template

from uadx import __version__
from uadx.check.findings import Finding
from uadx.check.survey import Facts, Survey
from uadx.errors import InputError
from uadx.files import write_whole
from uadx.images.decode import Limits, load
from uadx.images.sources import expand
from uadx.plural import counted
from uadx.report.pictures import thumbnail
from uadx.report.style import style

SHOWN = 12
"""Groups of pictures of a finding."""
IN_GROUP = 6
SIDE = 220


def write_page(path: Path, survey: Survey, found: Sequence[Finding]) -> None:
    """Write the page whole or not at all. Raises OutputError."""
    kinds = sorted({(image.part, image.kind) for image in survey.images}, key=lambda pair: (pair[0] != "train", pair))
    text = Template(files("uadx.check").joinpath("page.html").read_text("utf-8")).substitute(
        style=style(),
        data=escape(str(survey.data)),
        verdict=escape(verdict(found)),
        facts=escape(f"{counted(len(survey.images), 'image')} read, {len(survey.unread)} not · uadx {__version__}"),
        rows="\n".join(_row(part, kind, survey.of(part, kind)) for part, kind in kinds),
        sections="\n".join(_section(finding, survey) for finding in found) or "<p>Nothing to mend.</p>",
    )
    write_whole(path, text.encode())


def verdict(found: Sequence[Finding]) -> str:
    """The counts in words."""
    counts = [(sum(finding.weight == weight for finding in found), weight) for weight in ("error", "warning", "note")]
    return ", ".join(f"{count} {weight}{'s' * (count != 1)}" for count, weight in counts if count) or "nothing found"


def _row(part: str, kind: str, images: Sequence[Facts]) -> str:
    heights, widths = zip(*(image.size for image in images), strict=True)
    ranges = (_range(widths), _range(heights), _range([round(image.brightness) for image in images]))
    cells = "".join(f"<td>{cell}</td>" for cell in (len(images), *ranges))
    return f"<tr><td>{part}</td><td>{escape(kind)}</td>{cells}</tr>"


def _range(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _section(finding: Finding, survey: Survey) -> str:
    shown = [_group(group, survey) for group in finding.groups[:SHOWN]]
    rest = len(finding.groups) - len(shown)
    more = f"<p class=facts>and {rest} more, in check.json</p>" if rest > 0 else ""
    pictures = f'<div class="grid">{"".join(shown)}</div>{more}' if shown else ""
    return (
        f'<section class="{finding.weight}"><h2>{finding.weight}: {escape(finding.rule)}</h2>'
        f"<p>{escape(finding.message)}. {escape(_sentence(finding.advice))}</p>{pictures}</section>"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


def _group(group: Sequence[PurePath], survey: Survey) -> str:
    figures = "".join(_figure(place, survey) for place in group[:IN_GROUP])
    if len(group) == 1:
        return figures
    more = f"<p class=facts>and {len(group) - IN_GROUP} more</p>" if len(group) > IN_GROUP else ""
    return f'<div class="group"><div class="grid">{figures}</div>{more}</div>'


def _figure(place: PurePath, survey: Survey) -> str:
    caption = f"<figcaption><span>{escape(str(place))}</span></figcaption>"
    try:
        (source,) = expand(survey.data / place)
        image = load(source, Limits())
    except InputError:
        return f"<figure>{caption}</figure>"
    return f'<figure><img src="{thumbnail(image, SIDE)}" alt="{escape(str(place))}" loading="lazy">{caption}</figure>'
