"""`codeword report` in a browser: opened as a file, looked at, and used."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from browsing import Opened

from codeword import MLP, AutoEncoder, Data, load, neighbors
from codeword.data.display import plain_cell
from codeword.data.tables import decoded
from codeword.pages.content import gather
from codeword.pages.decoder import program_of
from codeword.pages.report import make_report
from codeword.plots.style import class_colors

BAD = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def digits_page(model, tmp_path_factory):
    """60 digits in a file, and their content."""
    test = load("digits", "test")
    content = gather(model, Data(test.x[:60], test.y[:60]), source="digits", method="pca")
    return make_report(content).save(tmp_path_factory.mktemp("page") / "digits.html"), content


@pytest.fixture(scope="module")
def digits_open(browser, digits_page):
    """The file of digits, opened once: what a test selects, the next one may find selected."""
    opened = Opened(browser, digits_page[0])
    yield opened
    opened.context.close()


def test_it_opens_as_a_file_and_asks_nothing_of_anybody(digits_open, digits_page):
    assert [url for url in digits_open.requests if not url.startswith("data:")] == [digits_page[0].as_uri()]
    assert digits_open.complaints == []
    for name in ("map", "errors", "dimensions", "history"):
        box = digits_open.page.locator(f"#of-{name}").bounding_box()
        assert box["width"] > 300
        assert box["height"] > 200


def test_a_request_would_not_leave_the_page(browser, digits_page):
    opened = Opened(browser, digits_page[0])
    refused = opened.run("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in said for said in opened.complaints)
    opened.context.close()


def test_hovering_shows_the_sample_and_its_reconstruction(digits_open, digits_page, model):
    _, content = digits_page
    i = 7
    digits_open.page.mouse.move(*digits_open.point(i))
    tip = digits_open.page.locator(".tip")
    tip.wait_for(state="visible")
    row, error = content.map.rows[i], content.map.errors[i]
    assert tip.inner_text().startswith("sample")
    assert f"no. {row} · {content.map.classes[content.map.labels[i]]} · error {error:.4g}" in tip.inner_text()
    x = load("digits", "test").x[row]
    np.testing.assert_array_equal(digits_open.pixels(".tip figure:nth-child(1) canvas"), np.rint(255 * x))
    shown = digits_open.pixels(".tip figure:nth-child(2) canvas")
    assert np.abs(shown - 255 * model.reconstruct(x[None])[0].clip(0, 1)).max() <= 1


def test_a_slider_changes_the_picture_which_is_that_of_python(digits_open, model):
    before = digits_open.pixels("#decoded canvas")
    codes = []
    for share in (0.1, 0.9):
        for slider in digits_open.page.locator("#sliders input").all():
            slider.evaluate(
                """(input, share) => {
                    input.value = +input.min + share * (input.max - input.min);
                    input.dispatchEvent(new Event("input"));
                }""",
                share,
            )
        codes.append(digits_open.run("() => Array.from(codeword.page.current)"))
        assert digits_open.near("#decoded canvas", 255 * model.inverse_transform([codes[-1]])[0], 1)
        assert np.abs(digits_open.pixels("#decoded canvas") - before).max() > 20
    assert codes[0] != codes[1]


def test_under_the_mouse_is_the_code_of_the_point_and_less_sure_where_nothing_is(
    digits_open, digits_page, model
):
    _, content = digits_page
    far = digits_open.run(
        """() => {
            const [, right, , high] = codeword.page.map.plots.map.limits;
            return codeword.page.map.codeAt(right + 9, high + 9).confidence;
        }"""
    )
    x, y = (float(value) for value in content.map.plane[3])
    near = digits_open.run("([x, y]) => codeword.page.map.codeAt(x, y)", [x, y])
    code = [near["code"][str(i)] for i in range(5)] if isinstance(near["code"], dict) else near["code"]
    np.testing.assert_allclose(code, content.map.codes[3], atol=0.02)
    assert near["confidence"] == 1
    assert far < 0.1
    digits_open.page.mouse.move(*digits_open.point(3))
    expected = 255 * model.inverse_transform(content.map.codes[3:4])[0]
    assert digits_open.near("#mouse canvas", expected, 8)  # the mouse is within a pixel of the point


def test_a_tap_draws_the_true_neighbors(digits_open, digits_page):
    _, content = digits_page
    i = 11
    digits_open.page.mouse.click(*digits_open.point(i))
    digits_open.page.wait_for_selector("#chosen .preserved")
    places = digits_open.run("() => codeword.page.map.selection")
    assert len(places) == 1
    chosen = places[0]
    inside, _ = neighbors(content.map.codes, [chosen], 10)
    on_map, _ = neighbors(content.map.plane, [chosen], 10)
    drawn = digits_open.run(
        "() => codeword.page.map.plots.map.marks.filter(mark => mark.to).map(mark => mark.x)"
    )
    np.testing.assert_allclose(np.sort(drawn), np.sort(content.map.plane[inside[0], 0]), rtol=1e-5)
    kept = len(set(inside[0]) & set(on_map[0]))
    said = digits_open.page.locator("#chosen .preserved").inner_text()
    assert said.startswith(f"{kept} of its 10 nearest codes")
    current = digits_open.run("() => Array.from(codeword.page.current)")
    np.testing.assert_allclose(current, content.map.codes[chosen], rtol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_decoder_in_the_page_is_that_of_python(digits_open, precision):
    """Every kind of layer, with weights that matter: those of a network that starts at random."""
    x = load("digits", "test").x[:50]
    for network in (
        MLP(hidden=(12,), activation="silu", linear_skip=False),
        MLP(hidden=(12, 9), activation="gelu", norm="layer", linear_skip=False),
        MLP(hidden=(12,), activation="leaky_relu", norm="batch", linear_skip=False),
        MLP(hidden=(12,), activation="tanh", tied=True),
        MLP(hidden=(12,), activation="relu"),
    ):
        ae = AutoEncoder(3, network=network, epochs=2, random_state=0, device="cpu").fit(x)
        codes = 2 * ae.transform(x[:8])
        program = program_of(ae.model_, codes)
        rows = digits_open.run(
            """([packed, codes]) => {
                const decoder = new codeword.Decoder(packed);
                return codes.map(code => Array.from(decoder.run(code)));
            }""",
            [program.packed(precision), codes.tolist()],
        )
        np.testing.assert_allclose(rows, program.run(codes, precision), atol=2e-6)
        if precision == "float32":
            np.testing.assert_allclose(rows, ae.inverse_transform(codes).reshape(8, -1), atol=2e-6)


def test_colors_change_from_labels_to_errors(digits_open, digits_page):
    content = digits_page[1]
    colors = "() => Array.from(codeword.page.map.plots.map.colors, c => c & 255)"  # how red each point is
    by_label = digits_open.run(colors)
    digits_open.page.select_option("#color", "error")
    red = np.array(digits_open.run(colors))
    assert red.tolist() != by_label
    assert np.corrcoef(red, content.map.errors)[0, 1] > 0.5  # from blue to yellow
    assert digits_open.page.locator('.legend[data-of="error"]').is_visible()
    assert not digits_open.page.locator('.legend[data-of="label"]').is_visible()
    digits_open.page.select_option("#color", "label")


def test_charts_are_drawn_as_text_and_lines(digits_open, digits_page, model):
    """Axes have titles and round numbers; each epoch and each number of a code is there."""
    for name, titles in (
        ("history", {"epoch", "loss"}),
        ("errors", {"error of PCA", "error of the auto-encoder"}),
        ("dimensions", {"standard deviation of the code", *(f"z{i}" for i in range(5))}),
    ):
        texts = digits_open.page.locator(f"#of-{name} text").all_text_contents()
        assert titles <= set(texts), name
        numbers = [float(text) for text in texts if re.fullmatch(r"[0-9.e-]+", text)]
        assert len(numbers) >= 3, name
        assert all(len(f"{number:g}") <= 6 for number in numbers), name
    lines = digits_open.page.locator("#of-history polyline")
    assert [line.get_attribute("points").count(",") for line in lines.all()] == [len(model.history_)] * 2
    assert digits_open.page.locator("#of-dimensions rect").count() == 5
    tallest = digits_open.page.locator("#of-dimensions rect title").first.text_content()
    expected = digits_page[1].map.codes.std(axis=0).max()
    assert float(tallest.split(": ")[1]) == pytest.approx(expected, rel=1e-3)


def test_the_map_is_moved_zoomed_and_reset(digits_open):
    page, limits = digits_open.page, "() => codeword.page.map.plots.map.limits"
    page.locator("#of-map").scroll_into_view_if_needed()
    home = digits_open.run(limits)
    width = home[1] - home[0]
    box = page.locator("#of-map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=4)
    page.mouse.up()
    moved = digits_open.run(limits)
    np.testing.assert_allclose(home[0] - moved[0], width * 100 / (box["width"] - 16), rtol=0.05)
    scrolled = digits_open.run("scrollY")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    digits_open.until(lambda: digits_open.run(limits)[1], lambda right: right < moved[1])
    page.keyboard.up("Control")
    nearer = digits_open.run(limits)
    assert nearer[1] - nearer[0] < 0.8 * width
    assert digits_open.run("scrollY") == scrolled
    page.locator("#of-map canvas").focus()
    page.keyboard.press("ArrowRight")
    assert digits_open.run(limits)[0] > nearer[0]
    tools = page.locator(".tools").first
    tools.get_by_role("button", name="−").click()
    assert digits_open.run(limits)[1] - digits_open.run(limits)[0] > 1.4 * (nearer[1] - nearer[0])
    tools.get_by_role("button", name="reset").click()
    assert digits_open.run(limits) == home
    page.mouse.move(x, y)
    page.mouse.wheel(0, 120)  # without a key it scrolls the page
    assert digits_open.until(lambda: digits_open.run("scrollY"), lambda now: now > scrolled) > scrolled
    assert digits_open.run(limits) == home


def test_a_lasso_and_a_box_select_in_both_plots(digits_open, digits_page):
    page, there = digits_open.page, digits_page[1].map
    chosen = "() => codeword.page.map.selection"
    page.locator("#of-map").scroll_into_view_if_needed()
    box = page.locator("#of-map").bounding_box()
    page.locator(".tools").nth(0).get_by_role("button", name="lasso").click()

    def around(i, size):
        x, y = digits_open.point(i)
        page.mouse.move(x - size, y - size)
        page.mouse.down()
        for across, down in ((size, -size), (size, size), (-size, size)):
            page.mouse.move(x + across, y + down, steps=3)
        page.mouse.up()

    around(0, 30)
    first = digits_open.run(chosen)
    scale = (box["width"] - 16) / (np.ptp(there.plane[:, 0]) * 1.06)
    assert 0 in first
    assert np.abs(there.plane[first, 0] - there.plane[0, 0]).max() * scale <= 31
    other = int(np.argmax(np.abs(there.plane - there.plane[0]).sum(axis=1)))
    page.keyboard.down("Shift")  # in addition
    around(other, 20)
    page.keyboard.up("Shift")
    assert {*first, other} <= set(digits_open.run(chosen))
    page.keyboard.press("Escape")
    assert digits_open.run(chosen) == []
    page.locator("#of-errors").scroll_into_view_if_needed()
    page.locator(".tools").nth(1).get_by_role("button", name="box").click()
    box = page.locator("#of-errors").bounding_box()
    page.mouse.move(box["x"] + 64, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 50, steps=4)
    page.mouse.up()
    low = digits_open.run(chosen)
    assert 0 < len(low) < len(there.rows)
    assert there.pca[low].max() < np.delete(there.pca, low).min()
    page.keyboard.press("Escape")
    for bar in page.locator(".tools").all():
        bar.get_by_role("button", name="move").click()


def test_tables_on_a_phone_in_the_dark(browser, curve, tmp_path):
    names = (BAD, "a column whose name is far too long for the width of a phone", *"cdefghij")
    labels = np.array([BAD, "another label that goes on and on until nobody reads it any more"])
    ae = AutoEncoder(2, network=MLP(hidden=(8,)), epochs=2, random_state=0, device="cpu")
    ae.fit(Data(curve[:80], names=names))
    data = Data(curve[:80], labels[np.arange(80) % 2], names)
    file = make_report(gather(ae, data, source=f"{BAD}.csv", method="pca")).save(tmp_path / "t.html")
    opened = Opened(
        browser, file, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True
    )
    assert opened.complaints == []
    assert opened.run("document.documentElement.scrollWidth") <= 390
    opened.page.mouse.move(*opened.point(2))
    tip = opened.page.locator(".tip")
    tip.wait_for(state="visible")
    assert tip.locator("tr").count() == 8
    assert opened.page.locator("img").count() == 0
    assert BAD in opened.page.locator("h1").inner_text()
    opened.context.close()


def test_a_finger_scrolls_the_page_until_it_takes_up_the_tool(browser, digits_page):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    opened = Opened(browser, digits_page[0], **phone)
    hand = opened.context.new_cdp_session(opened.page)

    def state():
        return opened.run("() => [scrollY, codeword.page.map.plots.map.limits[2]]")

    def at_rest():
        """The state once it stays as it is for a while: what a finger set going goes on for a time."""
        seen = [state()]

        def look():
            seen.append(state())
            return seen[-12:]

        return opened.until(look, lambda last: len(last) == 12 and last.count(last[0]) == 12)[-1]

    def swipe(which):
        """How far a finger that goes up 160 pixels moves the page and the map, one of which it must."""
        opened.page.locator("#of-map").scroll_into_view_if_needed()
        box = opened.page.locator("#of-map").bounding_box()
        x, y = box["x"] + 100, max(box["y"], 0) + 320
        before = at_rest()
        for kind, up in (
            ("touchStart", 0),
            *(("touchMove", 20 * i) for i in range(1, 9)),
            ("touchEnd", None),
        ):
            points = [] if up is None else [{"x": x, "y": y - up}]
            hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            opened.page.wait_for_timeout(20)
        opened.until(state, lambda now: now[which] != before[which])
        after = at_rest()
        return after[0] - before[0], after[1] - before[1]

    scrolled, moved = swipe(0)
    assert scrolled > 100
    assert moved == 0
    opened.page.locator(".tools").first.get_by_role("button", name="move").tap()
    scrolled, moved = swipe(1)
    assert scrolled == 0
    assert moved != 0
    opened.context.close()


def odd_table(n=120):
    """Of columns of every kind."""
    rng = np.random.default_rng(0)
    group = rng.integers(3, size=n)
    days = 700 * group + rng.integers(90, size=n)
    missing = rng.random(n) < 0.3
    moments = (days * 86_400 + rng.integers(86_400, size=n)) * 10**9
    columns = {
        "length": 3.5 * group + rng.normal(size=n),
        "count": pa.array(1000 * group + rng.integers(400, size=n), pa.int16()),
        "price": pa.array(2.0 * group + rng.normal(size=n), mask=missing),
        "animal": pa.array(np.array(["cat", BAD, "wolf, gray"])[group]).dictionary_encode(),
        "mood": pa.array(np.array(["calm", "wild", "calm"])[group], mask=missing),
        "grade": pa.array((1 + group) * 10, pa.int8()).dictionary_encode(),
        "tame": group == 0,
        "known": pa.array(group > 1, mask=rng.random(n) < 0.2),
        "born": pa.array(days.astype(np.int32), pa.date32()),
        "seen": pa.array(moments, pa.timestamp("ns", "Europe/Vienna"), mask=missing),
    }
    return pa.table(columns)


def test_a_mixed_table_is_shown_in_its_own_columns(browser, tmp_path):
    table = odd_table()
    network = MLP(hidden=(16,))
    ae = AutoEncoder(3, network=network, epochs=60, random_state=0, device="cpu").fit(table)
    content = gather(ae, ae.columns_.transform(table), source="animals", method="pca")
    made = make_report(content)
    assert made.decoder
    opened = Opened(browser, made.save(tmp_path / "animals.html"), timezone_id="Asia/Tokyo")
    rng = np.random.default_rng(1)
    codes = np.concatenate([content.map.codes[:60], 4 * rng.normal(size=(60, 3))]).astype(np.float32)
    told = opened.run(
        """codes => codes.map(code => {
            const { view, decoder } = codeword.page;
            return view.mixed.of(Array.from(decoder.run(code), (value, i) => view.raw(value, i)));
        })""",
        codes.tolist(),
    )
    expected = ae.model_.display().cells(ae.model_.inverse_transform(codes))

    def same(one, other):
        if type(other) is float:
            return abs(one - other) <= 1e-3 * (1 + abs(other))
        if one == other or not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", str(other)):
            return one == other
        # A millionth of what its moments are apart is some minutes.
        return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) < timedelta(minutes=5)

    unlike = Counter()
    for found, cells in zip(told, expected, strict=True):
        unlike.update(
            {name: not same(*both) for name, *both in zip(table.column_names, found, cells, strict=True)}
        )
    # What is halfway between two whole numbers or words may fall to either side.
    assert max(unlike.values()) <= 2, unlike
    kinds = [{type(row[i]) for row in expected} - {type(None)} for i in range(len(table.column_names))]
    assert kinds == [{float}, {int}, {float}, {str}, {str}, {int}, {bool}, {bool}, {str}, {str}]
    assert any(row[2] is None for row in expected)
    # What is hovered over, and the first sample of the gallery, in the words of the table.
    row = content.captions["shown"][0]["row"]
    own = {name: plain_cell(decoded(table[name])[row].as_py()) for name in table.column_names}
    lines = opened.page.locator('[data-album="shown"] figure').first.locator("tr")
    assert lines.count() == 8
    for line in lines.all():
        name, shown = line.locator("td").nth(0).inner_text(), line.locator("td").nth(1).inner_text()
        assert shown == opened.run("cell => codeword.said(cell)", own[name]), name
    page = opened.page.inner_text("main")
    assert BAD in page  # as text
    assert "animal=" not in page
    assert opened.complaints == []
    opened.context.close()


def test_two_samples_and_no_labels(browser, model, tmp_path):
    data = replace(load("digits", "test")[:2], y=None)
    file = make_report(gather(model, data, source="two")).save(tmp_path / "two.html")
    opened = Opened(browser, file)
    opened.run("codeword.page.map.select([0])")
    assert "1 of its 1 nearest codes" in opened.page.locator("#chosen").inner_text()
    assert opened.complaints == []
    opened.context.close()


def test_thousands_of_points_are_drawn_colored_and_selected(browser, model, tmp_path):
    test = load("digits", "test")
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(test), 5200)
    x = np.clip(test.x[rows] + rng.normal(scale=0.05, size=(5200, 8, 8)), 0, 1).astype(np.float32)
    content = gather(model, Data(x, test.y[rows]), source="many", points=0, method="pca")
    opened = Opened(browser, make_report(content).save(tmp_path / "many.html"))
    opened.page.locator(".plot").scroll_into_view_if_needed()
    plane, labels = content.map.plane, content.map.labels
    alone = int(neighbors(plane, np.arange(5200), 1)[1][:, 0].argmax())
    palette = opened.run("() => codeword.page.colorsOf('label').palette")
    color = """i => {
        const plot = codeword.page.map.plots.map, { canvas, xs, ys } = plot, [fx, fy] = plot.scales();
        const x = fx(xs[i]) + codeword.EDGE, y = fy(ys[i]) + codeword.EDGE;
        const [r, g, b, a] = canvas.getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1).data;
        return [a, "#" + [r, g, b].map(c => c.toString(16).padStart(2, "0")).join("")];
    }"""
    alpha, shown = opened.until(lambda: opened.run(color, alone), lambda found: found[0] > 100)
    assert alpha > 100
    expected = class_colors(10)[labels[alone]]
    assert expected == palette[labels[alone]].lower()

    def off(one, other):
        return max(abs(int(one[i : i + 2], 16) - int(other[i : i + 2], 16)) for i in (1, 3, 5))

    assert off(shown, expected) < 16  # a neighbor may shine through
    middle = float(np.median(plane[:, 0]))
    opened.run(
        """middle => {
            const { map } = codeword.page;
            map.enclose(map.plots.map, x => x <= middle, false);
        }""",
        middle,
    )
    chosen = opened.run("() => codeword.page.map.selection")
    assert chosen == np.flatnonzero(plane[:, 0] <= middle).tolist()
    faded, _ = opened.until(lambda: opened.run(color, alone), lambda found: found[0] != alpha)
    assert (faded > alpha) == (plane[alone, 0] <= middle)
    opened.page.select_option("#color", "error")
    assert opened.until(lambda: off(opened.run(color, alone)[1], expected), lambda far: far > 16) > 16
    assert [said for said in opened.complaints if "willReadFrequently" not in said] == []
    opened.context.close()
