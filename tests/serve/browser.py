"""A headless Chromium, and the page in it as its user sees it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 30.0
ELSEWHERE = "factory.example"
"""A name by which the browser calls this machine; a browser trusts it less than localhost."""


def found(variable, *names):
    """A program by an environment variable or the PATH; the test is skipped where there is none."""
    path = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"there is no {names[0]}: apt install chromium chromium-driver, or set {variable}")
    return path


@contextlib.contextmanager
def chromium(language="en-US"):
    """A driver of a browser in that language, with a camera that shows a test picture."""
    options = webdriver.ChromeOptions()
    options.binary_location = found("UADX_CHROMIUM", "chromium", "chromium-browser", "google-chrome", "chrome")
    driver = found("UADX_CHROMEDRIVER", "chromedriver")
    for argument in (
        "--headless=new", "--disable-dev-shm-usage", "--window-size=1280,1000", f"--accept-lang={language}",
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(argument)
    if getattr(os, "geteuid", lambda: 1)() == 0:
        options.add_argument("--no-sandbox")  # which Chromium wants of root, as in a container
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


class Page:
    """The page of a server, or a file. Leaving it (`with`) checks that it complained of nothing and asked for nothing
    elsewhere. own: how the addresses begin that it may ask for, where that is not url."""

    def __init__(self, driver, url, own=None):
        self.driver, self.url, self.own = driver, url, own or url
        self.refused = ()  # statuses and failures that are meant to be in the browser's log

    def __enter__(self):
        self.driver.get(self.url)
        self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(self.url)
        return self

    def __exit__(self, kind, error, trace):
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        if kind is None:
            expected = [f"status of {one}" if isinstance(one, int) else one for one in self.refused]
            said = [entry["message"] for entry in self.driver.get_log("browser")]
            assert [text for text in said if not any(one in text for one in expected)] == []
            own = (self.own, "blob:", "data:")
            assert [url for url in self.requested() if not url.startswith(own)] == []

    def requested(self):
        """The addresses that were asked since this was called last."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def __getitem__(self, id):
        return self.driver.find_element(By.ID, id)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, true):
        return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: true())

    def upload(self, *paths):
        """Choose files, and wait until the last of them is shown."""
        self["files"].send_keys("\n".join(map(str, paths)))
        self.until(lambda: self.is_shown(paths[-1].name))

    def is_shown(self, name):
        current = self.all("#strip [aria-current]")
        return bool(current) and current[0].get_attribute("title") == name and not self["progress"].text

    def drag(self, slider, place):
        """Put a slider there (0 to 1), as a finger does."""
        self.run(
            "const [slider, at] = arguments; slider.value = at * slider.max; slider.dispatchEvent(new Event('input'))",
            self[slider], place,
        )  # fmt: skip
        self.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def place(self, selector):
        """Where an element is on the screen: left, top, width, height."""
        script = "const { x, y, width, height } = arguments[0].getBoundingClientRect(); return [x, y, width, height]"
        return self.run(script, self.all(selector)[0])

    def pixels(self, id):
        """How an element looks: RGB [H, W, 3]."""
        return np.asarray(Image.open(io.BytesIO(self[id].screenshot_as_png)).convert("RGB")).astype(int)

    def phone(self, width=360, height=740):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True},
        )
