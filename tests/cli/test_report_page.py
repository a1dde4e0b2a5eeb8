"""report.html in a real browser, opened as a file, as its user has it."""

from __future__ import annotations

import base64
import json
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("selenium", reason="the report is tested by selenium: pip install 'uadx[test]'")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from serve.browser import Page, chromium

from uadx import create_pipeline
from uadx.images.sources import expand
from uadx.output.runner import run
from uadx.report import bounds
from uadx.scoring.calibration import Calibration

HOSTILE = "<img src=x onerror=alert(1)>&amp;.png"


@pytest.fixture(scope="module")
def driver():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def out(product, tmp_path_factory):
    """A run over the product, 70 copies of a good part, noise, a file that is none, and a hostile name."""
    images = tmp_path_factory.mktemp("images") / "test"
    shutil.copytree(product / "test", images)
    good = (images / "good" / "000.png").read_bytes()
    (images / "odd").mkdir()
    (images / "odd" / HOSTILE).write_bytes(good)
    (images / "odd" / "<b>broken.png").write_bytes(b"no picture")
    (images / "copies").mkdir()
    for number in range(70):
        (images / "copies" / f"{number:02}.png").write_bytes(good)
    out = tmp_path_factory.mktemp("run") / "out"
    with create_pipeline(device="openvino:CPU") as pipeline:
        run(pipeline, expand(str(images)), out, ("jsonl", "overlay", "html"), what="parts")
    return out


@pytest.fixture(scope="module")
def results(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def page(driver, out):
    with Page(driver, (out / "report.html").as_uri(), own=out.as_uri()) as opened:
        yield opened


def scores(page):
    """Those of the cards that are shown."""
    return [float(re.search(r"[\d.e+-]+", label.text)[0]) for label in page.all("#gallery b")]


def names(page):
    return [button.get_attribute("title") for button in page.all("#gallery button")]


def counts(page):
    return {key: int(page[f"count-{key}"].text.split()[0]) for key in ("images", "ng", "ok", "errors")}


def choose(page, id, value):
    Select(page[id]).select_by_value(value)


def expected(results, threshold):
    judged = [result["score"] > threshold for result in results if result["error"] is None]
    return {
        "images": len(results),
        "ng": sum(judged),
        "ok": len(judged) - sum(judged),
        "errors": len(results) - len(judged),
    }


def test_it_counts_as_the_results_do_and_says_how_they_were_made(page, results):
    assert counts(page) == expected(results, results[0]["threshold"])
    said = page["facts-list"].text
    for words in (
        results[0]["model"]["sha256"],
        "openvino:CPU",
        "f32",
        "the model's own: false-alarm rate 1.0 %",
        "parts",
    ):
        assert words in said
    rows = {row.text.split()[0]: row.text.split()[1:] for row in page.all("#folders tbody tr")}
    assert rows["copies"] == ["70", "0"]
    assert rows["odd"] == ["2", "0", "1"]
    assert rows["hole"] == ["2", "2"]


def test_images_come_by_score_a_page_at_a_time(page, results):
    judged = sorted((result["score"] for result in results if result["error"] is None), reverse=True)
    assert len(judged) == 87
    assert scores(page) == pytest.approx(judged[:60], rel=1e-3)
    assert all(page.run("return arguments[0].naturalWidth > 90", image) for image in page.all("#gallery img"))
    page["next"].click()
    assert scores(page) == pytest.approx(judged[60:], rel=1e-3)
    assert not page["next"].is_enabled()
    choose(page, "sort", "lowest")
    assert scores(page) == pytest.approx(judged[::-1][:60], rel=1e-3)
    choose(page, "sort", "nearest")
    away = [abs(score - results[0]["threshold"]) for score in scores(page)]
    assert away == pytest.approx(sorted(away), abs=0.02)


def test_filters_by_verdict_folder_and_words_go_together(page):
    page.all("[data-verdict=NG]")[0].click()
    assert all(label.text.startswith("NG") for label in page.all("#gallery .label"))
    choose(page, "folder", "/hole")
    assert sorted(names(page)) == ["hole/000.png", "hole/001.png"]
    page["search"].send_keys("001")
    assert names(page) == ["hole/001.png"]
    page.all("[data-verdict=OK]")[0].click()
    assert names(page) == []
    assert page["shown"].text == "No image fits."
    page["search"].clear()
    page["search"].send_keys(Keys.SPACE, Keys.BACK_SPACE)
    next(button for button in page.all("#folders button") if button.text == "copies").click()
    assert len(names(page)) == 60
    assert page["page-number"].text == "Page 1 of 2"


def test_a_moved_threshold_judges_anew_and_states_the_rate_that_the_calibration_certifies(page, results):
    own = results[0]["threshold"]
    calibration = page.run("return JSON.parse(document.getElementById('facts').textContent).calibration")
    ng = set()
    for place in (0.02, 0.3, 0.5, 0.9):
        page.drag("slider", place)
        threshold = float(page["number"].get_attribute("value"))
        assert counts(page) == expected(results, threshold)
        ng.add(counts(page)["ng"])
        rate = (sum(score > threshold for score in calibration) + 1) / (len(calibration) + 1)
        assert float(page["rate"].get_attribute("value")) == pytest.approx(rate)
        if rate < 1:
            assert Calibration(calibration).threshold(rate) <= threshold
        assert f"uadx run --threshold {threshold:g}" in page["command"].text
        for label, score in zip(page.all("#gallery .label"), scores(page), strict=True):
            assert label.text.startswith("NG" if score > threshold else "OK")
            assert ("was" in label.text) == ((score > threshold) != (score > own))
    assert len(ng) > 2
    page.all("[data-verdict=changed]")[0].click()
    assert all("was NG" in label.text for label in page.all("#gallery .label"))
    page["reset"].click()
    page.until(lambda: counts(page) == expected(results, own))
    assert page["rate"].text == "1.0 %"
    assert not page["command"].is_displayed()


def test_a_threshold_can_be_typed(page, results):
    page["number"].clear()
    page["number"].send_keys("20")
    page.until(lambda: counts(page) == expected(results, 20))


def test_hostile_names_and_errors_are_shown_as_they_are(page, results):
    page["search"].send_keys("onerror")
    assert names(page) == [f"odd/{HOSTILE}"]
    assert page.all("#gallery .name")[0].text == f"odd/{HOSTILE}"
    failure = page["failure-list"].text
    assert "odd/<b>broken.png" in failure
    error = next(result["error"] for result in results if result["error"])
    assert error["message"] in failure
    assert error["type"] in failure
    assert page["failures-title"].text == "1 could not be read"


def test_a_click_shows_the_overlay_large_and_the_arrows_go_on(page, out):
    shown = names(page)
    page.all("#gallery button")[0].click()
    page.until(lambda: page.run("return document.getElementById('view-image').naturalWidth") == 300)
    assert page["view-name"].text == shown[0]
    assert page["view-open"].get_attribute("href") == (out / "overlay" / f"{shown[0]}.jpg").as_uri()
    assert "p-value" in page["view-facts"].text
    page["view"].send_keys(Keys.ARROW_RIGHT)
    assert page["view-name"].text == shown[1]
    page["view-previous"].click()
    assert page["view-name"].text == shown[0]
    assert not page["view-previous"].is_enabled()
    page["view"].send_keys(Keys.ESCAPE)
    assert not page["view"].is_displayed()


def test_a_report_that_was_sent_alone_shows_its_own_picture(driver, out, tmp_path):
    shutil.copy(out / "report.html", tmp_path / "mail.html")
    with Page(driver, (tmp_path / "mail.html").as_uri(), own=tmp_path.as_uri()) as page:
        page.refused = ("ERR_FILE_NOT_FOUND",)
        page.all("#gallery button")[0].click()
        page.until(lambda: page.run("return document.getElementById('view-image').naturalWidth") == 208)
        assert not page["view-open"].is_displayed()


def test_of_a_long_run_it_says_that_it_shows_and_counts_only_a_part(driver, product, tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "SMALL", 4)
    monkeypatch.setattr(bounds, "NEWEST", 5)
    with create_pipeline(device="openvino:CPU") as pipeline:
        run(pipeline, expand(str(product / "test")), tmp_path, ("jsonl", "html"), what="parts")
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text("utf-8").splitlines()]
    highest = sorted(range(len(lines)), key=lambda number: -lines[number]["score"])[:4]
    shown = {*highest, *range(len(lines) - 5, len(lines))}
    with Page(driver, (tmp_path / "report.html").as_uri(), own=tmp_path.as_uri()) as page:
        assert page["notices"].text == (
            f"{len(shown)} of {len(lines)} results are shown and counted here: the newest, and the highest scores of "
            "all the others. The rest is in results.jsonl and results.csv, where they were asked for."
        )
        assert int(page["count-images"].text.split()[0]) == len(shown) == len(names(page))


def test_on_paper_it_has_facts_counts_scores_and_the_ng_images(page, results):
    page.all("[data-verdict=OK]")[0].click()
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert all(label.text.startswith("NG") for label in page.all("#gallery .label"))
        assert len(page.all("#gallery button")) == expected(results, results[0]["threshold"])["ng"]
        for id in ("facts-list", "counts", "bars", "failure-list"):
            assert page[id].is_displayed()
        for id in ("filters", "pager", "slider", "print"):
            assert not page[id].is_displayed()
        assert base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]).startswith(b"%PDF")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.run("dispatchEvent(new Event('afterprint'))")
    assert all(label.text.startswith("OK") for label in page.all("#gallery .label"))


def test_on_a_phone_nothing_is_wider_than_the_screen(driver, page):
    page.phone()
    driver.refresh()
    for _ in range(2):
        assert page.run("return document.documentElement.scrollWidth") <= 360
        assert not page["facts-list"].is_displayed()
        page["language"].click()
    page.all("#gallery button")[0].click()
    assert page["view"].size["width"] <= 360


def test_it_speaks_chinese_and_both_languages_say_the_same_things(page):
    texts = page.driver.find_element(By.CSS_SELECTOR, "script[type=module]").get_attribute("textContent")
    keys = [
        re.findall(r"^    (\w+):", part, re.MULTILINE)
        for part in re.findall(r"^  (?:en|zh): \{(.*?)^  \},", texts, re.S | re.M)
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 50
    page["language"].click()
    assert "误报率" in page["facts-list"].text
    unsaid = "return [...document.querySelectorAll('[data-text]')].filter((one) => !one.textContent.trim()).length"
    assert page.run(unsaid) == 0


def test_the_slider_and_the_cards_work_by_keyboard(page):
    page["slider"].send_keys(Keys.END)
    page.until(lambda: counts(page)["ng"] == 0)
    assert "false-alarm rate at most" in page["slider"].get_attribute("aria-valuetext")
    page.all("#gallery button")[0].send_keys(Keys.ENTER)
    assert page["view"].is_displayed()


def test_bars_lie_left_and_right_of_the_threshold_by_colour(page):
    bars = page.run(
        "return [...document.querySelectorAll('#bars rect')].filter((bar) => +bar.getAttribute('height'))"
        ".map((bar) => [bar.getBoundingClientRect(), bar.classList.contains('ng')])"
    )
    left, _, width, _ = page.place("#threshold-mark")
    away = np.array([bar["x"] + bar["width"] / 2 for bar, is_ng in bars]) - (left + width / 2)
    colours = np.array([is_ng for bar, is_ng in bars])
    assert 0 < colours.sum() < len(colours)
    assert (colours == (away > 0))[np.abs(away) > 1].all()  # a pixel, since the line is two wide
