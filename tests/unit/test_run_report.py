"""report.html as a file: what it holds, how large it gets, what a hostile name can do in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest

from uadx.report import bounds
from uadx.report.bounds import LARGE, SMALL
from uadx.report.facts import Facts
from uadx.report.run_report import BLOCK, for_script, write_report
from uadx.report.thumbnail import Thumbnail

HOSTILE = (
    "</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>", "\u2028\u2029", "\udcff",
    "a&amp;b", "'\"`", "]]>", "${x}", "缺陷.png",
)  # fmt: skip
FACTS = Facts(
    input="<b>parts</b> $title 缺陷", model="m</script>", sha256="0" * 64, made_by="uadx",
    device={"requested": "cpu", "used": "openvino:CPU", "precision": "f32", "simulated": False,
            "fallback_reason": None},
    threshold=1.0, threshold_from="model", fpr=0.01, calibration=(0.1, 0.9), resumed=0, seconds=2.0, finished="today",
)  # fmt: skip


def row(score=0.5, error=None):
    return {
        "input_path": "parts/a.png", "score": score, "unfamiliar": False, "regions": [], "image_size": [30, 40],
        "error": error,
    }  # fmt: skip


class Scripts(HTMLParser):
    """The script elements of a page as a browser sees them: (attributes, text), and the names of all elements."""

    def __init__(self, path):
        super().__init__()
        self.found, self.tags, self._text = [], set(), None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "script":
            self.found.append([dict(attributes), ""])
            self._text = self.found[-1]

    def handle_data(self, data):
        if self._text is not None:
            self._text[1] += data

    def handle_endtag(self, tag):
        if tag == "script":
            self._text = None

    def of(self, kind):
        return [text for attributes, text in self.found if attributes.get("class") == kind]

    @property
    def rows(self):
        return [one for block in self.of("rows") for one in json.loads(block)]

    @property
    def pictures(self):
        return [line for block in self.of("pictures") for line in block.split("\n")]


def written(path, rows, thumbnails):
    write_report(path, lambda: iter(rows), lambda: iter(thumbnails), FACTS)
    return Scripts(path)


def test_what_is_hostile_in_a_name_or_an_error_stays_text(tmp_path):
    path = tmp_path / "report.html"
    rows = [row(score=None, error={"type": "truncated", "message": name}) for name in HOSTILE]
    page = written(path, rows, [Thumbnail(name) for name in HOSTILE])
    assert [found[0] for found in page.rows] == list(HOSTILE)
    assert [found[-1] for found in page.rows] == [["truncated", name] for name in HOSTILE]
    assert len(page.found) == 2 + 2  # facts and code, one block of rows and one of pictures
    assert "b" in page.tags  # the page's own, in the large view
    text = path.read_text("utf-8")
    assert "<title>uadx: &lt;b&gt;parts&lt;/b&gt; $title 缺陷</title>" in text
    assert "onerror=alert" not in re.sub(r"\\u003cimg src=x onerror=alert\(1\)\\u003e", "", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_for_a_script_is_ascii_without_markup_and_reads_the_same(text):
    embedded = for_script({"name": text})
    assert embedded.isascii()
    assert not set(embedded) & set("<>&")
    assert json.loads(embedded) == {"name": text}


def test_the_policy_allows_this_script_and_this_style_and_no_other_host(tmp_path):
    page = written(tmp_path / "report.html", [row()], [Thumbnail("a")])
    text = (tmp_path / "report.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    code = next(text for attributes, text in page.found if attributes.get("type") == "module")
    for kind, content in (("script-src", code), ("style-src", style)):
        assert f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_the_highest_scores_have_large_pictures_the_next_small_ones_and_the_rest_none(tmp_path):
    count = SMALL + 500
    rows = [row(score=float((n * 7919) % count)) for n in range(count)]
    thumbnails = [Thumbnail(f"{n}.png", "", f"small{n}", f"large{n}") for n in range(count)]
    page = written(tmp_path / "report.html", rows, thumbnails)
    assert len(page.of("rows")) == -(-count // BLOCK)
    assert [found[0] for found in page.rows] == [one.name for one in thumbnails]
    for n, (found, picture) in enumerate(zip(page.rows, page.pictures, strict=True)):
        rank = count - 1 - found[1]
        assert picture == (f"large{n}" if rank < LARGE else f"small{n}" if rank < SMALL else "")


def test_of_a_long_run_the_newest_and_the_highest_have_rows_and_the_page_says_how_many_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "SMALL", 3)
    monkeypatch.setattr(bounds, "NEWEST", 5)
    scores = [9.0, 0.5, None, 8.0, 0.4, 0.6, 7.0, 0.1, 0.2, 0.3]
    page = written(tmp_path / "report.html", [row(score) for score in scores], [Thumbnail(f"{n}") for n in range(10)])
    assert [found[0] for found in page.rows] == ["0", "3", "5", "6", "7", "8", "9"]
    facts = json.loads(next(text for attributes, text in page.found if attributes.get("id") == "facts"))
    assert facts["left_out"] == 3
    assert FACTS.left_out == 0


def test_what_has_no_row_now_has_none_later(monkeypatch):
    monkeypatch.setattr(bounds, "SMALL", 4)
    monkeypatch.setattr(bounds, "NEWEST", 6)
    scores = np.random.default_rng(0).integers(0, 9, 60).astype(float)
    gone = np.zeros(0, bool)
    for count in range(1, 61):
        ranks = bounds.places(scores[:count])
        shown = bounds.has_row(ranks)
        assert not (shown[:-1] & gone).any()
        assert shown.sum() <= 4 + 6
        gone = ~shown


def test_it_is_written_in_memory_that_does_not_grow_with_the_pictures(tmp_path):
    def thumbnails():
        return (Thumbnail(f"{n}.png", "", "s" * 4_000, "l" * 8_000) for n in range(2_000))

    tracemalloc.start()
    write_report(tmp_path / "report.html", lambda: (row(n) for n in range(2_000)), thumbnails, FACTS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = (tmp_path / "report.html").stat().st_size
    assert LARGE * 8_000 + 1_000 * 4_000 < size < 12_500_000
    assert peak < 5_000_000


def test_a_report_that_cannot_be_finished_leaves_the_one_before(tmp_path):
    path = tmp_path / "report.html"
    written(path, [row()], [Thumbnail("first.png")])
    with pytest.raises(ValueError, match="shorter"):
        written(path, [row(), row()], [Thumbnail("second.png")])
    assert [found[0] for found in Scripts(path).rows] == ["first.png"]
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_run_without_images_has_a_report(tmp_path):
    page = written(tmp_path / "report.html", [], [])
    assert page.rows == page.pictures == []
