"""`codeword explore` in a browser: draw, see places and neighbors, go from one to another, download."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from browsing import Opened
from PIL import Image

from codeword import load
from codeword.pages.content import gather
from codeword.pages.explorer import Explorer, listen, serve


@pytest.fixture(scope="module")
def explorer(model):
    data = load("digits", "test")[:120]
    return Explorer(model, data, gather(model, data, source="digits", points=100, method="pca", seed=3))


def served(explorer):
    """The address of an explorer that runs as long as the tests do."""
    addresses = queue.Queue()
    threading.Thread(target=serve, args=(explorer, listen(0), addresses.put), daemon=True).start()
    return addresses.get(timeout=60)


@pytest.fixture(scope="module")
def opened(browser, explorer):
    """Its page, opened once; the server ends with the tests' process."""
    page = Opened(browser, served(explorer))
    yield page
    page.context.close()


def answered(opened, selector, text):
    """Wait until an element holds a text."""
    opened.page.locator(selector).filter(has_text=text).wait_for()
    return opened.page.locator(selector).inner_text()


def test_the_page_asks_its_own_server_only(opened):
    origin = opened.page.url.split("?")[0]
    assert {url for url in opened.requests if not url.startswith(("data:", "blob:", origin))} == set()
    assert opened.complaints == []
    for name in ("map", "errors", "dimensions", "history"):
        assert opened.page.locator(f"#of-{name}").bounding_box()["width"] > 300


def test_the_mouse_decodes_what_lies_under_it(opened, explorer, model):
    there = explorer.content.map
    opened.page.mouse.move(*opened.point(8))
    expected = 255 * model.inverse_transform(there.codes[8:9])[0]
    assert opened.near("#mouse canvas", expected, 8)  # the mouse is within a pixel of the point
    tip = opened.page.locator(".tip")
    tip.wait_for(state="visible")
    opened.page.wait_for_selector(".tip canvas")
    np.testing.assert_array_equal(
        opened.pixels(".tip figure:nth-child(1) canvas"), np.rint(255 * explorer.data.x[there.rows[8]])
    )


def test_a_slider_changes_the_picture_which_is_that_of_python(opened, model):
    slider = opened.page.locator("#sliders input").first
    slider.evaluate("input => { input.value = input.max; input.dispatchEvent(new Event('input')); }")
    code = opened.run("() => Array.from(codeword.page.current)")
    assert opened.near("#decoded canvas", 255 * model.inverse_transform([code])[0], 1)


def test_a_drawing_is_placed_on_the_map_with_its_neighbors(opened, explorer):
    pad = opened.page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    opened.page.mouse.move(box["x"] + 140, box["y"] + 40)
    opened.page.mouse.down()
    for y in (100, 160, 240):
        opened.page.mouse.move(box["x"] + 140, box["y"] + y, steps=4)
    opened.page.mouse.up()
    said = answered(opened, "#answer", "p-value")
    assert said.startswith("your sample · error ")
    neighbors = opened.page.locator("#answer .strip button")
    assert opened.until(neighbors.count, lambda count: count == 10) == 10
    marks = "() => codeword.page.map.plots.map.marks"
    *links, ring = opened.until(lambda: opened.run(marks), lambda found: len(found) == 11)
    plane = explorer.content.map.plane
    assert plane[:, 0].min() <= ring["x"] <= plane[:, 0].max()
    assert len(links) == 10
    assert {round(link["x"], 3) for link in links} <= set(np.round(plane[:, 0].astype(float), 3))
    opened.page.click("#clear")
    assert "come here" in opened.page.locator("#answer").inner_text()


def test_an_uploaded_picture_and_one_that_is_none(opened, explorer, tmp_path):
    one = explorer.data.x[5]
    Image.fromarray(np.rint(255 * one).astype(np.uint8)).save(tmp_path / "five.png")
    opened.page.uncheck("#framed")
    opened.page.set_input_files("#upload", tmp_path / "five.png")
    answered(opened, "#answer", "p-value")
    shown = opened.pixels("#answer canvas")
    assert np.abs(shown - 255 * one).max() <= 1
    (tmp_path / "none.png").write_text("<b>no picture</b>")
    opened.page.set_input_files("#upload", tmp_path / "none.png")
    assert "no picture that can be read" in answered(opened, "#answer", "no picture")
    complaints = [
        said for said in opened.complaints if "400" not in said and "willReadFrequently" not in said
    ]
    assert complaints == []
    opened.complaints.clear()


def test_a_sample_by_its_number_on_the_map_and_off_it(opened, explorer):
    rows = set(explorer.content.map.rows.tolist())
    on, off = min(rows), min(set(range(120)) - rows)
    for row in (on, off):
        opened.page.fill("#find", str(row))
        opened.page.press("#find", "Enter")
        said = answered(opened, "#chosen", f"no. {row}")
        assert f"error {-explorer.model.score_samples(explorer.data.x[row : row + 1])[0]:.4g}" in said
    assert "p-value" in said  # of the one that is off


def test_color_by_cluster(opened, explorer):
    opened.page.select_option("#color", "cluster")
    opened.page.fill("#clusters", "4")
    opened.page.press("#clusters", "Enter")
    entries = opened.page.locator(".legend[data-of=cluster] span")
    assert opened.until(entries.count, lambda count: count == 4) == 4
    clusters = explorer.cluster(4).tolist()
    colors = opened.run("() => Array.from(codeword.page.map.plots.map.colors)")
    assert len({*zip(clusters, colors, strict=True)}) == len(set(colors)) == 4


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_selection_is_downloaded(opened, explorer, kind):
    opened.run("() => codeword.page.map.select([3, 9, 27])")
    assert "3 selected" in opened.page.locator(".download").inner_text()
    with opened.page.expect_download() as downloading:
        opened.page.click(f"[data-download={kind}]")
    assert downloading.value.suggested_filename == f"selection.{kind}"
    path = downloading.value.path()
    table = pyarrow.csv.read_csv(path) if kind == "csv" else pyarrow.parquet.read_table(path)
    assert table["row"].to_pylist() == explorer.content.map.rows[[3, 9, 27]].tolist()


def test_from_one_sample_to_another(opened, explorer, model):
    for end, i in (("from", 12), ("to", 40)):
        opened.run("i => codeword.page.map.select([i])", i)
        words = "interpolate from here" if end == "from" else "to here"
        opened.page.get_by_role("button", name=words, exact=True).click()
    codes = explorer.content.map.codes
    for step, share in ((1, 0.0), (5, 0.5), (9, 1.0)):
        code = (1 - share) * codes[12] + share * codes[40]
        selector = f".steps div:nth-child({step}) canvas"
        opened.page.locator(selector).wait_for()
        assert opened.near(selector, 255 * model.inverse_transform([code])[0], 1)


def test_when_the_server_is_gone_the_page_says_so(browser, explorer):
    page = Opened(browser, served(explorer))
    page.page.route("**/api/**", lambda route: route.abort())
    page.run("() => codeword.page.slideTo(codeword.page.start_)")
    page.page.locator("#problem").wait_for(state="visible")
    assert "Is codeword explore still running?" in page.page.locator("#problem").inner_text()
    page.context.close()


def test_a_late_answer_does_not_take_a_newer_selection_away(browser, explorer):
    page = Opened(browser, served(explorer))
    off = min(set(range(120)) - set(explorer.content.map.rows.tolist()))
    page.page.route("**/api/find", lambda route: (page.page.wait_for_timeout(300), route.continue_()))
    page.page.fill("#find", str(off))
    with page.page.expect_response("**/api/find"):
        page.run("() => document.getElementById('find').dispatchEvent(new Event('change'))")
        page.run("() => codeword.page.map.select([3, 9])")
    page.page.wait_for_timeout(200)
    assert page.run("() => codeword.page.map.selection") == [3, 9]
    assert "2 samples" in page.page.locator("#chosen").inner_text()
    page.context.close()


def test_a_clear_pad_stays_clear(browser, explorer):
    page = Opened(browser, served(explorer))
    page.page.locator("#pad").scroll_into_view_if_needed()
    box = page.page.locator("#pad").bounding_box()
    page.page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 120, box["y"] + 220, steps=5)
    page.page.mouse.up()
    page.page.click("#clear")
    page.page.wait_for_timeout(800)
    assert "come here" in page.page.locator("#answer").inner_text()
    page.context.close()


def test_what_a_decoder_says_is_shown_until_it_works_again(browser, explorer):
    page = Opened(browser, served(explorer))
    page.page.route(
        "**/api/decode", lambda route: route.fulfill(status=500, body='{"error": "out of memory"}')
    )
    page.run("() => codeword.page.slideTo(codeword.page.start_)")
    page.page.locator("#problem").filter(has_text="out of memory").wait_for()
    page.page.unroute("**/api/decode")
    page.run("() => codeword.page.slideTo(codeword.page.start_)")
    page.page.locator("#problem").wait_for(state="hidden")
    page.context.close()
