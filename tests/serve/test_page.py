"""The page at `/` in a real browser, against a real `uadx serve` with the model that ships."""

from __future__ import annotations

import re
import signal

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="the page is tested by selenium: pip install 'uadx[test]'")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from serve.browser import ELSEWHERE, Page, chromium
from serve.conftest import Process

from uadx.scoring.calibration import Calibration


@pytest.fixture(scope="module")
def driver():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def server():
    process = Process("--device", "openvino:CPU")
    yield process
    process.stop(signal.SIGTERM)


@pytest.fixture
def page(driver, server):
    with Page(driver, server.url) as opened:
        yield opened


@pytest.fixture(scope="session")
def bent(product):
    """A defect that scores a little above the threshold."""
    return product / "test" / "bent_wire" / "000.png"


def row_of(server, path, query=""):
    """What the service says of a picture."""
    return httpx.post(f"{server.url}/v1/inspect?{query}", files={"f": path.read_bytes()}).json()["results"][0]


def boxes(page):
    """The regions that are listed: x, y, width, height."""
    numbers = [re.findall(r"[\d.]+", button.text)[1:5] for button in page.all("#regions button")]
    return np.array([[int(number) for number in four] for four in numbers]).reshape(-1, 4)


def test_an_uploaded_defect_is_ng_with_score_regions_and_a_heat_map_that_a_slider_fades(page, server, bent, tmp_path):
    page.upload(bent)
    row = row_of(server, bent)
    assert page["word"].text.startswith("NG")
    assert f"{row['score']:.4g}" in page["because"].text
    assert f"{row['threshold']:.4g}" in page["because"].text
    assert boxes(page).tolist() == [region["bbox"] for region in row["regions"]]
    page["show-regions"].click()
    pictures = []
    for place in (0, 0.5, 1):
        page.drag("opacity", place)
        assert page["opacity-value"].text == f"{100 * place:g} %"
        pictures.append(page.pixels("sheet"))
    bare, half, full = pictures
    shown = bare.shape[0] / row["image_size"][0]
    x, y, wide, high = (round(value * shown) for value in row["regions"][0]["bbox"])
    inside = np.s_[y + high // 3 : y + 2 * high // 3, x + wide // 3 : x + 2 * wide // 3]
    calm = np.s_[-bare.shape[0] // 4 :, :]
    assert abs(half - bare)[inside].mean() > 15
    assert abs(full - bare)[inside].mean() > 1.6 * abs(half - bare)[inside].mean()
    assert abs(full - bare)[calm].max() == 0
    page.driver.save_screenshot(str(tmp_path / "page.png"))


def test_a_moved_threshold_turns_the_verdict_and_states_the_rate_that_the_calibration_certifies(page, server, bent):
    page.upload(bent)
    scores = httpx.get(f"{server.url}/v1/model").json()["calibration"]["scores"]
    words = set()
    for place in (0.05, 0.4, 0.6, 0.95):
        page.drag("slider", place)
        threshold = float(page["number"].get_attribute("value"))
        rate = (sum(score > threshold for score in scores) + 1) / (len(scores) + 1)
        assert float(page["rate"].get_attribute("value")) == pytest.approx(rate)
        if rate < 1:
            assert Calibration(scores).threshold(rate) <= threshold
        row = row_of(server, bent, f"threshold={threshold}")
        words.add(page["word"].text[:2])
        assert page["word"].text.startswith("NG" if row["is_anomaly"] else "OK")
        expected = np.array([region["bbox"] for region in row["regions"]]).reshape(-1, 4)
        assert abs(boxes(page) - expected[:30]).max(initial=0) <= 1  # at the model's threshold and below, it finds more
        assert f"--threshold {threshold:g}" in page["command"].text
    assert words == {"NG", "OK"}
    page["slider"].send_keys(Keys.END)  # above all of them
    assert "the lowest rate that so many certify" in page["rate-text"].text
    page["reset"].click()
    page.until(lambda: page["word"].text.startswith("NG") and page["rate"].text == "1.0 %")


def test_an_image_is_sent_once(page, bent):
    page.requested()
    page.upload(bent)
    page.drag("slider", 0.9)
    assert len([url for url in page.requested() if "/v1/inspect" in url]) == 1


def test_several_pictures_go_to_the_strip_and_are_shown_again(page, product, bent, good_image):
    page.upload(good_image, product / "test" / "hole" / "000.png", bent)
    strip = page.all("#strip button")
    assert [button.text.split()[0] for button in strip] == ["NG", "NG", "OK"]
    strip[2].click()
    assert page["word"].text.startswith("OK")
    assert page.all("#regions button") == []
    assert page["picture"].get_attribute("alt") == good_image.name
    assert "2 NG of 3" in page["tally"].text


def test_a_broken_file_shows_the_service_s_words(page, tmp_path, bent):
    (tmp_path / "broken.png").write_bytes(bent.read_bytes()[:2000])
    (tmp_path / "notes.txt").write_text("no picture")
    page.refused = (415, 422)
    for name, title in (("notes.txt", "This is no image"), ("broken.png", "It cannot be inspected")):
        refused = httpx.post(f"{page.url}/v1/inspect", files={"f": (name, (tmp_path / name).read_bytes())})
        page.upload(tmp_path / name)
        assert page["failure-title"].text == title
        assert page["failure-message"].text == refused.json()["error"]["message"]
        assert not page["verdict"].is_displayed()
    page.upload(bent)
    assert page["word"].text.startswith("NG")


def test_it_works_by_keyboard_alone(page, bent):
    def tab_to(id):
        for _ in range(30):
            ActionChains(page.driver).send_keys(Keys.TAB).perform()
            active = page.driver.switch_to.active_element
            assert active.accessible_name, active.get_attribute("outerHTML")
            if active.get_attribute("id") == id:
                return active
        raise AssertionError(f"no {id}")

    tab_to("files").send_keys(str(bent))  # Enter opens the system's own dialog, which no test can type into
    page.until(lambda: page["word"].text.startswith("NG"))
    assert page["verdict"].get_attribute("role") == "status"
    slider = tab_to("slider")
    slider.send_keys(Keys.END)
    page.until(lambda: page["word"].text.startswith("OK"))
    assert "false-alarm rate at most 0.12 %" in slider.get_attribute("aria-valuetext")
    tab_to("reset").send_keys(Keys.ENTER)
    page.until(lambda: page["word"].text.startswith("NG"))


def test_on_a_phone_nothing_is_wider_than_the_screen(page, product, bent):
    page.phone()
    for paths in ((), (bent,), (product / "test" / "hole" / "000.png", product / "test" / "stain" / "000.png")):
        if paths:
            page.upload(*paths)
        for _ in range(2):
            assert page.run("return document.documentElement.scrollWidth") <= 360
            assert page.run("return document.getElementById('stage').scrollWidth") <= 360
            page["language"].click()


def test_the_camera_s_picture_is_inspected(page):
    page["open-camera"].click()
    page.until(lambda: page["take"].is_enabled())
    page["take"].click()
    page.until(lambda: page["word"].text)
    assert page["picture"].get_attribute("alt").startswith("camera-")
    assert page["unfamiliar"].is_displayed()


def test_a_chinese_browser_gets_chinese(server, bent):
    with chromium("zh-CN") as driver, Page(driver, server.url) as page:
        page.upload(bent)
        assert page["word"].text == "NG · 不合格"
        assert "误报率" in page["rate-line"].text
        page["language"].click()
        assert page["word"].text == "NG · not good"
        driver.refresh()
        page.until(lambda: page["language"].text == "中文")


def test_both_languages_say_the_same_things(page):
    page["language"].click()
    unsaid = "return [...document.querySelectorAll('[data-text]')].filter((one) => !one.textContent.trim()).length"
    assert page.run(unsaid) == 0
    same = """const [done] = arguments; import('/page/texts.js').then(({ TEXTS }) => {
        const [one, other] = Object.values(TEXTS);
        done([Object.keys(one).join() === Object.keys(other).join(),
              Object.keys(one.errors).join() === Object.keys(other.errors).join()]) })"""
    assert page.driver.execute_async_script(same) == [True, True]


def test_a_key_is_asked_for_and_kept_for_the_tab(driver, start, bent):
    server = start("--api-key", "secret", "--allow-host", f"{ELSEWHERE},127.0.0.1")
    with Page(driver, server.url.replace("127.0.0.1", ELSEWHERE)) as page:
        page.refused = (401,)
        page.until(lambda: page["key-dialog"].is_displayed())
        for key, why in {"wrong": "", "secret": "That is not its key."}.items():
            page.until(lambda why=why: page["key-why"].text == why)
            page["key"].send_keys(key + Keys.ENTER)
            page.until(lambda: page["key"].get_attribute("value") == "")
        page.upload(bent)
        assert page["word"].text.startswith("NG")
        driver.refresh()
        page.until(lambda: page["model"].text)
        assert not page["key-dialog"].is_displayed()
        page["open-camera"].click()  # at http:// and not localhost
        page.until(lambda: "localhost or over https only" in page["camera-why"].text)


def test_a_service_that_is_gone_is_said_to_be_gone_and_may_come_back_with_another_threshold(driver, start, bent):
    server = start()
    with Page(driver, server.url) as page:
        page.refused = ("ERR_CONNECTION_REFUSED",)
        page.upload(bent)
        server.stop(signal.SIGTERM)
        page.upload(bent)
        assert page["failure-title"].text == "The service does not answer"
        assert "uadx serve" in page["failure-hint"].text
        start("--port", server.url.rpartition(":")[2], "--threshold", "30")
        page["again"].click()
        page.until(lambda: page["word"].text.startswith("OK"))
        assert "the threshold 30." in page["because"].text
        page.all("#strip button")[1].click()
        assert page["word"].text.startswith("NG")
        assert "no longer has" in page["rate-text"].text
        assert not page["slider"].is_enabled()


def test_regions_lie_where_they_are_in_tiles_turned_and_foreign_formats(driver, start, product, tmp_path):
    """A large TIFF, which no browser shows, and a JPEG that a camera turned, by a model with tiles."""
    hole, good = (cv2.imread(str(product / "test" / kind / "000.png")) for kind in ("hole", "good"))
    large = np.vstack([np.hstack([good] * 3), np.hstack([good, good, hole])])
    cv2.imwrite(str(tmp_path / "tray.tif"), large)
    turned = Image.fromarray(cv2.rotate(large, cv2.ROTATE_90_COUNTERCLOCKWISE)[..., ::-1])
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "tray.jpg", exif=exif, quality=95)
    server = start("--tile", "300", "--threshold", "8")
    with Page(driver, server.url) as page:
        for name in ("tray.tif", "tray.jpg"):
            page.upload(tmp_path / name)
            row = row_of(server, tmp_path / name)
            assert row["windows"] > 1
            assert boxes(page).tolist() == [region["bbox"] for region in row["regions"]][:30]
            assert "no calibration" in page["rate-text"].text
            (left, top, wide, high), outline = map(page.place, ("#sheet", "#outlines .line"))
            assert page.run("return document.getElementById('picture').naturalWidth") == 900
            assert wide / high == pytest.approx(1.5, rel=0.01)
            peak = row["regions"][0]["peak"]
            assert peak[0] > 600
            assert peak[1] > 300
            x, y, width, height = np.array([region["bbox"] for region in row["regions"]]).T
            expected = np.array([x.min() / 900, y.min() / 600, (x + width).max() / 900, (y + height).max() / 600])
            corners = outline[0], outline[1], outline[0] + outline[2], outline[1] + outline[3]
            lie = (np.array(corners) - [left, top, left, top]) / [wide, high, wide, high]
            assert lie == pytest.approx(expected, abs=0.02)
            page.driver.save_screenshot(str(tmp_path / "page.png"))


def test_it_is_served_by_a_strict_policy_and_only_once(server):
    answer = httpx.get(server.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    again = httpx.get(server.url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(f"{server.url}/page/page.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert httpx.get(f"{server.url}/page/..%2Fapp.py").status_code == 404
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", answer.text)
