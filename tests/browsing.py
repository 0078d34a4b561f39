"""Headless Chromium, and a page in it with all that it asked for and complained of."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator:
    """Headless Chromium; where there is none, the test is skipped."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: codeword[test]")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser is here: none of {', '.join(BROWSERS)}")
    with api.sync_playwright() as play:
        # Chromium's own sandbox does not start for root, as whom tests run in containers.
        options = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        opened = play.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


class Opened:
    """The page at a URL or in a file, and all that it asked for and complained of."""

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        self.context.set_default_timeout(90_000)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        self.page.goto(url if isinstance(url, str) else url.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def run(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def until(self, look, holds, seconds=60):
        """What `look()` gives once `holds` of it, or at last: a busy machine draws late."""
        stop = time.monotonic() + seconds
        while not holds(found := look()) and time.monotonic() < stop:
            self.page.wait_for_timeout(20)
        return found

    def near(self, selector, expected, within):
        """Whether a canvas comes to show these gray levels."""
        distance = self.until(
            lambda: np.abs(self.pixels(selector) - expected).max(), lambda distance: distance <= within
        )
        return distance <= within

    def point(self, i):
        """Where point `i` of the map is on the screen."""
        self.page.locator(".plot").scroll_into_view_if_needed()
        x, y = self.run(
            """i => {
                const { map } = codeword.page.map.plots, [fx, fy] = map.scales();
                const box = map.place.getBoundingClientRect(), { left, top } = map.frame;
                return [box.left + left + fx(map.xs[i]), box.top + top + fy(map.ys[i])];
            }""",
            i,
        )
        return x, y

    def pixels(self, selector):
        """The gray levels of a canvas, (height, width)."""
        size, data = self.run(
            """selector => {
                const canvas = document.querySelector(selector), { width, height } = canvas;
                const context = canvas.getContext("2d");
                return [[height, width], Array.from(context.getImageData(0, 0, width, height).data)];
            }""",
            selector,
        )
        return np.array(data).reshape(*size, 4)[..., 0]
