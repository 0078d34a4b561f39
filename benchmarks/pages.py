"""Maps, the report and the explorer at their largest: all 60,000 training digits.

    python benchmarks/pages.py map        a map of 60,000 codes, against scikit-learn's t-SNE
    python benchmarks/pages.py report     the report: time, size, first paint, frames a second, decoding
    python benchmarks/pages.py explorer   the explorer: frames a second, from the mouse to the picture
    python benchmarks/pages.py all        the three of them
    python benchmarks/pages.py all --quick  2,000 digits, one epoch: does the script run?

Wants MNIST, from `$CODEWORD_DATA/mnist/`, the cache or the network, and for the pages Chromium and playwright
(`codeword[test]`). Prints Markdown tables, and exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
from claims import Claims, Options, Row, show
from machine import describe_machine

from codeword import AutoEncoder, load, map_codes


def main() -> int:
    """Run what is asked for, and say by the exit code whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claim", choices=[*CLAIMS, "all"])
    parser.add_argument("--quick", action="store_true", help="few digits, one epoch: does it run?")
    options = parser.parse_args()
    missed = show(CLAIMS, options, "target")
    print(f"\nseed 0; {describe_machine('openTSNE')}")
    return int(missed and not options.quick)


@cache
def trained(quick: bool) -> Path:
    """The folder of a model of 16 numbers a digit, with the defaults."""
    folder = Path(tempfile.mkdtemp(prefix="codeword-pages-")) / "digits.ae"
    digits = load("mnist", "train")
    x = digits.x[:2000] if quick else digits.x
    AutoEncoder(16, epochs=1 if quick else "auto", random_state=0).fit(x).save(folder)
    return folder


# -- map ----------------------------------------------------------------------------------------------------


def map_of_codes(options: Options) -> list[Row]:
    """The same codes of digits by `map_codes` and by scikit-learn's t-SNE as it comes, one after the other.

    Both with a perplexity of 30, on every core. How well each keeps neighbors is the share of the ten
    nearest codes that are among the ten nearest points, over 2,000 digits drawn at random.
    """
    from sklearn.manifold import TSNE

    x = load("mnist", "train").x
    rows: list[Row] = []
    for n in (500, 1000) if options.quick else (2_000, 20_000, 60_000):
        codes = AutoEncoder.load(trained(options.quick)).transform(x[:n])
        began = time.perf_counter()
        ours = map_codes(codes, n_jobs=-1)
        middle = time.perf_counter()
        theirs = TSNE(random_state=0, n_jobs=-1).fit_transform(codes)
        took, they_took = middle - began, time.perf_counter() - middle
        ratio = they_took / took
        reached = f"{took:.1f} s against {they_took:.1f} s: {ratio:.1f}× faster"
        wanted = n == 60_000
        rows += [
            (f"map of {n:,} codes", "≥ 3×" if wanted else "", reached, ratio >= 3 if wanted else None),
            ("neighbors kept", "", f"{kept(codes, ours):.3f} against {kept(codes, theirs):.3f}", None),
        ]
    return rows


def kept(codes: np.ndarray, plane: np.ndarray, count: int = 10) -> float:
    """The share of each point's nearest codes that are among its nearest points."""
    from codeword import neighbors

    chosen = np.random.default_rng(0).choice(len(codes), min(2000, len(codes)), replace=False)
    near, on_map = (neighbors(table, chosen, count)[0] for table in (codes, plane))
    shared = [len(np.intersect1d(a, b)) for a, b in zip(near, on_map, strict=True)]
    return float(np.mean(shared)) / count


# -- pages in a browser -------------------------------------------------------------------------------------


def points(options: Options) -> int:
    return 500 if options.quick else 60_000


def report(options: Options) -> list[Row]:
    """`codeword report` of all training digits, all of them on the map, opened as a file in Chromium.

    The map is PCA's, so that its time is next to nothing and what is timed is all the rest. Frames a second
    are those the browser draws while the mouse drags the map, and while the wheel zooms it.
    """
    model = trained(options.quick)
    file = model.parent / "report.html"
    how = ["--split", "train", "--points", str(points(options)), "--method", "pca", "--overwrite", "--quiet"]
    began = time.perf_counter()
    subprocess.run([*CODEWORD, "report", str(model), "mnist", "-o", str(file), *how], check=True)
    took = time.perf_counter() - began
    size = file.stat().st_size / 1e6
    with opened(file.as_uri()) as page:
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        ready = page.evaluate("performance.now()") / 1000
        decoded = sorted(page.evaluate(DECODE_IN_FILE))
        rows = motion(page)
    return [
        ("report, a whole process, the map by PCA", "< 60 s", f"{took:.1f} s", took < 60),
        ("size of the file", "≤ 8 MB", f"{size:.2f} MB", size <= 8),
        ("first paint", "< 2 s", f"{paint:.2f} s", paint < 2),
        ("every figure drawn", "", f"{ready:.2f} s", None),
        *rows,
        latency("mouse to decoded picture, in the file", decoded, 16),
    ]


def explorer(options: Options) -> list[Row]:
    """`codeword explore` of all training digits, all of them on the map, in Chromium."""
    how = ["--split", "train", "--max-points", str(points(options)), "--method", "pca"]
    command = [*CODEWORD, "explore", str(trained(options.quick)), "mnist", *how]
    command += ["--port", "0", "--no-browser", "--json", "--quiet"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        started = time.perf_counter() - began
        with opened(url) as page:
            paint = (
                page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
            )
            decoded = sorted(page.evaluate(DECODE_LIVE))
            rows = motion(page)
        process.kill()
    return [
        ("until the page can be opened, the map by PCA", "", f"{started:.1f} s", None),
        ("first paint", "< 2 s", f"{paint:.2f} s", paint < 2),
        *rows,
        latency("mouse to decoded picture, live", decoded, 50),
    ]


CODEWORD = [sys.executable, "-m", "codeword.cli"]

# From the pointer's event to the picture on its canvas, over a hundred places of the map.
PLACES = """
    const { map } = codeword.page, [x0, x1, y0, y1] = map.plots.map.limits;
    const place = i => [x0 + (x1 - x0) * (0.1 + 0.8 * ((i * 0.618) % 1)),
                        y0 + (y1 - y0) * (0.1 + 0.8 * ((i * 0.381) % 1))];
    const times = [];
"""
DECODE_IN_FILE = f"""() => {{ {PLACES}
    for (let i = 0; i < 100; i++) {{
        const began = performance.now();
        map.decodeAt(...place(i));
        times.push(performance.now() - began);
    }}
    return times;
}}"""
DECODE_LIVE = f"""async () => {{ {PLACES}
    const show = codeword.page.view.show.bind(codeword.page.view);
    for (let i = 0; i < 100; i++) {{
        const began = performance.now();
        const shown = new Promise(resolve => {{
            codeword.page.view.show = (...what) => {{ show(...what); resolve(); }};
        }});
        map.decodeAt(...place(i));
        await shown;
        times.push(performance.now() - began);
    }}
    return times;
}}"""

# The time of each frame while something moves.
FRAMES = """() => {
    window.frames_ = [];
    const frame = now => { window.frames_.push(now); window.counting = requestAnimationFrame(frame); };
    window.counting = requestAnimationFrame(frame);
}"""


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """A page in headless Chromium, when all of it is drawn."""
    from playwright.sync_api import sync_playwright

    path = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := which(name)))
    root = getattr(os, "geteuid", lambda: 1)() == 0
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url, timeout=120_000)
        page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        yield page
        browser.close()


def motion(page: Any) -> list[Row]:
    """Frames a second while the map is dragged for three seconds, and zoomed for three."""
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator("#of-map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    rows = []
    for name in ("pan", "zoom"):
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        if name == "pan":
            page.mouse.down()
        else:
            page.keyboard.down("Control")
        page.evaluate(FRAMES)
        began = time.perf_counter()
        moves = 0
        while time.perf_counter() - began < 3:
            moves += 1
            if name == "pan":
                page.mouse.move(x + 80 * np.sin(moves / 9), y + 60 * np.cos(moves / 7))
            else:
                page.mouse.wheel(0, 40 if moves % 40 < 20 else -40)
        times = np.diff(
            page.evaluate("() => { cancelAnimationFrame(window.counting); return window.frames_; }")
        )
        if name == "pan":
            page.mouse.up()
        else:
            page.keyboard.up("Control")
        rate = 1000 / float(np.mean(times))
        worst = float(np.percentile(times, 95))
        reached = f"{rate:.0f} a second; 95% of frames within {worst:.0f} ms"
        rows.append((f"frames, {name}", "> 30 a second", reached, rate > 30))
    return rows


def latency(name: str, times: list[float], most: float) -> Row:
    middle, late = times[len(times) // 2], times[int(0.95 * len(times))]
    return name, f"< {most:g} ms", f"{middle:.1f} ms; 95% within {late:.1f} ms", late < most


CLAIMS: Claims = {"map": map_of_codes, "report": report, "explorer": explorer}

if __name__ == "__main__":
    sys.exit(main())
