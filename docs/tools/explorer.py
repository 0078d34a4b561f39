"""Draw docs/images/explorer.png: a 7, drawn by hand into the explorer, and its place on the map of digits.

    python docs/tools/explorer.py MODEL [SOURCE]

MODEL is a model of digits, such as `codeword demo` makes. Wants Chromium and playwright (`codeword[test]`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).resolve().parents[1] / "images" / "explorer.png"
STROKE = [(75, 75), (120, 68), (195, 72), (172, 125), (150, 175), (132, 222)]


def main() -> None:
    """Start the explorer, draw, and take a picture of the map above the drawing."""
    model, source = sys.argv[1], (sys.argv[2:] or ["mnist-5k"])[0]
    command = [sys.executable, "-m", "codeword.cli", "explore", model, source, "--port", "0", "--no-browser"]
    with subprocess.Popen([*command, "--json", "--quiet"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with sync_playwright() as play:
            path = next(found for name in ("chromium", "google-chrome") if (found := which(name)))
            page = play.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page(
                viewport={"width": 1240, "height": 2400}
            )
            page.goto(url)
            page.wait_for_selector("html[data-ready]", state="attached")
            pad = page.locator("#pad").bounding_box()
            assert pad is not None
            page.mouse.move(pad["x"] + STROKE[0][0], pad["y"] + STROKE[0][1])
            page.mouse.down()
            for x, y in STROKE[1:]:
                page.mouse.move(pad["x"] + x, pad["y"] + y, steps=6)
            page.mouse.up()
            page.wait_for_timeout(2000)
            top, bottom = page.locator("#map-section").bounding_box(), page.locator("#own").bounding_box()
            assert top is not None
            assert bottom is not None
            clip = {"x": top["x"], "y": top["y"], "width": top["width"]}
            clip["height"] = bottom["y"] + bottom["height"] - top["y"]
            page.screenshot(path=OUTPUT, clip=clip, full_page=True)
        server.kill()
    picture = Image.open(OUTPUT).convert("RGB")
    picture.quantize(128).save(OUTPUT, optimize=True)


if __name__ == "__main__":
    main()
